"""The end of a cluster: everything that is its own goes, nothing else, however often it was interrupted."""

import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from neurocwl.aws import inventory, teardown
from neurocwl.aws.listing import GLOBAL, REGIONAL, Cloud
from neurocwl.aws.removal import REMOVERS
from neurocwl.aws.teardown import Pace
from neurocwl.cli import main
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access
from tests import clouds, planted

PACE = Pace(look=0.05, patience=5)
NEIGHBOUR = "lab-x"  # Toil takes its role for one of "lab"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with clouds.moto_server(clouds.BARE) as url:
        yield url


def reach(url: str, patch: pytest.MonkeyPatch) -> None:
    """The ordinary AWS chain leads to the emulator."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        patch.delenv(name, raising=False)
    for name, value in clouds.variables(url).items():
        patch.setenv(name, value)


@pytest.fixture
def reached(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty account, reached by the ordinary AWS chain."""
    reach(moto, monkeypatch)
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).close()
    return moto


class Faulty(Cloud):
    """A region in which calls can be made to fail, by botocore's own hooks."""

    def __init__(self) -> None:
        super().__init__(Access(), clouds.REGION)
        self.fault: Callable[[str], tuple[str, int] | None] = lambda _: None

    def client(self, service: str) -> Any:
        made = super().client(service)
        made.meta.events.register_first("before-call", self._before, unique_id="fault")
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


@pytest.fixture(scope="module")
def clients(moto: str) -> Faulty:
    """Clients take longer to make than all that is asked of them."""
    with pytest.MonkeyPatch.context() as patch:
        reach(moto, patch)
        made = Faulty()
        for service in ("ec2", "iam", "s3", "autoscaling", "batch", "sns", "logs", "cloudformation"):
            made.client(service)
    return made


@pytest.fixture
def cloud(clients: Faulty, reached: str) -> Faulty:
    """With a role that Toil's own destroy would take for one of "lab", so that it is left out."""
    clients.fault = lambda _: None
    planted.role(clients, "lab_reader", ())
    return clients


def never(text: str) -> None:
    """What is said is of no interest."""


def end(cloud: Cloud, name: str = "lab", **more: Any) -> None:
    teardown.end(cloud, name, never, pace=PACE, **more)


def kinds(cloud: Cloud, name: str = "lab") -> set[str]:
    return {thing.kind for thing in teardown.look(cloud, name).things}


DELETIONS = {
    "job queue": "DeleteJobQueue",
    "compute environment": "DeleteComputeEnvironment",
    "autoscaling group": "DeleteAutoScalingGroup",
    "spot request": "CancelSpotInstanceRequests",
    "instance": "TerminateInstances",
    "launch template": "DeleteLaunchTemplate",
    "address": "ReleaseAddress",
    "volume": "DeleteVolume",
    "snapshot": "DeleteSnapshot",
    "security group": "DeleteSecurityGroup",
    "key pair": "DeleteKeyPair",
    "topic": "DeleteTopic",
    "log group": "DeleteLogGroup",
    "instance profile": "DeleteInstanceProfile",
    "role": "DeleteRole",
    "bucket": "DeleteBucket",
}


def test_every_kind_can_be_found_and_ended() -> None:
    kinds = (REGIONAL.keys() | GLOBAL.keys()) - {"stack", "machine image"}
    assert set(DELETIONS) == kinds == set(REMOVERS) - {"job store"}


