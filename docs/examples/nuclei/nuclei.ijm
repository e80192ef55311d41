// Counts nuclei that a dark stain shows in a section of tissue: connected pixels whose red value is at most
// the threshold, and at least as many of them as the smallest area.
// Argument: IMAGE|FOLDER|THRESHOLD,AREA     Writes: FOLDER/nuclei.csv (a row for each nucleus), FOLDER/count.csv
given = split(getArgument(), "|");
numbers = split(given[2], ",");
threshold = parseInt(numbers[0]);
area = parseInt(numbers[1]);
open(given[0]);
if (bitDepth() == 24) {
  run("RGB Stack");
  setSlice(1);
  run("Duplicate...", "title=red");
}
run("Set Scale...", "distance=0");
setThreshold(0, threshold);
run("Set Measurements...", "area centroid");
run("Analyze Particles...", "size=" + area + "-Infinity pixel show=Nothing display clear");
found = nResults;
saveAs("Results", given[1] + "/nuclei.csv");
run("Clear Results");
setResult("nuclei", 0, found);
setResult("threshold", 0, threshold);
saveAs("Results", given[1] + "/count.csv");
