"""What is refused before anything starts, and what `pipelines` writes and shows."""

from pathlib import Path

import pytest

from neurocwl.cli import main
from tests.e2e.conftest import write_dataset


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_dataset(tmp_path / "ds", ["01"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FS_LICENSE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan dataset ds --pipeline nifti-check --output linked/out", "among the raw data"),
        ("plan dataset linked --pipeline nifti-check --output ds/out", "among the raw data"),
        ("plan dataset ds/sub-01/.. --pipeline nifti-check --output .", "contains the dataset"),
        ("plan dataset ds --pipeline nifti-check --pipeline-dir nope", "--pipeline-dir nope"),
        ("plan dataset ds --pipeline nifti-check --exclude *", "nothing is selected"),
        ("plan dataset ds --pipeline nifti-check --cpus 0", "--cpus 0"),
        ("plan dataset ds --pipeline nifti-check --parameters nope.yml", "nope.yml: there is no such file"),
        ("job-order dataset ds --pipeline nifti-check -o ds/orders", "lies in the dataset"),
        ("job-order dataset ds --pipeline nifti-check -o s3://lab/orders", "local folder"),
        ("launch dataset ds --pipeline fmriprep --output out --rehearse --rehearse-fault 99=fail", "sub-99"),
        (
            "launch dataset ds --pipeline fmriprep --output out --dry-run --fs-license-file ds",
            "is not a file",
        ),
        ("pipelines export ds/participants.tsv", "participants.tsv"),
    ],
)
def test_it_is_refused_with_one_message(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    (here / "linked").symlink_to(here / "ds")
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (here / "out").exists()


def test_a_tool_whose_command_is_in_its_image_alone_needs_the_container(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "license.txt").write_text("a@example.org\n1\n *k\n FSk\n")
    words = "launch dataset ds --pipeline fmriprep --output out --fs-license-file license.txt --no-container"
    assert main([*words.split(), "--memory-mib", "512", "--tmp-mib", "1", "--out-mib", "1"]) == 2
    assert "needs the container" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_pipelines_show_names_every_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipelines", "show", "fmriprep"]) == 0
    shown = capsys.readouterr().out
    assert "--output-spaces" in shown
    assert "--ignore fieldmaps|slicetiming" in shown