def test_all_that_a_cluster_is_made_of_ends_and_its_neighbours_stay(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    planted.cluster(cloud, NEIGHBOUR)
    alike = planted.lookalikes(cloud, "lab")
    assert kinds(cloud) == set(REMOVERS)
    before = teardown.look(cloud, NEIGHBOUR).things
    end(cloud)
    assert not teardown.look(cloud, "lab").things
    assert teardown.look(cloud, NEIGHBOUR).things == before
    assert planted.still_there(cloud, alike) == alike
    kept = {thing.kind: thing.id for thing in inventory.take([cloud]).of("lab").things}
    assert kept == {kind: alike[kind] for kind in ("data bucket", "machine image", "snapshot")}


def test_from_a_wrong_region_nothing_of_a_living_cluster_is_left_or_ended(cloud: Faulty) -> None:
    """Roles and buckets are found from everywhere."""
    planted.cluster(cloud, "lab")
    assert main(["cluster", "audit", "--region", "eu-west-1"]) == 0
    before = teardown.look(cloud, "lab").things
    with pytest.raises(BadInput, match=f"cluster lab: is in {clouds.REGION}, not in eu-west-1"):
        teardown.end(Cloud(Access(), "eu-west-1"), "lab", never, pace=PACE)
    assert teardown.look(cloud, "lab").things == before


def test_what_is_denied_is_named_and_the_rest_ends_and_again_finishes(cloud: Faulty) -> None:
    """A few steps after the others are allowed."""
    planted.cluster(cloud, "lab")
    planted.cluster(cloud, NEIGHBOUR)
    before = teardown.look(cloud, NEIGHBOUR).things
    denied = dict(DELETIONS)
    cloud.fault = lambda call: ("AccessDenied", 403) if call in denied.values() else None
    while denied:
        with pytest.raises(InfrastructureError, match="not all could be ended; again goes on") as caught:
            end(cloud)
        told = {line.split(":")[0].rpartition(" ")[0].strip() for line in str(caught.value).splitlines()[1:]}
        stores = {"job store"} if "bucket" in denied else set()
        assert told == kinds(cloud) == set(denied) | stores
        for kind in list(denied)[:6]:
            del denied[kind]
    end(cloud)
    assert not kinds(cloud)
    assert teardown.look(cloud, NEIGHBOUR).things == before


def test_interrupted_at_every_step_it_goes_on_the_next_time(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    made = 0

    def interrupt(call: str) -> None:
        nonlocal made
        if call.startswith(
            ("Delete", "Terminate", "Cancel", "Release", "Remove", "Detach", "Abort", "Update")
        ):
            made += 1
            if made == 4:  # three are done
                raise KeyboardInterrupt

    cloud.fault = interrupt  # type: ignore[assignment]
    interruptions = 0
    while kinds(cloud):
        made = 0
        try:
            end(cloud)
        except KeyboardInterrupt:
            interruptions += 1
    assert interruptions > 4


def test_what_aws_ends_in_its_own_time_is_waited_for(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    refusals = dict.fromkeys(("DeleteSecurityGroup", "DeleteInstanceProfile", "DeleteVolume"), 3)

    def later(call: str) -> tuple[str, int] | None:
        if refusals.get(call, 0) == 0:
            return None
        refusals[call] -= 1
        return ("DependencyViolation", 400)

    cloud.fault = later
    end(cloud)
    assert not kinds(cloud)
    assert not any(refusals.values())


def test_what_never_goes_is_given_up_with_the_reason(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    cloud.fault = lambda call: ("DependencyViolation", 400) if call == "DeleteSecurityGroup" else None
    with pytest.raises(
        InfrastructureError, match=r"security group sg-\w+: DeleteSecurityGroup: DependencyViolation"
    ):
        teardown.end(cloud, "lab", never, pace=Pace(look=0.05, patience=0.5))
    assert kinds(cloud) == {"security group"}


def test_what_cannot_be_looked_for_is_no_clean_end(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    cloud.fault = lambda call: ("UnauthorizedOperation", 403) if call == "DescribeAddresses" else None
    with pytest.raises(InfrastructureError, match="address: DescribeAddresses: UnauthorizedOperation"):
        end(cloud)
    cloud.fault = lambda _: None
    assert kinds(cloud) == {"address"}


def test_by_its_own_leader_a_cluster_ends_but_for_what_the_leader_stands_on(cloud: Faulty) -> None:
    planted.cluster(cloud, "lab")
    calls: list[str] = []
    cloud.fault = calls.append  # type: ignore[assignment,return-value]
    end(cloud, on_leader=True)
    assert kinds(cloud) == {"security group", "instance profile", "role"}
    deletions = [call for call in calls if call in DELETIONS.values()]
    assert deletions[-1] == "TerminateInstances"
    end(cloud)
    assert not kinds(cloud)
