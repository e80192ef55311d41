"""What a cluster may be: node types, names and addresses, and what Toil is told. Toil itself reads its options."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import backend, prices
from neurocwl.aws import create, harden, nodetypes, session, toilcluster
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access
from tests import clouds

WEST = prices.snapshot("us-west-2")


def spec(**changed: object) -> toilcluster.Spec:
    usual: dict[str, object] = {
        "name": "lab",
        "backend": "aws",
        "type": "kubernetes",
        "zone": "us-west-2a",
        "key_pair": "mine",
        "appliance": "registry.example/appliance:1",
        "leader_type": "m5.large",
        "leader_disk_gib": 80,
        "kinds": nodetypes.parse("m5.4xlarge,r5.2xlarge:0.3", WEST),
        "node_disk_gib": 200,
        "max_nodes": 5,
    }
    return toilcluster.Spec(**{**usual, **changed})  # type: ignore[arg-type]


def test_on_demand_comes_before_spot_and_spot_without_a_bid_costs_at_most_the_price_on_demand() -> None:
    kinds = nodetypes.parse("r5.2xlarge:spot, m5.4xlarge", WEST)
    assert [str(kind) for kind in kinds] == ["m5.4xlarge", f"r5.2xlarge:{WEST.on_demand['r5.2xlarge']:g}"]


def test_types_of_one_shape_may_stand_for_each_other() -> None:
    (kind,) = nodetypes.parse("r5.2xlarge/r5a.2xlarge/r6i.2xlarge:0.4", WEST)
    assert kind.types == ("r5.2xlarge", "r5a.2xlarge", "r6i.2xlarge")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("r5.2xlarge,m5.4xlarge", "both on demand"),
        ("r5.2xlarge:0.2,m5.4xlarge:0.3", "both as spot"),
        ("r5.2xlarge/m5.4xlarge:0.3", "one shape"),
        ("m5.4xlarge/m5d.4xlarge", "one shape"),
        ("r5.2xlrge", "no price is known"),
        ("", "no price is known"),
        ("r5.2xlarge:", None),
        ("r5.2xlarge:cheap", "dollars per hour"),
        ("r5.2xlarge:-1", "dollars per hour"),
        ("r5.2xlarge:nan", "dollars per hour"),
        ("r5.2xlarge:inf", "dollars per hour"),
    ],
)
def test_what_toils_bin_packing_would_misjudge_and_what_cannot_be_read_is_refused(
    text: str, why: str | None
) -> None:
    if why is None:  # a colon with nothing behind it is no bid
        assert nodetypes.parse(text, WEST)[0].bid is None
        return
    with pytest.raises(BadInput, match=why):
        nodetypes.parse(text, WEST)


@pytest.mark.parametrize(
    "name", ["Lab", "lab_1", "1lab", "lab-", "a" * 41, "enabled", "lab--x", "", "lab;ls"]
)
def test_names_that_aws_or_toil_would_refuse_are_refused_at_once(name: str) -> None:
    with pytest.raises(BadInput, match="a name is"):
        spec(name=name)


@pytest.mark.parametrize("field", ["max_nodes", "node_disk_gib", "leader_disk_gib"])
def test_none_of_something_is_refused(field: str) -> None:
    with pytest.raises(BadInput, match="at least 1"):
        spec(**{field: 0})


def test_toil_reads_its_node_types_as_they_were_meant() -> None:
    """Asked of Toil's own parser, in a process of its own."""
    words = toilcluster.command(spec())
    given_types = next(word for word in words if word.startswith("--nodeTypes=")).partition("=")[2]
    code = "import sys; from toil.provisioners import parse_node_types as p; print(p(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, given_types], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[({'m5.4xlarge'}, None), ({'r5.2xlarge'}, 0.3)]"
    assert "--workers=0-5,0-5" in words


def test_a_mesos_cluster_is_made_without_workers() -> None:
    words = toilcluster.command(spec(type="mesos"))
    assert not [word for word in words if word.startswith(("--nodeTypes", "--workers"))]


def test_tags_keep_to_letters_that_every_service_takes() -> None:
    for value in spec().tags.values():
        assert all(letter.isalnum() or letter in " +-=._:/@" for letter in value), value


