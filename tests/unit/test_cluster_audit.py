"""`neurocwl cluster audit`: whose a thing is, what it costs, and whether anybody still uses it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import lease
from neurocwl.aws import audit, jobstores, things
from neurocwl.aws.inventory import Inventory, Unseen
from neurocwl.aws.things import Thing
from neurocwl.s3 import Access
from neurocwl.storage import open_location

LEADER = Thing("instance", "i-1", "us-west-2", "lab", hourly=0.1, role="leader")
WORKER = Thing("instance", "i-2", "us-west-2", "lab", hourly=0.5, role="worker")
ROLE = Thing("role", "lab_toil", "", "lab")
GROUP = Thing("autoscaling group", "toil-1", "us-west-2", "lab")
UNPRICED = Thing("volume", "vol-1", "us-west-2", "lab", hourly=None)
STORE = Thing("job store", "neurocwl-0", "", run="r", output="s3://lab/out", hourly=0.001)


def judged(
    found: Sequence[Thing], *, named: str = "", alive: bool = False, unseen: bool = False
) -> audit.Audit:
    lost = (Unseen("topic", "us-west-2", "ListTopics: AccessDenied"),) if unseen else ()
    return audit.judged(Inventory(tuple(found), lost), named, lambda _: alive)


def test_nothing_is_clean() -> None:
    assert judged([]).exit_code == 0


def test_what_a_living_cluster_costs_is_not_left() -> None:
    assert judged([LEADER, WORKER, GROUP, ROLE]).left == ()


@pytest.mark.parametrize("state", ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_whole_stack_is_a_living_cluster(state: str) -> None:
    assert judged([Thing("stack", "lab", "us-west-2", "lab", note=state), STORE, WORKER]).left == (STORE,)


@pytest.mark.parametrize("state", ["DELETE_FAILED", "ROLLBACK_COMPLETE", "CREATE_FAILED"])
def test_a_broken_stack_is_none(state: str) -> None:
    assert judged([Thing("stack", "lab", "us-west-2", "lab", note=state), WORKER]).left == (WORKER,)


@pytest.mark.parametrize("thing", [WORKER, UNPRICED, STORE])
def test_what_costs_and_belongs_to_nothing_that_lives_is_left(thing: Thing) -> None:
    assert judged([thing]).exit_code == 1


def test_a_group_that_brings_instances_is_left_though_it_is_free() -> None:
    assert judged([GROUP]).left == (GROUP,)


def test_what_is_free_is_shown_and_not_left() -> None:
    found = judged([ROLE])
    assert (found.exit_code, len(found.things)) == (0, 1)


def test_of_a_named_cluster_anything_is_left() -> None:
    assert judged([ROLE], named="lab").exit_code == 1
    assert judged([LEADER], named="lab").exit_code == 1


def test_a_job_store_is_in_use_while_a_launch_writes_to_its_output() -> None:
    assert judged([STORE], alive=True).exit_code == 0


def test_what_could_not_be_looked_for_is_never_clean() -> None:
    assert judged([], unseen=True).exit_code == 3


def test_an_output_is_written_to_while_its_lease_lives(tmp_path: object) -> None:
    url = f"{tmp_path}/out"
    assert not audit.writes(url, Access())
    with lease.held(open_location(url, Access()), "run", lambda _: None):
        assert audit.writes(url, Access())
    assert not audit.writes(url, Access())


def test_json_says_of_each_thing_whether_it_is_left() -> None:
    since = datetime(2026, 11, 21, 12, tzinfo=UTC)
    document = judged([replace(WORKER, since=since), ROLE]).as_dict()
    assert [(one["id"], one["left"], one["in_use"]) for one in document["things"]] == [
        ("i-2", True, False),
        ("lab_toil", False, False),
    ]
    assert document["things"][0]["since"] == "2026-11-21T12:00:00+00:00"
    assert (document["usd_per_hour"], document["usd_per_month"]) == (0.5, 365.0)


def test_a_job_store_is_told_its_run_and_output_beside_what_toil_was_told_before() -> None:
    before = {"TOIL_AWS_TAGS": '{"neurocwl:cluster": "lab"}'}
    found = json.loads(jobstores.tags("run-1", "s3://lab/out", before)["TOIL_AWS_TAGS"])
    assert found == {"neurocwl:cluster": "lab", "neurocwl:run": "run-1", "neurocwl:output": "s3://lab/out"}


def test_data_and_machine_images_are_shown_and_never_left() -> None:
    data = Thing("data bucket", "lab-data", "", "lab", hourly=1.0, kept=True)
    found = judged([data], named="lab")
    assert (found.exit_code, found.left, found.hourly) == (0, (), 1.0)


TOIL = {"clusterName": "lab", "ToilNodeType": "worker"}


@pytest.mark.parametrize(
    ("tags", "cluster"),
    [
        (TOIL, "lab"),
        ({"neurocwl:cluster": "lab"}, "lab"),
        ({**TOIL, "neurocwl:cluster": "lab", "kubernetes.io/cluster/lab": ""}, "lab"),
        ({"clusterName": "lab"}, ""),
        ({"kubernetes.io/cluster/lab": "owned"}, ""),
        ({**TOIL, "neurocwl:cluster": "other"}, "lab | other"),
        ({"neurocwl:cluster": "lab", "kubernetes.io/cluster/other": "owned"}, "lab | other"),
        ({}, ""),
    ],
    ids=str,
)
def test_tags_say_whose_a_thing_is(tags: dict[str, str], cluster: str) -> None:
    assert things.owner(tags) == cluster


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(NAMES)
def test_a_cluster_is_known_again_by_what_toil_calls_its_role(name: str) -> None:
    assert things.cluster_of_toil_name(things.toil_name(name)) == name
    assert things.toil_takes(name, things.toil_name(name)) == (
        "--" not in name
    )  # Toil's own destroy misses it


@given(NAMES, NAMES)
def test_two_clusters_never_have_one_role_or_one_bucket(one: str, other: str) -> None:
    if one != other:
        assert things.toil_name(one) != things.toil_name(other)
        assert things.internal_bucket(one) != things.internal_bucket(other)


def test_the_role_of_a_longer_name_is_one_that_toil_takes() -> None:
    assert things.toil_takes("lab", "lab_x_toil")
    assert things.toil_takes("lab", "lab_reader")
    assert not things.toil_takes("lab", "laboratory_toil")
    assert not things.toil_takes("lab-x", "lab_toil")


def test_toil_itself_names_and_takes_roles_as_we_say() -> None:
    """Every cluster against every other's role, and some names that people give."""
    clusters = ["lab", "lab-x", "lab-x-1", "lab--x", "laboratory", "a", "a-toil", "x1"]
    roles = [
        *(things.toil_name(name) for name in clusters),
        "lab_reader",
        "lab",
        "lab-reader",
        "x_lab_toil",
        "lab__a",
    ]
    pairs = [(cluster, role) for cluster in clusters for role in roles]
    script = Path(__file__).with_name("toil_names.py")
    done = subprocess.run(
        [sys.executable, str(script)], input=json.dumps(pairs), capture_output=True, text=True, check=True
    )
    for (cluster, role), (own, takes) in zip(pairs, json.loads(done.stdout), strict=True):
        assert (cluster, own) == (cluster, things.toil_name(cluster))
        assert (cluster, role, takes) == (cluster, role, things.toil_takes(cluster, role))
