"""The end of a cluster: everything that is its own goes, nothing else, however often it was interrupted."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from neurocwl.aws import inventory, teardown
from neurocwl.aws.listing import GLOBAL, REGIONAL, Cloud
from neurocwl.aws.removal import REMOVERS
from neurocwl.aws.teardown import Pace
from neurocwl.cli import main
from neurocwl.errors import InfrastructureError
from neurocwl.s3 import Access
from tests import clouds, planted

PACE = Pace(look=0.05, patience=5)
NEIGHBOUR = "lab-x"  # Toil takes its role for one of "lab"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with clouds.moto_server() as url:
        yield url


@pytest.fixture
def reached(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty account, reached by the ordinary AWS chain."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in clouds.variables(moto).items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).close()
    return moto


class Faulty(Cloud):
    """A region in which calls can be made to fail, by botocore's own hooks."""

    def __init__(self) -> None:
        super().__init__(Access(), clouds.REGION)
        self.fault: Callable[[str], tuple[str, int] | None] = lambda _: None

    def client(self, service: str) -> Any:
        made = super().client(service)
        made.meta.events.register_first(f"before-call.{service}", self._before, unique_id="fault")
        return made

    def _before(self, model: Any, **_: Any) -> Any:
        found = self.fault(model.name)
        if found is None:
            return None
        code, status = found
        answer = {
            "Error": {"Code": code, "Message": "injected"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return Answer(status), answer


class Answer(NamedTuple):
    status_code: int


@pytest.fixture
def cloud(reached: str) -> Faulty:
    return Faulty()


def never(text: str) -> None:
    """What is said is of no interest."""


def end(cloud: Cloud, name: str = "lab", **more: Any) -> None:
    teardown.end(cloud, name, never, pace=PACE, **more)


def kinds(cloud: Cloud, name: str = "lab") -> set[str]:
    return {thing.kind for thing in teardown.look(cloud, name).things}


def test_all_that_a_cluster_is_made_of_ends_and_its_neighbours_stay(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    planted.cluster(cloud, NEIGHBOUR)
    alike = planted.lookalikes(cloud, "lab")
    assert kinds(cloud) == (REGIONAL.keys() | GLOBAL.keys() | {"job store"}) - {"stack"} == set(REMOVERS)
    before = teardown.look(cloud, NEIGHBOUR).things
    end(cloud)
    assert not teardown.look(cloud, "lab").things
    assert teardown.look(cloud, NEIGHBOUR).things == before
    assert planted.still_there(cloud, alike) == alike
