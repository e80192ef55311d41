"""A second plan at an output knows from the receipts of the first run how long a unit takes and what it leaves."""

import json

import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def test_what_earlier_units_took_and_left_is_what_the_next_ones_are_planned_with(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01", "02"]), "ds")
    words = ("dataset", lab.url("ds"), "--pipeline", "nifti-check", "--output", lab.url("out"))
    unknown = lab.run("plan", *words, "--prices")
    assert unknown.code == 2
    assert "nobody knows how long a unit of nifti-check takes" in unknown.err

    ended = lab.run("launch", *words, "--participant-label", "01")
    assert ended.code == 0, ended.err
    receipt = json.loads(lab.read("out/.neurocwl/units/sub-01/receipt.json"))
    seconds = receipt["attempts"][-1]["seconds"]
    assert 0 < seconds < 600

    prices = lab.run("plan", *words, "--prices", "--json").json["prices"]
    assert prices["units"] == 1
    assert prices["hours_per_unit"] == seconds / 3600
    assert prices["hours_source"] == "median of 1 receipts at the output"
    delivered = [written for written in receipt["manifest"] if not written["path"].startswith(".neurocwl/")]
    stored = next(line for line in prices["other"] if line["what"] == "storage per month")
    assert stored["dollars"] == pytest.approx(sum(w["size"] for w in delivered) / 1e9 * 0.023)
