"""Run an ImageJ macro over many images with as few starts of the JVM as the images allow.

Needs the standard library, Java, ImageJ and Xvfb. The macro gets "IMAGE|FOLDER|PARAMETERS" as its argument and
writes what it finds into FOLDER, which is empty at first. ImageJ's exit status says nothing, and an error opens
a dialog that waits for ever. So an image is done when what is expected lies in its folder; a JVM that takes too
long, or waits, is ended, and a fresh one goes on with the next image. Whoever failed is tried once more, alone.

Writes OUT/IMAGE/ for each image that is done, OUT/images.tsv for all, and for an image on which ImageJ got stuck
a picture of the screen, OUT/IMAGE/stuck.png. Exit status 1: at least one image failed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import screen

LOOK = 0.05  # seconds between two looks at a JVM
START_LIMIT = 120.0  # seconds for a JVM to come up
BUSY = 0.02  # share of a CPU: below, nothing is being computed
HOPELESS = 3  # images that fail twice before any is done: the macro is broken, and more tries are no use
# ImageJ's own, and what Java 17 hides from older builds' patches.
JAVA = ["java", "-Djava.awt.headless=false", "-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8",
        "-XX:+ExitOnOutOfMemoryError", "--add-opens=java.base/java.lang=ALL-UNNAMED"]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Settings:
    """What holds for every image."""

    macro: Path
    parameters: str
    expect: tuple[str, ...]
    image_limit: float  # seconds
    idle_limit: float  # seconds
    java: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an image in one JVM."""

    reason: str  # empty: it is done
    seconds: float = 0.0
    folder: Path | None = None  # what the macro wrote
    stuck: Path | None = None  # a picture of the screen


def images_below(folder: Path) -> list[str]:
    """The paths of the files in a folder, sorted."""
    found = (
        Path(base, name).relative_to(folder).as_posix()
        for base, _, names in os.walk(folder, followlinks=True)
        for name in names
    )
    return sorted(found)


def quoted(text: str) -> str:
    """A string of the macro language, in ASCII: ImageJ takes macro files for Latin-1."""
    words = []
    for part in re.findall(r"[ -~]+|[^ -~]+", text) or [""]:
        if not part or " " <= part[0] <= "~":
            words.append('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"')
        else:
            units = part.encode("utf-16-be")
            codes = (str(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))
            words.append(f"fromCharCode({','.join(codes)})")
    return " + ".join(words)


def driver(images: list[str], root: Path, settings: Settings, place: Path) -> str:
    """A macro that runs the user's over the images, and tells by files how far it is."""
    words = [f"images = newArray({len(images)});"]  # newArray(one number) would be a size, not an element
    words += [f"images[{n}] = {quoted(str(root / image))};" for n, image in enumerate(images)]
    here = quoted(f"{place}/")
    words.append(
        f"""for (number = 0; number < images.length; number++) {{
  setBatchMode(true);
  run("Set Measurements...", "area mean min redirect=None decimal=3");
  setOption("BlackBackground", false);
  File.saveString("begun", {here} + number + ".begun");
  answer = runMacro({quoted(str(settings.macro))},
    images[number] + "|" + {here} + "out/" + number + "|" + {quoted(settings.parameters)});
  File.saveString("" + answer, {here} + number + ".part");
  moved = File.rename({here} + number + ".part", {here} + number + ".ended");
  while (nImages > 0) {{ selectImage(nImages); close(); }}
  run("Clear Results");
  if (isOpen("ROI Manager")) {{ selectWindow("ROI Manager"); run("Close"); }}
}}
"""
    )
    return "\n".join(words)


