"""--max-cost before a launch: what is refused, with the ways out; and the tariff by which a launch is counted."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import cost, pricing
from neurocwl.cli import main
from neurocwl.cost import Estimate, Work
from neurocwl.duration import Duration
from neurocwl.nodes import Shape
from neurocwl.prices import only, snapshot
from tests.unit.test_cost import data  # noqa: F401 - a fixture

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(data: Path, capsys: pytest.CaptureFixture[str]) -> Command:  # noqa: F811
    """Plans or launches forty participants; gives the exit code and what was said."""

    def run(verb: str, pipeline: str, *words: str) -> tuple[int, str]:
        output = () if "--output" in words else ("--output", "out")
        code = main([verb, "dataset", "ds", "--pipeline", pipeline, *output, *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_plan_that_may_cost_as_much_is_no_error(command: Command) -> None:
    code, said = command("plan", "m2g", "--max-cost", "7")
    assert code == 0
    assert "40 units for $" in said


def test_a_plan_that_is_too_dear_is_shown_and_refused_with_the_ways_out(command: Command) -> None:
    dear = ("plan", "m2g", "--max-cost", "3.1", "--node-types", "m5a.4xlarge")
    code, said = command(*dear)
    assert code == 2
    assert "40 units for $" in said
    assert (
        "--max-cost $3.1000: 40 units are estimated at $10.37 on m5a.4xlarge on demand (1.00 h each:" in said
    )
    ways = re.search(r"\$7\.2\d+ more; the cheapest way is \$2\.2834: (.*); --limit (\d+) fits", said)
    assert ways
    assert command("plan", "m2g", "--max-cost", "2.2835", *ways[1].split())[0] == 0
    assert command(*dear, "--limit", ways[2])[0] == 0
    assert command(*dear, "--limit", str(int(ways[2]) + 1))[0] == 2


def test_the_cheapest_way_is_not_offered_to_who_takes_it(command: Command) -> None:
    _, said = command("plan", "m2g", "--max-cost", "0.01", "--spot")
    assert "cheapest way" not in said
    assert said.rstrip().endswith("more; not one unit fits")


def test_a_launch_that_is_too_dear_is_refused_before_anything_is_written(command: Command) -> None:
    code, said = command("launch", "m2g", "--max-cost", "3", "--node-types", "m5a.4xlarge")
    assert code == 2
    assert "--max-cost $3.0000: 40 units are estimated at" in said
    assert not Path("out").exists()


def test_a_launch_on_a_machine_of_one_s_own_is_priced_by_its_hour(command: Command) -> None:
    words = ("--dollars-per-hour", "0.4", "--hours-per-unit", "2", "--cpus", "1", "--memory-mib", "100")
    code, said = command("launch", "nifti-check", "--max-cost", "0.5", "--limit", "1", *words)
    assert code == 2
    assert "1 units are estimated at $0.8000 on this machine at $0.4000 an hour" in said
    assert said.rstrip().endswith("$0.3000 more; not one unit fits")


def test_a_detached_launch_that_is_too_dear_is_refused_here(command: Command) -> None:
    code, said = command(
        "launch", "m2g", "--max-cost", "3", "--node-types", "m5a.4xlarge", "--detach", "--backend", "local"
    )
    assert (code, "units are estimated at" in said) == (2, True)


def test_a_detached_launch_that_could_tell_nobody_is_refused_here(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROCWL_SLACK_WEBHOOK", raising=False)
    words = ("--detach", "--notify-slack", "--no-container", "--backend", "local")
    code, said = command("launch", "nifti-check", *words)
    assert (code, "NEUROCWL_SLACK_WEBHOOK is not set" in said) == (2, True)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("types", "priced"),
    [
        ("r5.2xlarge", "r5.2xlarge on demand"),
        ("r5.2xlarge:spot", "r5.2xlarge spot"),
        ("r5.2xlarge:0.3,r5.4xlarge:0.6", "r5.4xlarge spot"),
        ("r5.2xlarge,r5.4xlarge:spot", "r5.4xlarge on demand"),
    ],
)
def test_a_backend_s_own_node_types_are_priced_as_it_runs_them(
    command: Command, types: str, priced: str
) -> None:
    Path("own.yml").write_text(
        f"like: local\nbackend: own\nsettings: {{node_types: {{doc: x, default: '{types}'}}, max_nodes: {{doc: x, default: 3}}}}\n"
    )
    code, said = command("launch", "m2g", "--max-cost", "0.01", "--backend", "own.yml")
    assert code == 2
    assert f"on {priced} (1.00 h each" in said


def own_backend(types: str) -> tuple[str, str]:
    Path("own.yml").write_text(
        f"like: local\nbackend: own\nsettings: {{node_types: {{doc: x, default: '{types}'}}}}\n"
    )
    return "--backend", "own.yml"


def test_nodes_are_priced_in_the_region_that_they_are_in(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    dollars = []
    for region in ("us-east-1", "eu-west-1"):
        Path("own.yml").write_text(
            "like: local\nbackend: own\n"
            f"settings: {{node_types: {{doc: x, default: r5.2xlarge}}, region: {{doc: x, default: {region}}}}}\n"
        )
        _, said = command("launch", "m2g", "--max-cost", "0.01", "--backend", "own.yml")
        dollars += [float(number) for number in re.findall(r"are estimated at \$([0-9.]+)", said)]
    dear, cheap = dollars[1], dollars[0]
    assert dear > cheap


def test_without_a_budget_a_launch_needs_neither_hours_nor_prices(command: Command) -> None:
    code, said = command("launch", "nifti-check", "--dry-run", *own_backend("m5.large"))
    assert code == 0
    assert "no estimate: nobody knows how long a unit takes; m5.large on demand" in said
    code, said = command("launch", "nifti-check", "--dry-run", *own_backend("x9.metal"))
    assert (code, "estimate" in said) == (0, False)


def test_a_rehearsal_is_not_estimated_by_the_hours_of_the_real_thing(command: Command) -> None:
    words = ("--rehearse", "--dry-run", *own_backend("m5.4xlarge"))
    assert "no estimate: nobody knows" in command("launch", "m2g", *words)[1]
    assert (
        "nobody knows how long a unit of m2g takes" in command("launch", "m2g", *words, "--max-cost", "9")[1]
    )
    assert "estimated: $" in command("launch", "m2g", *words, "--hours-per-unit", "0.01")[1]


def test_with_a_budget_it_needs_both(command: Command) -> None:
    code, said = command("launch", "nifti-check", "--max-cost", "5", *own_backend("m5.large"))
    assert (code, "nobody knows how long a unit of nifti-check takes" in said) == (2, True)
    code, said = command("launch", "nifti-check", "--max-cost", "5", *own_backend("x9.metal"))
    assert (code, "x9.metal: no price for it in us-east-1" in said) == (2, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--max-cost", "5"), "what an hour costs on backend local is not known; give --dollars-per-hour"),
        (("--max-cost", "5", "--dollars-per-hour", "1"), "nobody knows how long a unit of nifti-check takes"),
        (("--max-cost", "0"), "--max-cost 0.0: must be more than 0"),
        (("--max-cost", "nan"), "--max-cost nan: must be more than 0"),
        (("--dollars-per-hour", "-1"), "--dollars-per-hour -1.0: must be more than 0"),
        (("--node-types", "m5.tiny", "--hours-per-unit", "1"), "--node-types m5.tiny: no price for it"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_fix(
    command: Command, words: tuple[str, ...], why: str
) -> None:
    code, said = command("launch", "nifti-check", *words)
    assert code == 2
    assert why in said


def test_node_types_may_be_written_as_toil_takes_them() -> None:
    assert pricing._types("m5.large:0.05, r5.large/r5a.large:0.02") == ["m5.large", "r5.large", "r5a.large"]


@given(
    st.integers(1, 500),
    st.integers(1, 8),
    st.integers(100, 20_000),
    st.floats(0.01, 50),
    st.sampled_from(["m5.2xlarge", "r5a.4xlarge", "m5.12xlarge"]),
    st.booleans(),
)
def test_units_that_take_as_long_as_estimated_cost_exactly_the_estimate(
    units: int, cpus: int, memory: int, hours: float, node: str, spot: bool
) -> None:
    work = Work(units, Shape(cpus, memory, 1000), Duration(hours, ""), 1)
    prices = only(snapshot("us-east-1"), [node])
    found = Estimate(work, prices, spot, 10, cost.options(work, prices, 10, spot), ())
    tariff = pricing.tariff_of(found)
    assert units * tariff.price(hours * 3600) == pytest.approx(tariff.dollars)
    assert min(tariff.per_unit_hour, tariff.start) >= 0
