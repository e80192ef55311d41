"""What a registry says of an image, without pulling it."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl.checks import image, registry
from neurocwl.checks.finding import FAILED, OK, UNKNOWN, WARNING, Finding
from neurocwl.errors import BadInput, InfrastructureError
from tests.unit.image_registry import GIB, USER, running

NAMES = st.lists(st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True), min_size=2, max_size=3).map(
    "/".join
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(
    host=st.sampled_from(["ghcr.io", "localhost:5000", "1.dkr.ecr.us-east-1.amazonaws.com"]),
    name=NAMES,
    tag=TAGS,
)
def test_a_name_with_host_and_tag_is_taken_apart(host: str, name: str, tag: str) -> None:
    assert registry.parse(f"{host}/{name}:{tag}") == registry.Reference(host, name, tag)


@given(name=NAMES, tag=TAGS)
def test_a_name_without_host_is_docker_hubs(name: str, tag: str) -> None:
    assert registry.parse(f"{name}:{tag}") == registry.Reference(registry.DOCKER_HUB, name, tag)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    with contextlib.suppress(BadInput):
        found = registry.parse(text)
        assert found.repository
        assert found.version


@pytest.mark.parametrize(
    ("text", "repository", "version"),
    [
        ("debian", "library/debian", "latest"),
        ("docker.io/debian:12", "library/debian", "12"),
        ("nipreps/fmriprep@sha256:ab", "nipreps/fmriprep", "sha256:ab"),
        ("nipreps/fmriprep:25.2@sha256:ab", "nipreps/fmriprep", "sha256:ab"),
    ],
)
def test_docker_hub_has_short_names(text: str, repository: str, version: str) -> None:
    assert registry.parse(text) == registry.Reference(registry.DOCKER_HUB, repository, version)


def test_an_index_names_every_architecture_with_its_size() -> None:
    with running({"lab/tool:1": {"amd64": 6 * GIB, "arm64": 5 * GIB}}) as address:
        assert registry.look(f"{address}/lab/tool:1", {}).packed == {"amd64": 6 * GIB, "arm64": 5 * GIB}


def test_a_single_manifest_says_its_architecture_in_its_configuration() -> None:
    with running({"lab/tool:1": {"amd64": 6 * GIB}}) as address:
        assert registry.look(f"{address}/lab/tool:1", {}).packed == {"amd64": 6 * GIB}


def test_an_image_that_is_not_there_is_named() -> None:
    with (
        running({"lab/tool:1": {"amd64": 1}}) as address,
        pytest.raises(BadInput, match="no such image; push it"),
    ):
        registry.look(f"{address}/lab/tool:2", {})


def test_a_private_image_takes_the_login_that_docker_keeps(tmp_path: Path) -> None:
    with running({"lab/tool:1": {"amd64": GIB}}, private=True) as address:
        with pytest.raises(BadInput, match=f"docker login {address}"):
            registry.look(f"{address}/lab/tool:1", {})
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": USER}}}))
        assert registry.look(f"{address}/lab/tool:1", {"DOCKER_CONFIG": str(tmp_path)}).packed == {
            "amd64": GIB
        }


def test_nodes_elsewhere_may_have_a_login_that_this_machine_lacks() -> None:
    with running({"lab/tool:1": {"amd64": GIB}}, private=True) as address:
        there = image.find(f"{address}/lab/tool:1", {}, nodes_elsewhere=True)
        here = image.find(f"{address}/lab/tool:1", {}, nodes_elsewhere=False)
    assert isinstance(there, Finding)
    assert isinstance(here, Finding)
    assert (there.status, here.status) == (WARNING, FAILED)


def test_a_registry_that_does_not_answer_is_named() -> None:
    with running({}) as address:
        pass
    with pytest.raises(InfrastructureError, match=f"{address} does not answer"):
        registry.look(f"{address}/lab/tool:1", {})


def test_an_image_of_20_gib_is_measured_before_it_is_pulled() -> None:
    with running({"lab/tool:1": {"amd64": 7 * GIB}}) as address:
        found = image.find(f"{address}/lab/tool:1", {}, nodes_elsewhere=True)
    assert isinstance(found, image.Image)
    assert found.disk_mib == 7 * 1024 * image.UNPACKED


def test_an_image_for_another_architecture_is_refused() -> None:
    with running({"lab/tool:1": {"amd64": GIB}}) as address:
        found = image.find(f"{address}/lab/tool:1", {}, nodes_elsewhere=True)
    assert isinstance(found, image.Image)
    assert image.runs_on(found, "lab/tool:1", frozenset({"amd64"})).status == OK
    refused = image.runs_on(found, "lab/tool:1", frozenset({"arm64"}))
    assert (refused.status, refused.text) == (FAILED, "lab/tool:1 is for amd64, the nodes are arm64")


def test_nodes_elsewhere_may_reach_what_this_machine_does_not() -> None:
    with running({}) as address:
        pass
    there = image.find(f"{address}/lab/tool:1", {}, nodes_elsewhere=True)
    here = image.find(f"{address}/lab/tool:1", {}, nodes_elsewhere=False)
    assert isinstance(there, Finding)
    assert isinstance(here, Finding)
    assert (there.status, here.status) == (UNKNOWN, FAILED)


@pytest.mark.parametrize(
    ("node_type", "architecture"),
    [("m5.xlarge", "amd64"), ("m6g.large", "arm64"), ("r7gd.2xlarge", "arm64"), ("c7gn.large", "arm64"),
     ("g5.xlarge", "amd64"), ("g5g.xlarge", "arm64"), ("a1.large", "arm64"), ("x2iedn.xlarge", "amd64"),
     ("im4gn.large", "arm64")],
)  # fmt: skip
def test_gravitons_are_known_by_the_letter_behind_their_generation(node_type: str, architecture: str) -> None:
    assert image.of_node_type(node_type) == architecture
