"""A launch with nothing to run is a run all the same: status goes by its plan. Without containers."""

import shutil

from tests.e2e.conftest import Lab, write_dataset


def test_status_knows_of_a_participant_whose_folder_went_though_nothing_ran(lab: Lab) -> None:
    dataset = write_dataset(lab.folder / "ds", ["01", "02"])
    output = str(lab.folder / "out")
    words = (
        "launch",
        "dataset",
        str(dataset),
        "--pipeline",
        "nifti-check",
        "--output",
        output,
        "--no-container",
    )
    first = lab.run(*words)
    assert first.code == 0, first.err
    shutil.rmtree(dataset / "sub-02")
    (lab.folder / "out" / "dataset_description.json").unlink()
    second = lab.run(*words)
    assert second.code == 1
    assert "nothing to run" in second.err
    assert lab.run("status", output, "--json").statuses() == {"sub-01": "done", "sub-02": "incomplete"}
    assert lab.run("verify", output).code == 0, "the description is written anew"
