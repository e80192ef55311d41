"""Projects of microscopy images from a folder to a bucket and back, with the real ImageJ on real sections of tissue.

The counts are made a second time by scipy, and a third time by another build of ImageJ.
"""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pytest
import scipy.ndimage
import skimage.data
from PIL import Image

from neurocwl import assets, images
from neurocwl.channels import SLACK
from tests.e2e.conftest import Lab, Result

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

THRESHOLD, AREA = 140, 40
MACRO = assets.path("cwl").parent / "docs" / "examples" / "nuclei" / "nuclei.ijm"
OPTIONS = (
    "--macro-parameters",
    f"{THRESHOLD},{AREA}",
    "--expect",
    "count.csv",
    "nuclei.csv",
    "--idle-limit",
    "3",
)
BATCHES = ("--batch-size", "4")


def sections() -> dict[str, Any]:
    """Tiles of a stained section (red, green, blue) and a single cell (grey), as scikit-image brings them."""
    tissue = skimage.data.immunohistochemistry()
    tiles = {
        f"section/{row}-{column}.png": tissue[row * 128 : row * 128 + 128, column * 256 : column * 256 + 256]
        for row in range(3)
        for column in range(2)
    }
    return {**tiles, "cell ü.png": skimage.data.cell()}


def areas(pixels: Any) -> list[int]:
    """The areas of dark objects, by scipy: 8-connected pixels up to the threshold, large enough ones."""
    dark = (pixels if pixels.ndim == 2 else pixels[..., 0]) <= THRESHOLD
    labels, count = scipy.ndimage.label(dark, numpy.ones((3, 3)))
    sizes = scipy.ndimage.sum(dark, labels, range(1, count + 1))
    return sorted(int(size) for size in sizes if size >= AREA)


def rows(table: bytes) -> list[dict[str, str]]:
    header, *lines = [line.split("\t") for line in table.decode().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def areas_by_image(table: bytes) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows(table):
        found.setdefault(row["image"], []).append(int(row["Area"]))
    return {image: sorted(values) for image, values in found.items()}


@dataclass
class Story:
    """A project in a folder and in a bucket, and what each command said."""

    lab: Lab
    folder: Path
    posted: list[str] = field(default_factory=list)
    webhook: str = ""
    said: dict[str, Result] = field(default_factory=dict)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, bytes] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        return self.lab.url("nuclei")

    def do(self, step: str, *words: str, **variables: str) -> Result:
        self.said[step] = self.lab.run(*words, **variables)
        return self.said[step]

    def attempts(self) -> dict[str, str]:
        """Unit -> its last attempt."""
        keys = [k for k in self.lab.keys("nuclei/output/.neurocwl/units") if k.endswith("receipt.json")]
        home = "nuclei/output/.neurocwl/units/"
        return {key.partition("/")[0]: json.loads(self.lab.read(home + key))["attempt"] for key in keys}


