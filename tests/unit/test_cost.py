"""What a plan costs, by the code from the table: the targets, where hours come from, and what is said of it."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurocwl import cost, template
from neurocwl.chart import Point, front, svg
from neurocwl.cli import main
from neurocwl.cost import Results, Work
from neurocwl.duration import Duration, measured, modelled
from neurocwl.nodes import Shape
from neurocwl.prices import snapshot
from neurocwl.receipts import Receipt, Written
from tests.unit.price_api import answering
from tests.unit.test_packing import ALL_AT_ONCE, work
from tests.unit.test_plan import receipt

Plan = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of forty participants with a T1w, a BOLD and a diffusion image each, in ./ds."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "ds"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "forty", "BIDSVersion": "1.9.0"}')
    ends = ("anat/{}_T1w.nii.gz", "func/{}_task-x_bold.nii.gz", "dwi/{}_dwi.nii.gz", "dwi/{}_dwi.bval", "dwi/{}_dwi.bvec")  # fmt: skip
    for number in range(1, 41):
        unit = f"sub-{number:02}"
        for end in ends:
            file = root / unit / end.format(unit)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{unit} {end}")
    return root


@pytest.fixture
def planned(data: Path, capsys: pytest.CaptureFixture[str]) -> Plan:
    """Runs plan dataset; gives its prices as JSON, or (code, stdout, stderr)."""

    def run(pipeline: str, *words: str) -> Any:
        code = main(["plan", "dataset", "ds", "--pipeline", pipeline, *words])
        said = capsys.readouterr()
        return (
            json.loads(said.out)["prices"] if "--json" in words and code == 0 else (code, said.out, said.err)
        )

    return run


# The targets


def per_unit(pipeline: str, units: int, *, spot: bool) -> float:
    wanted = work(pipeline, units)
    return cost.options(wanted, snapshot("us-east-1"), cost.MOST_NODES, spot)[0].dollars(spot) / units


@pytest.mark.parametrize("scans", [200, 1000, 10_000])
def test_m2g_costs_at_most_what_ndmg_says_on_spot_nodes(scans: int) -> None:
    assert per_unit("m2g", scans, spot=True) <= 0.05


def test_m2g_on_demand_costs_more_than_what_ndmg_says() -> None:
    assert 0.11 < per_unit("m2g", 1000, spot=False) < 0.13, (
        "r5.large on demand is $0.126 an hour: ndmg's was spot"
    )


@pytest.mark.parametrize(("pipeline", "dollars"), [("fmriprep", 3.32), ("recon-all", 1.31)])
def test_what_a_participant_costs_on_demand(pipeline: str, dollars: float) -> None:
    assert per_unit(pipeline, 1000, spot=False) == pytest.approx(dollars, rel=0.02)


# Hours


def test_more_cpus_make_fmriprep_faster_up_to_sixteen_and_surfaces_are_most_of_it() -> None:
    chosen = template.load("fmriprep")

    def hours(cpus: int, **parameters: Any) -> float:
        found = modelled(chosen, parameters, cpus)
        assert found
        return found.hours

    volumes = {cpus: hours(cpus, fs_no_reconall=True) for cpus in (4, 8, 16, 32)}
    assert volumes[4] == pytest.approx(2, rel=0.02)
    assert volumes[16] == pytest.approx(1, rel=0.02)
    assert volumes[32] == volumes[16]
    assert hours(8) == pytest.approx(volumes[8] + 8)


def took(unit: str, seconds: Any, **changes: Any) -> Receipt:
    attempt = {"attempt": "a", "run": "r1", "status": "done", "reason": "", "exit_code": 0, "logs": []}
    return receipt(unit, "key", attempts=({**attempt, "seconds": seconds},), **changes)


def test_the_median_of_what_units_took_replaces_the_model() -> None:
    chosen = template.load("recon-all")
    receipts = [took("sub-1", 3600), took("sub-2", 7200), took("sub-3", 36000)]
    assert measured(receipts, {}, chosen, {}, 4) == Duration(2.0, "median of 3 receipts at the output")


@pytest.mark.parametrize(
    "useless",
    [
        took("sub-1", 3600, status="failed"),
        took("sub-1", 3600, rehearsal=True),
        took("sub-1", None),
        took("sub-1", "3600"),
        took("sub-1", 0),
        receipt("sub-1", "key"),
    ],
    ids=["failed", "rehearsed", "unknown", "a word", "nothing", "no attempt"],
)
def test_a_receipt_that_tells_nothing_of_hours_is_passed_over(useless: Receipt) -> None:
    chosen = template.load("recon-all")
    assert measured([useless], {}, chosen, {}, 4) is None
    both = measured([useless, took("sub-2", 7200)], {}, chosen, {}, 4)
    assert both == Duration(2.0, "median of 1 receipts at the output")


def test_what_was_measured_with_other_cpus_is_made_up_for_by_the_model() -> None:
    chosen = template.load("fmriprep")
    without = {"fs_no_reconall": True}
    found = measured([took("sub-1", 4 * 3600)], {"r1": 4}, chosen, without, 16)
    assert found
    assert found.hours == pytest.approx(2, rel=0.02), "sixteen CPUs take half the time of four"


# Storage, requests, transfer


def test_results_are_as_large_as_earlier_ones_and_at_most_as_reserved_before_there_are_any() -> None:
    files = tuple(Written(f"sub-1/{n}", 500, "x", "x") for n in range(4))
    partial = tuple(Written(f".neurocwl/units/sub-2/attempts/a/outputs/{n}", 10**9, "x", "x") for n in "ab")
    done, failed = (
        receipt("sub-1", "k", manifest=files),
        receipt("sub-2", "k", status="failed", manifest=partial),
    )
    assert cost.results_of([done, failed], 1000) == Results(2000, 4, "median of 1 receipts at the output")
    assert cost.results_of([failed], 1000).size == 1000 * 2**20


def test_storage_and_requests_are_priced_for_all_units_and_transfer_within_a_region_is_free() -> None:
    wanted = Work(1000, Shape(1, 1024, 1024), Duration(1, ""), input_files=20_000)
    found = {
        line.what: line.dollars for line in cost.lines(wanted, Results(10**9, 90, ""), snapshot("us-east-1"))
    }
    assert found["storage per month"] == pytest.approx(1000 * 0.023)
    assert found["requests"] == pytest.approx(80_000 * 0.0000004 + 100_000 * 0.000005)
    assert found["transfer"] == 0


# The command


def test_the_plan_has_prices_in_a_documented_form(planned: Plan) -> None:
    found = planned("recon-all", "--prices", "--json", "--region", "eu-central-1", "--max-nodes", "7")
    assert (found["region"], found["prices_date"], found["market"]) == (
        "eu-central-1",
        "2025-03-02",
        "on-demand",
    )
    assert (found["units"], found["hours_per_unit"], found["max_nodes"]) == (40, 8, 7)
    ranked = [option["on_demand"] for option in found["node_types"]]
    assert ranked == sorted(ranked)
    assert found["dollars"] == ranked[0]
    assert found["dollars_per_unit"] == pytest.approx(ranked[0] / 40)
    assert all(option["nodes"] <= 7 for option in found["node_types"])
    assert {line["what"] for line in found["other"]} == {"storage per month", "requests", "transfer"}


def test_without_the_option_there_are_no_prices(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "dataset", "ds", "--pipeline", "m2g", "--json"]) == 0
    assert "prices" not in json.loads(capsys.readouterr().out)


def test_the_table_for_people_has_what_the_figures_rest_on(planned: Plan) -> None:
    _, out, _ = planned("m2g", "--prices", "--node-types", "r5a.4xlarge, m5a.4xlarge")
    assert "40 units for $6.1951 on demand on r5a.4xlarge" in out
    for words in (
        "prices of 2025-03-02, us-east-1",
        "hours per unit: 1.00 (the authors of ndmg",
        "spot: 35% of on demand, an assumption",
        "at most 10 nodes at once (--max-nodes)",
        "at most, what the tool reserves",
    ):
        assert words in out


def test_a_user_s_resources_and_hours_count(planned: Plan) -> None:
    smaller = planned("m2g", "--prices", "--json", "--memory-mib", "7000", "--hours-per-unit", "0.5")
    assert smaller["hours_source"] == "--hours-per-unit"
    assert smaller["dollars"] < planned("m2g", "--prices", "--json")["dollars"] / 2


def test_spot_ranks_by_spot_prices(planned: Plan) -> None:
    found = planned("m2g", "--prices", "--spot", "--json")
    spot = [option["spot"] for option in found["node_types"]]
    assert found["market"] == "spot"
    assert (found["dollars"], spot) == (spot[0], sorted(spot))


def test_live_prices_and_their_date_are_in_the_plan(planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    on_demand = {"m5a.2xlarge": "0.5000000000"}
    with answering(on_demand, [("m5a.2xlarge", "us-west-2a", "0.2", "2026-11-21T10:00:00Z")]) as url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        words = ("--live-prices", "--region", "us-west-2", "--node-types", "m5a.2xlarge,r5a.4xlarge")
        found = planned("fmriprep", "--prices", "--json", *words)
    assert [option["node_type"] for option in found["node_types"]] == ["m5a.2xlarge"]
    assert found["prices_date"] > "2026"
    assert found["prices_source"] == "AWS Price List API, us-west-2"


def test_a_plot_is_an_svg_of_every_node_type(planned: Plan, tmp_path: Path) -> None:
    planned("recon-all", "--plot", "prices.svg")
    found = planned("recon-all", "--prices", "--json")
    root = ElementTree.parse(tmp_path / "prices.svg").getroot()
    titles = [t.text or "" for t in root.iterfind(".//{*}circle/{*}title")]
    named = {title.partition(":")[0] for title in titles}
    assert named == {option["node_type"] for option in found["node_types"]}


def test_of_choices_those_count_than_which_none_is_faster_and_cheaper() -> None:
    points = [Point("slow", 9, 1), Point("bad", 9, 2), Point("quick", 1, 5), Point("worse", 2, 6)]
    assert [point.name for point in front(points)] == ["quick", "slow"]
    ElementTree.fromstring(svg("a < b & c", points))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nifti-check", "--prices"), "nobody knows how long a unit of nifti-check takes"),
        (("m2g", "--prices", "--region", "mars-1"), "--region mars-1: no prices"),
        (("m2g", "--node-types", "r5.tiny"), "--node-types r5.tiny: no price for it in us-east-1"),
        (("m2g", "--node-types", "r5.large"), "no node type of r5.large has a price and room"),
        (("m2g", "--prices", "--memory-mib", "9000000"), "no node type in us-east-1 has a price and room"),
        (("m2g", "--prices", "--cpus", "0"), "--cpus 0: must be 1 or more"),
        (("m2g", "--max-nodes", "0"), "--max-nodes 0: must be 1 or more"),
        (("m2g", "--hours-per-unit", "nan"), "--hours-per-unit nan: must be more than 0"),
        (("m2g", "--plot", "prices.png"), "--plot prices.png: must be an .svg file in a folder that exists"),
        (("m2g", "--plot", "no/prices.svg"), "--plot no/prices.svg: must be an .svg file"),
    ],
)
def test_what_cannot_be_priced_is_refused_with_the_fix(
    planned: Plan, words: tuple[str, ...], said: str
) -> None:
    code, _, err = planned(*words)
    assert code == 2
    assert said in err


def test_nothing_to_run_has_no_price(planned: Plan, data: Path) -> None:
    for file in data.glob("sub-*/dwi/*.bval"):
        file.unlink()
    code, out, _ = planned("m2g", "--prices")
    assert code == 0
    assert "no price: nothing is to be run" in out
    assert planned("m2g", "--prices", "--json") is None


def test_with_all_nodes_at_once_the_fastest_choice_takes_one_round() -> None:
    options = cost.options(work("m2g", 300), snapshot("us-east-1"), ALL_AT_ONCE, spot=False)
    assert min(option.packing.hours for option in options) == pytest.approx(1 + cost.START_HOURS)
