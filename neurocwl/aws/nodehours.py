"""What a cluster's nodes cost since a moment. One that ended before anybody looked is not seen: ask now and then."""

from collections.abc import Callable
from datetime import UTC, datetime

from neurocwl.aws import cluster
from neurocwl.s3 import Access


def meter(name: str, access: Access, began: datetime) -> Callable[[], float]:
    """A function that gives the dollars of a cluster's nodes since a moment; it keeps those of nodes that are gone.

    The function raises BadInput or InfrastructureError when AWS does not tell.
    """
    hours: dict[str, float] = {}
    rates: dict[str, float] = {}

    def dollars() -> float:
        found = cluster.read(name, access)
        now = datetime.now(UTC)
        for node in found.nodes:
            since = max(began, datetime.fromisoformat(node.since))
            lasted = (now - since).total_seconds() / 3600
            hours[node.id] = max(hours.get(node.id, 0.0), lasted)
            rates[node.id] = max(rates.get(node.id, 0.0), found.usd_per_hour.get(node.id, 0.0))
        return sum(hours[id_] * rate for id_, rate in rates.items())

    return dollars