@pytest.fixture(scope="module")
def lab_of_all(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    images.ensure("imagej")
    return Lab(s3_server, tmp_path_factory.mktemp("microscopy"))


@pytest.fixture(scope="module")
def story(lab_of_all: Lab, engine: str) -> Iterator[Story]:
    told = Story(lab_of_all, lab_of_all.folder / "nuclei")

    class Slack(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.posted.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Slack)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.webhook = f"http://127.0.0.1:{server.server_port}/services/s3cretOfAChannel"
    try:
        play(told)
        yield told
    finally:
        server.shutdown()
        server.server_close()


def play(story: Story) -> None:
    """Create, sync, launch, mend and add, launch again, sync back."""
    folder, bucket = story.folder, story.bucket
    story.do("create", "project", "create", str(folder))
    for name, pixels in sections().items():
        (folder / "input" / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "input" / name)
    whole = (folder / "input/section/1-1.png").read_bytes()
    (folder / "input/section/1-1.png").write_bytes(whole[: len(whole) // 3])
    (folder / "bin/nuclei.ijm").write_bytes(MACRO.read_bytes())
    story.do("up", "project", "sync", str(folder), bucket)
    launch = ("launch", "project", bucket, *OPTIONS, *BATCHES)
    story.do("first", *launch, "--notify-slack", **{SLACK: story.webhook})
    story.do("status", "status", f"{bucket}/output", "--json")
    story.receipts["first"] = story.attempts()
    story.tables["first"] = story.lab.read("nuclei/output/tables/nuclei.tsv")
    story.tables["images"] = story.lab.read("nuclei/output/tables/images.tsv")
    (folder / "input/section/1-1.png").write_bytes(whole)
    story.do("mend", "project", "sync", str(folder), bucket, "--up")
    story.do("plan mended", "plan", "project", bucket, *OPTIONS, *BATCHES, "--json")
    Image.fromarray(sections()["section/2-0.png"][::-1]).save(folder / "input/section/2-0b.png")
    story.do("add", "project", "sync", str(folder), bucket, "--up")
    story.do("plan added", "plan", "project", bucket, *OPTIONS, *BATCHES, "--json")
    story.do("second", *launch)
    story.receipts["second"] = story.attempts()
    story.tables["second"] = story.lab.read("nuclei/output/tables/nuclei.tsv")
    story.do("down", "project", "sync", str(folder), bucket, "--down")
    story.do("verify", "verify", str(folder / "output"), "--deep", "--json")


def batch_of(story: Story, image: str) -> str:
    """The batch at the output that an image is in."""
    (key,) = [k for k in story.lab.keys("nuclei/output/batches") if k.endswith(f"/{image}/count.csv")]
    return key.partition("/")[0]


def test_a_broken_image_fails_its_batch_by_name(story: Story) -> None:
    assert story.said["first"].code == 1, story.said["first"].err
    failed = [u for u in story.said["status"].json["units"] if u["status"] == "failed"]
    assert len(failed) == 1
    assert "section/1-1.png (ImageJ waited for 3 s, as for an answer to a dialog)" in failed[0]["reason"]


def test_it_was_retried_alone_and_took_nobody_along(story: Story) -> None:
    states = {row["image"]: (row["status"], row["attempts"]) for row in rows(story.tables["images"])}
    assert states.pop("section/1-1.png") == ("failed", "2")
    assert set(states) == set(sections()) - {"section/1-1.png"}
    assert set(states.values()) == {("done", "1")}


def test_scipy_counts_the_same_nuclei(story: Story) -> None:
    expected = {name: areas(pixels) for name, pixels in sections().items() if name != "section/1-1.png"}
    assert areas_by_image(story.tables["first"]) == {name: found for name, found in expected.items() if found}
    assert sum(map(len, expected.values())) > 50, "enough of them to mean something"


def test_what_was_broken_is_run_again_and_nothing_else(story: Story) -> None:
    ready = [u["unit"] for u in story.said["plan mended"].json["units"] if u["status"] == "ready"]
    assert ready == [u["unit"] for u in story.said["status"].json["units"] if u["status"] == "failed"]


def test_an_added_image_makes_one_batch_run_again(story: Story) -> None:
    before = {u["unit"] for u in story.said["plan mended"].json["units"] if u["status"] == "ready"}
    after = {u["unit"] for u in story.said["plan added"].json["units"] if u["status"] == "ready"}
    assert after - before == {batch_of(story, "section/2-0b.png")}, "and it was not full"
    kept = set(story.receipts["first"]) - after - {"group"}
    assert kept, "some batch had nothing to do"
    assert all(story.receipts["second"][unit] == story.receipts["first"][unit] for unit in kept)


def test_the_second_launch_has_all_images_in_one_table(story: Story) -> None:
    assert story.said["second"].code == 0, story.said["second"].err
    found = areas_by_image(story.tables["second"])
    assert found["section/1-1.png"] == areas(sections()["section/1-1.png"])
    assert found["section/2-0b.png"] == found["section/2-0.png"]
    assert set(found) - {"section/2-0b.png"} == {name for name, pixels in sections().items() if areas(pixels)}


def test_results_come_back_into_the_project_and_are_what_the_receipts_say(story: Story) -> None:
    assert story.said["down"].code == 0, story.said["down"].err
    assert (story.folder / "output/tables/nuclei.tsv").read_bytes() == story.tables["second"]
    verified = story.said["verify"]
    assert verified.code == 0, verified.out
    assert verified.json["counts"]["equal"] > 20


def test_sync_says_what_it_did(story: Story) -> None:
    assert "/input: 7 copied" in story.said["up"].out
    assert "/input: 1 copied" in story.said["mend"].out
    assert "6 equal" in story.said["mend"].out


def test_slack_is_told_and_its_address_is_nowhere(story: Story) -> None:
    begun, failed, ended = story.posted
    assert begun.startswith("imagej: ")
    assert "section/1-1.png" in failed
    assert "1 failed" in ended
    assert "section/1-1.png" in ended
    texts = [story.lab.read(f"nuclei/output/{key}") for key in story.lab.keys("nuclei/output")]
    assert not any(b"s3cretOfAChannel" in text for text in texts)
    assert "s3cretOfAChannel" not in story.said["first"].err + story.said["first"].out


def test_another_build_of_imagej_finds_the_same_in_a_local_bids_dataset(story: Story) -> None:
    root = story.lab.folder / "bids"
    (root / "code").mkdir(parents=True)
    (root / "code/nuclei.ijm").write_bytes(MACRO.read_bytes())
    (root / "dataset_description.json").write_text(json.dumps({"Name": "m", "BIDSVersion": "1.10.0"}))
    tiles = {"01": "section/0-0.png", "02": "section/2-1.png"}
    names = {label: f"sub-{label}/micr/sub-{label}_sample-A_stain-H_BF.png" for label in tiles}
    for label, name in names.items():
        (root / name).parent.mkdir(parents=True)
        Image.fromarray(sections()[tiles[label]]).save(root / name)
    done = story.lab.run(
        "launch", "project", str(root), *OPTIONS, "--class-path", "/opt/prokaryote/prokaryote.jar"
    )
    assert done.code == 0, done.err
    output = root / "derivatives/imagej"
    found = areas_by_image((output / "tables/nuclei.tsv").read_bytes())
    first = areas_by_image(story.tables["second"])
    assert found == {names[label]: first[tile] for label, tile in tiles.items()}
    assert found == {names[label]: areas(sections()[tile]) for label, tile in tiles.items()}
    assert {folder.name for folder in (output / "batches").iterdir()} == {"sub-01_batch-0", "sub-02_batch-0"}