class Jvm:
    """One ImageJ with preferences of its own, at work on some images one after the other."""

    def __init__(self, images: list[str], root: Path, settings: Settings, place: Path, display: str) -> None:
        self.place, self.settings = place, settings
        for number in range(len(images)):
            (place / "out" / str(number)).mkdir(parents=True)
        (place / "home").mkdir()
        (place / "driver.ijm").write_text(driver(images, root, settings, place), encoding="utf-8")
        own = [f"-Djava.util.prefs.userRoot={place}/home", f"-Duser.home={place}/home"]
        command = [*settings.java, *own, "ij.ImageJ", "-batch", str(place / "driver.ijm")]
        environment = {**os.environ, "DISPLAY": display, "LC_ALL": "C.UTF-8"}
        with (place / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=place, start_new_session=True
            )

    def wait(self, number: int) -> Outcome:
        """Wait until the image with that number is through, or will never be."""
        waiting_since = time.monotonic()
        begun_at: float | None = None
        idle = Idle(self.process.pid, self.settings.idle_limit)
        while True:
            gone = self.process.poll() is not None  # first: what it wrote before it went is seen below
            now = time.monotonic()
            if begun_at is None and self._mark(number, "begun").exists():
                begun_at = now
            if self._mark(number, "ended").exists():
                return self._judged(number)
            since = now - (begun_at or waiting_since)
            if gone:
                return Outcome(f"ImageJ ended: {self.last_words() or 'it said nothing'}", since)
            limit = self.settings.image_limit if begun_at is not None else START_LIMIT
            if since > limit:
                return Outcome(f"not through after {limit:g} s", since)
            if idle.is_too_long(now):
                return Outcome(f"ImageJ waited for {idle.limit:g} s, as for an answer to a dialog", since)
            time.sleep(LOOK)

    def _mark(self, number: int, word: str) -> Path:
        return self.place / f"{number}.{word}"

    def _judged(self, number: int) -> Outcome:
        begun, ended = self._mark(number, "begun"), self._mark(number, "ended")
        seconds = (ended.stat().st_mtime_ns - begun.stat().st_mtime_ns) / 1e9
        folder = self.place / "out" / str(number)
        reason = lacking(folder, self.settings.expect)
        if ended.read_text(errors="replace").strip() == "[aborted]":
            reason = f"the macro stopped: {self.last_words() or 'it said nothing'}"
        return Outcome(reason, seconds, folder)

    def last_words(self) -> str:
        """The last line that ImageJ printed."""
        lines = (self.place / "log").read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:200] if said else ""

    def end(self) -> None:
        """Kill it, and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Idle:
    """Watches whether a process computes anything."""

    def __init__(self, pid: int, limit: float) -> None:
        self.pid, self.limit = pid, limit
        self.since, self.before = time.monotonic(), cpu_seconds(pid)

    def is_too_long(self, now: float) -> bool:
        """Whether the process has computed next to nothing for the whole of the limit."""
        used = cpu_seconds(self.pid)
        if now - self.since < self.limit:
            if used - self.before > BUSY * self.limit:
                self.since, self.before = now, used
            return False
        return used - self.before <= BUSY * self.limit


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has gone
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime: proc(5)


def lacking(folder: Path, expect: tuple[str, ...]) -> str:
    """What is expected in a folder, at any depth, and is not there, or is empty."""
    for pattern in expect:
        found = [file for file in folder.rglob(pattern) if file.is_file()]
        if not found:
            return "the macro wrote nothing" if pattern == "*" else f"the macro wrote no {pattern}"
        if all(file.stat().st_size == 0 for file in found):
            return f"{found[0].name} is empty"
    return ""


class Batch:
    """The images of one batch: what became of each, and the JVMs that it took."""

    def __init__(self, root: Path, settings: Settings, out: Path, scratch: Path) -> None:
        self.root, self.settings, self.out, self.scratch = root, settings, out, scratch
        self.outcomes: dict[str, Outcome] = {}
        self.attempts: dict[str, int] = {}
        self.jvms = 0

    def run(self, images: list[str], display: screen.Display) -> None:
        """Process all images: together first, those that failed once more alone."""
        unusable = [image for image in images if set(image) & set("|\t\n\r\\")]
        for image in unusable:
            self.outcomes[image] = Outcome("its name has | or a character that cannot be printed: rename it")
        pending = [image for image in images if image not in unusable]
        while pending:
            failed: list[str] = []
            while pending and not (len(failed) >= HOPELESS and not self.done()):
                through = self.in_one_jvm(pending, display)
                failed += [image for image in pending[:through] if self.outcomes[image].reason]
                pending = pending[through:]
            for number, image in enumerate(failed):
                if number >= HOPELESS and not self.done():
                    break
                self.in_one_jvm([image], display)
            if not self.done():
                break
        for image in pending:
            self.outcomes[image] = Outcome(f"not tried: the first {HOPELESS} images failed")

    def in_one_jvm(self, images: list[str], display: screen.Display) -> int:
        """Run one JVM as far as it gets; returns the number of images that it is through with."""
        place = self.scratch / str(self.jvms)
        self.jvms += 1
        jvm = Jvm(images, self.root, self.settings, place, display.name)
        try:
            for number, image in enumerate(images):
                outcome = jvm.wait(number)
                over = outcome.folder is None
                if over and jvm.process.poll() is None:
                    stuck = display.picture(place / "stuck.png")
                    outcome = dataclasses.replace(outcome, stuck=stuck)
                self.note(image, outcome)
                if over:
                    return number + 1
        finally:
            jvm.end()
            shutil.rmtree(place, ignore_errors=True)
        return len(images)

    def note(self, image: str, outcome: Outcome) -> None:
        """Keep what became of an image, and its files."""
        self.attempts[image] = self.attempts.get(image, 0) + 1
        self.outcomes[image] = outcome
        target = self.out / image
        shutil.rmtree(target, ignore_errors=True)
        if outcome.folder and not outcome.reason:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(outcome.folder, target)
        elif outcome.stuck:
            target.mkdir(parents=True)
            shutil.copy(outcome.stuck, target / "stuck.png")
        state = "failed" if outcome.reason else "done"
        print(f"{image}: {state} in {outcome.seconds:.1f} s {outcome.reason}".rstrip(), flush=True)

    def done(self) -> bool:
        """Whether any image is done."""
        return any(not outcome.reason for outcome in self.outcomes.values())

    def write_table(self) -> None:
        """Write images.tsv."""
        rows = [("image", "status", "attempts", "seconds", "reason")]
        for image, outcome in sorted(self.outcomes.items()):
            state, reason = ("failed", outcome.reason) if outcome.reason else ("done", "n/a")
            tries = str(self.attempts.get(image, 0))
            rows.append((image, state, tries, f"{outcome.seconds:.2f}", reason))
        text = "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
        (self.out / "images.tsv").write_text(text, encoding="utf-8")


def arguments_of(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run an ImageJ macro over many images.")
    parser.add_argument("--macro", type=Path, required=True, metavar="FILE.ijm")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out-dir", type=Path, required=True, metavar="OUT")
    parser.add_argument("--class-path", required=True, metavar="JAR")
    parser.add_argument("--parameters", default="", metavar="TEXT")
    parser.add_argument("--expect", nargs="+", default=["*"], metavar="GLOB")
    parser.add_argument("--image-limit", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--idle-limit", type=float, required=True, metavar="SECONDS")
    parser.add_argument(
        "--heap-mib", type=float, required=True, metavar="MIB", help="3/4 of it for Java's heap"
    )
    parser.add_argument("--cpus", type=float, required=True, metavar="N")
    return parser.parse_args(words)


def main() -> int:
    """Process what the command line names."""
    given = arguments_of(sys.argv[1:])
    java = (
        *JAVA,
        f"-Xmx{int(given.heap_mib * 3 / 4)}m",
        f"-XX:ActiveProcessorCount={max(1, int(given.cpus))}",
        "-cp",
        given.class_path,
    )
    settings = Settings(
        given.macro.resolve(),
        given.parameters,
        tuple(given.expect),
        given.image_limit,
        given.idle_limit,
        java,
    )
    root = Path(os.path.abspath(given.images))
    images = images_below(root)
    given.out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="imagej-") as scratch, screen.started(Path(scratch)) as display:
        batch = Batch(root, settings, given.out_dir.resolve(), Path(scratch))
        batch.run(images, display)
    batch.write_table()
    failed = {image: outcome.reason for image, outcome in sorted(batch.outcomes.items()) if outcome.reason}
    print(f"{len(images)} images, {len(images) - len(failed)} done, {batch.jvms} starts of ImageJ")
    if failed:
        named = "; ".join(f"{image} ({reason})" for image, reason in failed.items())
        print(f"{len(failed)} of {len(images)} images failed: {named}", file=sys.stderr)
    return 1 if failed or not images else 0


if __name__ == "__main__":
    sys.exit(main())
