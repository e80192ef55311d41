"""--cluster NAME: what a cluster that we made says of itself, by what made it."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from neurocwl import backend
from neurocwl.backend import Backend, Node
from neurocwl.errors import BadInput
from neurocwl.s3 import Access

# By `cluster` of a backend's profile; each has a function settings_of.
MAKERS: Mapping[str, str] = {"toil": "neurocwl.aws.cluster", "cloudformation": "neurocwl.aws.batchstack"}

# Those that know what their nodes are like; each has a function node_of.
NODES: Mapping[str, str] = {"toil": "neurocwl.aws.cluster", "cloudformation": "neurocwl.aws.batchstack"}


class Maker(Protocol):
    """A module that knows the clusters of one maker."""

    def settings_of(self, name: str, access: Access) -> dict[str, str]:
        """The values of a profile's settings, for a cluster that is there."""


class Knower(Protocol):
    """A module that knows the nodes of one maker."""

    def node_of(self, settings: Mapping[str, str]) -> Node:
        """The largest node of a cluster with these settings."""


def settings_of(name: str, profile: str, access: Access) -> dict[str, str]:
    """The settings of a cluster, for a launch with a backend.

    Raises BadInput for a backend that has no clusters, or when there is none of the name.
    """
    module = MAKERS.get(backend.maker(profile) or "")
    if module is None:
        raise BadInput(f"--cluster {name}: --backend {profile} has no clusters of ours; leave it out")
    return cast(Maker, importlib.import_module(module)).settings_of(name, access)


def with_node(found: Backend) -> Backend:
    """A backend with the largest node of its cluster, so that units that fit on none are refused."""
    module = NODES.get(found.cluster or "")
    if module is None or not found.values.get("cluster"):
        return found
    return dataclasses.replace(
        found, node=cast(Knower, importlib.import_module(module)).node_of(found.values)
    )
