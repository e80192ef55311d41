"""The node type is near the cheapest mixture that trying all finds, and Toil itself takes as many nodes as planned."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocwl import cost, machine, template
from neurocwl.cost import IMAGE_GIB, Work
from neurocwl.duration import modelled
from neurocwl.nodes import NodeType, Shape, disk_for_jobs, memory_for_jobs, units_on, volume_gib
from neurocwl.packing import pack
from neurocwl.prices import only, snapshot
from tests.unit.node_packing import nodes_filled_once, pairs

ALL_AT_ONCE = 10**6  # nodes


def work(pipeline: str, units: int) -> Work:
    """Units of a shipped pipeline with its own resources and hours."""
    chosen = template.load(pipeline)
    asked = machine.asked(chosen, {})
    took = modelled(chosen, {}, asked["cpus"])
    assert took
    shape = Shape(asked["cpus"], asked["memory_mib"], asked["tmp_mib"] + asked["out_mib"])
    return Work(units, shape, took, units)


def toil(**request: Any) -> dict[str, Any]:
    """What Toil says (toil_packing.py)."""
    script = Path(__file__).with_name("toil_packing.py")
    done = subprocess.run(
        [sys.executable, str(script)], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("pipeline", ["fmriprep", "recon-all"])
@settings(max_examples=50, deadline=None)  # each tries some ten thousand mixtures
@given(units=st.integers(1, 400), region=st.sampled_from(["us-east-1", "eu-central-1", "ap-southeast-2"]))
def test_one_node_type_is_within_15_percent_of_every_mixture_of_two(
    pipeline: str, units: int, region: str
) -> None:
    wanted, prices = work(pipeline, units), snapshot(region)
    ours = cost.options(wanted, prices, ALL_AT_ONCE, spot=False)[0]
    assert ours.on_demand is not None
    assert ours.on_demand <= 1.15 * min(pairs(wanted, prices))


@settings(deadline=None)
@given(units=st.integers(1, 400))
def test_no_other_node_type_is_cheaper(units: int) -> None:
    wanted, prices = work("m2g", units), snapshot("us-east-1")
    best = cost.options(wanted, prices, ALL_AT_ONCE, spot=False)[0].on_demand
    one_kind = [-(-units // size) * dollars for size, dollars in nodes_filled_once(wanted, prices).items()]
    assert best == pytest.approx(min(one_kind))


@given(
    units=st.integers(1, 5000),
    at_once=st.integers(1, 64),
    hours=st.floats(0.1, 100),
    most=st.integers(1, 50),
    start=st.floats(0, 1),
)
def test_a_packing_has_room_for_all_units_and_no_node_too_many(
    units: int, at_once: int, hours: float, most: int, start: float
) -> None:
    packed = pack(units, at_once, hours, most, start)
    rounds = round((packed.hours - start) / hours)
    assert 1 <= packed.nodes <= most
    assert packed.nodes * at_once * rounds >= units
    assert units > packed.nodes * at_once * (rounds - 1), "the last round is needed"
    assert packed.nodes == 1 or units > (packed.nodes - 1) * at_once * rounds, "and so is the last node"
    busy = packed.node_hours - packed.nodes * start
    assert units * hours / at_once <= busy * 1.000001
    assert busy <= packed.nodes * rounds * hours * 1.000001


@given(cpus=st.integers(1, 16), memory=st.integers(512, 65536), disk=st.integers(1, 10**6))
def test_as_many_units_as_fit_and_no_more(cpus: int, memory: int, disk: int) -> None:
    shape = Shape(cpus, memory, disk)
    for node in (NodeType("volume", 32, 131072), NodeType("disk", 32, 131072, 1200)):
        units = units_on(node, shape, IMAGE_GIB)
        room = disk_for_jobs(node.disk_gib or volume_gib(units, shape, IMAGE_GIB)) - IMAGE_GIB * 1024
        assert units * cpus <= node.vcpus
        assert units * memory <= memory_for_jobs(node.memory_mib)
        assert units == 0 or units * disk <= room
        more = units + 1
        assert (
            more * cpus > node.vcpus
            or more * memory > memory_for_jobs(node.memory_mib)
            or more * disk > disk_for_jobs(node.disk_gib or 16384) - IMAGE_GIB * 1024
        )


def test_toil_leaves_to_jobs_what_we_say_on_every_node_type() -> None:
    prices = snapshot("us-east-1")
    shapes = toil(nodes=dict.fromkeys(prices.nodes, 200))["shapes"]
    for name, node in prices.nodes.items():
        cores, memory, disk = shapes[name]
        assert cores == node.vcpus
        assert memory == pytest.approx(memory_for_jobs(node.memory_mib), abs=1)
        assert disk == pytest.approx(disk_for_jobs(node.disk_gib or 200), abs=1)


@pytest.mark.parametrize("pipeline", ["fmriprep", "recon-all", "m2g"])
@pytest.mark.parametrize("rank", [0, 5])
def test_toil_takes_as_many_nodes_of_the_chosen_type_as_planned(pipeline: str, rank: int) -> None:
    wanted = work(pipeline, 101)
    option = cost.options(wanted, snapshot("us-east-1"), ALL_AT_ONCE, spot=False)[rank]
    shape = wanted.shape
    said = toil(
        nodes={option.node: option.volume_gib},
        shape=[shape.cpus, shape.memory_mib, shape.disk_mib],
        units=wanted.units,
        hours=wanted.duration.hours,
    )
    assert said["nodes"] == {option.node: option.packing.nodes}
    assert said["misfits"] == 0


def test_toil_never_takes_the_second_of_two_types_which_is_why_one_is_chosen() -> None:
    wanted = work("fmriprep", 30)
    prices = only(snapshot("us-east-1"), ["r5.2xlarge", "m5a.16xlarge"])
    small, large = prices.nodes
    shape = wanted.shape
    said = toil(
        nodes={small: 200, large: 900},
        shape=[shape.cpus, shape.memory_mib, shape.disk_mib],
        units=wanted.units,
        hours=wanted.duration.hours,
    )
    assert said["nodes"] == {small: 30, large: 0}
