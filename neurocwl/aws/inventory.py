"""Everything on AWS that belongs to a cluster or a run, and whether all of it could be looked for."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from neurocwl.aws import session
from neurocwl.aws.listing import GLOBAL, REGIONAL, Cloud, Lister, instances
from neurocwl.aws.things import STANDING, Thing
from neurocwl.s3 import Access

AT_ONCE = 8  # calls to AWS
ORDER = {kind: number for number, kind in enumerate((*REGIONAL, *GLOBAL, "job store", "data bucket"))}


@dataclass(frozen=True, slots=True)
class Unseen:
    """A kind of thing that could not be looked for, and why."""

    kind: str
    region: str
    why: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is, in the order in which it is ended, and what may be there unseen."""

    things: tuple[Thing, ...]
    unseen: tuple[Unseen, ...]

    def of(self, cluster: str) -> "Inventory":
        """What belongs to one cluster."""
        return replace(self, things=tuple(thing for thing in self.things if thing.cluster == cluster))

    @property
    def ending(self) -> "Inventory":
        """What a cluster takes along when it ends."""
        return replace(self, things=tuple(thing for thing in self.things if not thing.kept))

    @property
    def living(self) -> frozenset[str]:
        """Clusters with a leader or a whole stack."""
        return frozenset(
            thing.cluster
            for thing in self.things
            if thing.role == "leader" or (thing.kind == "stack" and thing.note in STANDING)
        )


def regions(access: Access) -> list[str]:
    """Every region that the account can use.

    Raises BadInput without credentials or permission.
    """
    with session.explained("--all-regions"):
        answer = session.client(access, "ec2").describe_regions()
    return sorted(region["RegionName"] for region in answer["Regions"])


def elsewhere(cloud: Cloud) -> dict[str, str]:
    """Clusters with instances in other regions, and which. Regions that may not be looked at have none."""
    others = [name for name in regions(cloud.access) if name != cloud.region]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda name: _look("instance", instances, Cloud(cloud.access, name, cloud)), others)
    pairs = zip(others, found, strict=True)
    return {thing.cluster: name for name, one in pairs if not isinstance(one, Unseen) for thing in one}


def take(clouds: Sequence[Cloud]) -> Inventory:
    """Look in regions for all that is of any cluster or run, by every kind.

    What is denied for one kind is reported as unseen. Raises BadInput without credentials.
    """
    jobs = [(kind, lister, cloud) for cloud in clouds for kind, lister in REGIONAL.items()]
    jobs += [(kind, lister, clouds[0]) for kind, lister in GLOBAL.items()]
    with session.explained("cluster"), ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda job: _look(*job), jobs))
    things = [thing for one in found if not isinstance(one, Unseen) for thing in one]
    things.sort(key=lambda thing: (ORDER[thing.kind], thing.region, thing.id))
    return Inventory(tuple(things), tuple(one for one in found if isinstance(one, Unseen)))


def _look(kind: str, lister: Lister, cloud: Cloud) -> list[Thing] | Unseen:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    from botocore.parsers import ResponseParserError

    try:
        return [thing for thing in lister(cloud) if thing.cluster or thing.run or thing.kind == "job store"]
    except (NoCredentialsError, PartialCredentialsError):
        raise
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        return Unseen(kind, cloud.region, f"{error.operation_name}: {code}")
    except (BotoCoreError, ResponseParserError) as error:
        return Unseen(kind, cloud.region, str(error))