def test_a_plan_decides_type_disk_and_count(tmp_path: Path) -> None:
    options = [
        {"node_type": "r5.2xlarge", "nodes": 4, "volume_gib": 311},
        {"node_type": "m5.4xlarge", "nodes": 3, "volume_gib": 500},
    ]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"prices": {"market": "spot", "node_types": options}}))
    assert nodetypes.from_plan(file) == {
        "node_types": "r5.2xlarge:spot",
        "max_nodes": "4",
        "node_disk": "311",
    }
    options[0]["volume_gib"] = 0  # a type with disks of its own
    file.write_text(json.dumps({"prices": {"market": "on-demand", "node_types": options}}))
    assert nodetypes.from_plan(file) == {"node_types": "r5.2xlarge", "max_nodes": "4"}


@pytest.mark.parametrize("text", ["", "{}", '{"prices": null}', '{"prices": {"node_types": []}}'])
def test_a_plan_without_prices_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(BadInput, match="--prices --json"):
        nodetypes.from_plan(tmp_path / "plan.json")


def test_tags_of_ones_own_are_added() -> None:
    own = toilcluster.tags(["project=memory", "cost centre=4711"])
    assert {"project": "memory", "cost centre": "4711"}.items() <= spec(own_tags=own).tags.items()


@pytest.mark.parametrize(
    "words",
    [["project"], ["=x"], ["neurocwl:cluster=other"], ["aws:x=1"], ["Name=x"], ["a=b,c"], list("abcde")],
)
def test_tags_that_some_service_would_not_take_are_refused(words: list[str]) -> None:
    with pytest.raises(BadInput, match="--tag"):
        toilcluster.tags(words if len(words) == 1 else [f"{word}=1" for word in words])


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z0-9]{1,3}){0,3}", fullmatch=True)


@given(NAMES, NAMES)
def test_roles_are_in_the_way_when_toil_would_take_one_for_the_others(one: str, other: str) -> None:
    """Written after Toil 9.6: a role is a cluster's when it begins as the cluster's name space."""

    def role(name: str) -> str:
        return f"{name}-toil".replace("-", "_")

    def toil_takes(cluster: str, of: str) -> bool:
        return ("/" + role(of).replace("_", "/")).startswith("/" + cluster.replace("-", "/") + "/")

    confused = one != other and (toil_takes(one, other) or toil_takes(other, one))
    assert bool(toilcluster.in_the_way(one, [role(other)])) == confused


def test_other_peoples_roles_are_in_nobodys_way() -> None:
    assert (
        toilcluster.in_the_way("lab", ["lab", "lab_admin", "AWSServiceRoleForSupport", "laboratory_toil"])
        == []
    )


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("10.0.0.0/8", "10.0.0.0/8"),
    ],
)
def test_addresses_and_blocks_may_be_let_in(text: str, block: str) -> None:
    assert harden.network(text) == block


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/3", "anywhere", "", "192.0.2.300"]
)
def test_nobody_lets_in_the_world(text: str) -> None:
    with pytest.raises(BadInput, match="--ssh-from"):
        harden.network(text)


def test_an_address_service_that_does_not_answer_names_the_way_out() -> None:
    with pytest.raises(InfrastructureError, match="--ssh-from"):
        harden.own_address("http://127.0.0.1:9/")


@pytest.mark.parametrize("capacity", [backend.ON_DEMAND, backend.SPOT])
@pytest.mark.parametrize("name", ["aws", "aws-mesos"])
def test_toil_takes_every_option_of_the_profiles(name: str, capacity: str) -> None:
    """Asked of toil-cwl-runner: an option that it does not know, or without the value that it needs, ends it."""
    settings = {
        "region": "us-west-2",
        "image": "registry.example/appliance:1",
        "node_types": "m5.4xlarge,r5.2xlarge:0.3",
        "max_nodes": "5,5",
        "only_spot": "True",
    }
    options = backend.load(name, (), settings).toil_options(capacity, digest="d", run="r")
    toil = str(Path(sys.executable).parent / "toil-cwl-runner")
    done = subprocess.run([toil, *options, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--defaultPreemptible=True" in options


def test_what_aws_does_not_answer_while_a_leader_boots_does_not_end_toil(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Toil that is ended half way leaves a machine that nothing ends. Here it fails by itself, by its options."""
    for name, value in clouds.variables("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(create, "LOOK", 0.01)
    ec2 = session.client(Access(), "ec2", attempts=1)  # of nobody who answers
    failed = create._launch(spec(type="none"), Access(), ec2, "cluster lab")
    assert "invalid choice" in failed
