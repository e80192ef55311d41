"""The driver of ImageJ in its container, with the real ImageJ: what hangs, dies or writes nothing takes nobody along."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from neurocwl import assets, images

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

# Does as the name of the "image" says; none is opened.
MACRO = """\
given = split(getArgument(), "|");
name = File.getName(given[0]);
if (startsWith(name, "dialog")) { Dialog.create("nobody is there"); Dialog.addMessage("to click"); Dialog.show(); }
if (startsWith(name, "error")) run("Split Channels");
if (startsWith(name, "crash")) exec("sh", "-c", "kill -9 $PPID");
if (startsWith(name, "loop")) while (true) x = 1;
if (startsWith(name, "exit")) exit("the macro had enough");
if (startsWith(name, "flaky") && !File.exists("/tmp/flaky")) { File.saveString("x", "/tmp/flaky"); exit("once"); }
if (startsWith(name, "memory")) newImage("big", "8-bit", 30000, 30000, 90);
if (startsWith(name, "empty")) File.close(File.open(given[1] + "/count.csv"));
else if (startsWith(name, "half")) File.saveString("x", given[1] + "/other.txt");
else if (!startsWith(name, "nothing")) File.saveString("said\\n" + given[2] + "\\n", given[1] + "/count.csv");
if (nResults > 0 || nImages > 0) exit("something was left by the image before");
setResult("left", 0, 1);
newImage("left", "8-bit", 8, 8, 1);
"""
NAMES = [
    "a ü'\"ok.tif",
    "crash.tif",
    "dialog.tif",
    "empty.tif",
    "error.tif",
    "exit.tif",
    "flaky.tif",
    "half.tif",
]
NAMES += ["loop.tif", "memory.tif", "no|good.tif", "nothing.tif", "sub/ok.tif", "sub/😀.tif", "z.tif"]


@dataclass(frozen=True)
class Ran:
    """One run of the driver."""

    code: int
    out: Path
    said: str
    told: str

    def rows(self) -> dict[str, list[str]]:
        lines = (self.out / "images.tsv").read_text().splitlines()
        return {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:]}


PARAMETERS = "--parameters 'a \"b\" ü\\n' --expect count.csv"


def run(folder: Path, names: list[str], macro: str, copies: int = 1, options: str = PARAMETERS) -> list[Ran]:
    """Run the driver as CWL engines do: not root, nothing writable but the folder and /tmp, no network."""
    for name in names:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_text(name)
    (folder / "macro.ijm").write_text(macro)
    folder.chmod(0o777)
    words = "python3 /scripts/imagej_batch.py --macro macro.ijm --images images " + options
    words += " --class-path /usr/share/java/ij.jar --image-limit 4 --idle-limit 2 --heap-mib 400 --cpus 1"
    jobs = "".join(
        f"({words} --out-dir out{n} >out{n}.log 2>out{n}.err; echo $? >out{n}.rc) & " for n in range(copies)
    )
    command = ["docker", "run", "--rm", "--network", "none", "--read-only", "--user", "4711:4711"]
    command += ["--tmpfs", "/tmp", "-v", f"{folder}:/work", "-w", "/work"]
    command += ["-v", f"{assets.path('toolwrappers')}:/scripts:ro", images.ensure("imagej")]
    subprocess.run([*command, "sh", "-c", f"umask 0; {jobs} wait"], check=True, timeout=300)
    return [
        Ran(
            int((folder / f"out{n}.rc").read_text()),
            folder / f"out{n}",
            (folder / f"out{n}.log").read_text(),
            (folder / f"out{n}.err").read_text(),
        )
        for n in range(copies)
    ]


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Ran:
    return run(tmp_path_factory.mktemp("batch"), NAMES, MACRO)[0]


def test_every_image_has_a_row_and_the_exit_code_says_that_some_failed(batch: Ran) -> None:
    assert sorted(batch.rows()) == sorted(NAMES)
    assert batch.code == 1


def test_those_that_nothing_is_wrong_with_are_done(batch: Ran) -> None:
    done = {name for name, row in batch.rows().items() if row[0] == "done"}
    assert done == {"a ü'\"ok.tif", "flaky.tif", "sub/ok.tif", "sub/😀.tif", "z.tif"}
    for name in done:
        assert (batch.out / name / "count.csv").read_text() == 'said\na "b" ü\\n\n'


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash.tif", "ImageJ ended"),
        ("dialog.tif", "waited for 2 s, as for an answer to a dialog"),
        ("error.tif", "waited for 2 s, as for an answer to a dialog"),
        ("loop.tif", "not through after 4 s"),
        ("exit.tif", "the macro stopped: the macro had enough"),
        ("empty.tif", "count.csv is empty"),
        ("half.tif", "wrote no count.csv"),
        ("nothing.tif", "wrote no count.csv"),
        ("no|good.tif", "rename it"),
    ],
)
def test_a_failure_has_its_reason(batch: Ran, name: str, reason: str) -> None:
    assert batch.rows()[name][0] == "failed"
    assert reason in batch.rows()[name][3]


def test_an_image_that_does_not_fit_into_memory_fails(batch: Ran) -> None:
    assert batch.rows()["memory.tif"][0] == "failed"


def test_who_failed_was_tried_twice_the_others_once(batch: Ran) -> None:
    tries = {name: row[1] for name, row in batch.rows().items()}
    assert (tries["dialog.tif"], tries["flaky.tif"], tries["z.tif"], tries["no|good.tif"]) == (
        "2",
        "2",
        "1",
        "0",
    )


def test_the_dialog_that_nobody_answered_is_on_a_picture(batch: Ran) -> None:
    from PIL import Image

    with Image.open(batch.out / "dialog.tif" / "stuck.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 2, "a dialog with letters on an empty screen"


def test_the_failed_leave_nothing_else(batch: Ran) -> None:
    left = {f.relative_to(batch.out).as_posix() for f in batch.out.rglob("*") if f.is_file()}
    stuck = {path for path in left if path.endswith("stuck.png")}
    assert {"crash.tif/stuck.png", "half.tif/other.txt"}.isdisjoint(left)
    assert {path.rpartition("/")[2] for path in left - stuck} == {"count.csv", "images.tsv"}


def test_the_last_line_names_the_failed(batch: Ran) -> None:
    last = batch.told.splitlines()[-1]
    assert last.startswith("10 of 15 images failed: ")
    assert "dialog.tif (ImageJ waited" in last


def test_a_macro_that_fails_on_every_image_is_given_up(tmp_path: Path) -> None:
    names = [f"{number}.tif" for number in range(8)]
    (ran,) = run(tmp_path, names, 'run("Split Channels");')
    rows = [row for _, row in sorted(ran.rows().items())]
    assert ran.code == 1
    assert [(row[1], row[3].partition(":")[0]) for row in rows[:3]] == [("2", rows[0][3])] * 3
    assert [(row[1], row[3]) for row in rows[3:]] == [("0", "not tried: the first 3 images failed")] * 5


def test_jobs_on_one_machine_have_screens_and_preferences_of_their_own(tmp_path: Path) -> None:
    macro = 'given = split(getArgument(), "|"); wait(500); call("ij.Prefs.set", "lab.x", "1"); '
    macro += 'File.saveString(exec("printenv", "DISPLAY"), given[1] + "/count.csv");'
    ran = run(tmp_path, ["a.tif", "b.tif"], macro, copies=3)
    assert [one.code for one in ran] == [0, 0, 0]
    assert len({(one.out / "a.tif" / "count.csv").read_text() for one in ran}) == 3


def test_with_nothing_but_defaults_a_folder_in_the_folder_is_a_result(tmp_path: Path) -> None:
    macro = 'given = split(getArgument() + " ", "|"); File.makeDirectory(given[1] + "/deep"); '
    macro += 'File.saveString("<" + given[2] + ">", given[1] + "/deep/said.txt");'
    (ran,) = run(tmp_path, ["a.tif"], macro, options="")
    assert ran.code == 0, ran.told
    assert (ran.out / "a.tif/deep/said.txt").read_text().strip() == "< >"
