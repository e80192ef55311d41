"""Doctor and launch on one machine: real docker, a real S3 server; and the checklist that a rehearsal walks through."""

from pathlib import Path

import pytest

from neurocwl import checklist
from tests.e2e.conftest import Lab, Result, write_dataset

ROOT = Path(__file__).parents[2]


def words(lab: Lab, *more: str) -> list[str]:
    licence = ["--fs-license-file", str(lab.licence)]
    return [*more, "--pipeline", "fmriprep", "--output", lab.url("out"), "--rehearse", *licence]


def statuses(found: Result) -> dict[str, str]:
    return {one["check"]: one["status"] for one in found.json["checks"]}


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
def test_doctor_finds_nothing_and_the_rehearsal_ticks_what_it_has_seen(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01", "02"]), "ds")
    asked = lab.run(*words(lab, "doctor", "--dataset", lab.url("ds"), "--json"))
    assert asked.code == 0, asked.out
    assert {
        "programs": "ok", "work-dir": "ok", "s3": "ok", "region": "ok", "dataset": "ok", "output": "ok",
        "conditional-writes": "ok", "engine": "ok", "image": "ok", "architecture": "ok", "unit": "ok", "licence": "ok",
    }.items() <= statuses(asked).items()  # fmt: skip
    assert lab.keys("out") == {}

    ran = lab.run(
        *words(lab, "launch", "dataset", lab.url("ds"), "--rehearse-fault", "02=fail", "--backend", "local")
    )
    assert ran.code == 1, ran.err
    lines = ran.out.partition("docs/first-real-run.md")[2].splitlines()[1:]
    ticked = [line for line in lines if line.startswith("  [x]")]
    left = [line for line in lines if line.startswith("  [ ]")]
    assert any("A unit that fails" in line and "sub-02 failed, " in line for line in ticked)
    assert any("No bucket of a job store is left. Seen:" in line for line in ticked)
    assert any("Every unit of the rehearsal has its receipt. Look: neurocwl status" in line for line in left)
    assert any("One real participant" in line for line in left)
    assert not any("cluster" in line for line in lines), "items of other backends are left out"


def test_a_launch_that_could_not_run_is_refused_before_anything_is_written(lab: Lab, tmp_path: Path) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    own = tmp_path / "own.yml"
    own.write_text(
        "like: kubernetes\nbackend: own\nset: {image: registry.example/neurocwl:1}\nnode: {cpus: 2, memory_mib: 4000}\n"
    )
    done = lab.run(
        "launch", "dataset", lab.url("ds"), "--pipeline", "nifti-check", "--output", lab.url("out"),
        "--backend", str(own), "--no-container", KUBECONFIG=str(tmp_path / "absent"),
    )  # fmt: skip
    assert done.code == 2, done.err
    assert "absent" in done.err
    assert "write one (aws eks update-kubeconfig" in done.err
    assert lab.keys("out") == {}


def test_the_page_of_the_first_real_run_is_made_from_the_checklist() -> None:
    """Renew: python -c 'from neurocwl import checklist; print(checklist.page(), end="")' > docs/first-real-run.md."""
    assert (ROOT / "docs/first-real-run.md").read_text() == checklist.page()


def test_every_item_of_the_checklist_is_seen_by_something_that_there_is() -> None:
    found = checklist.items()
    assert len({item.name for item in found}) == len(found)
    assert {item.seen_by for item in found} - {None} == set(checklist.PROOFS)
