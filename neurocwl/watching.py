"""What watches a launch, by the options of its command line: its budget, and people who want to know."""

import argparse
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime

from neurocwl import channels, notify
from neurocwl.aws import nodehours
from neurocwl.backend import Backend
from neurocwl.budget import Tariff
from neurocwl.channels import Tell
from neurocwl.notify import FirstFailure
from neurocwl.plan import READY
from neurocwl.prepare import Prepared
from neurocwl.s3 import Access
from neurocwl.spending import Spending
from neurocwl.watch import Watch, Watches

CLUSTER = "cluster"  # a setting of backends whose nodes AWS knows by it


def teller(
    arguments: argparse.Namespace,
    access: Access,
    environ: MutableMapping[str, str],
    warn: Callable[[str], None],
) -> Tell:
    """A function that tells everybody whom the options name.

    Raises BadInput for those that cannot be told.
    """
    tells = []
    if arguments.notify_slack:
        tells.append(channels.slack(environ, warn))
    if arguments.notify_sns:
        tells.append(channels.sns(arguments.notify_sns, access, warn))
    if arguments.notify_email:
        sender = arguments.notify_from or environ.get(channels.SENDER, "")
        tells.append(channels.email(arguments.notify_email, sender, access, warn))
    return channels.all_of(tells)


def watch(
    arguments: argparse.Namespace,
    prepared: Prepared,
    where: Backend,
    tariff: Tariff | None,
    say: Callable[[str], None],
    tell: Tell,
) -> Watch:
    """The watches of a launch."""
    watches: list[Watch] = [FirstFailure(tell)]
    if tariff:
        made, output = prepared.plan, prepared.output
        assert output is not None
        url = output.url
        cluster = arguments.cluster or where.values.get(CLUSTER)
        nodes = nodehours.meter(cluster, prepared.access, datetime.now(UTC)) if cluster else None
        units = [planned.unit.name for planned in made.of(READY)]
        watches.append(
            Spending(
                tariff,
                arguments.max_cost,
                units,
                say,
                lambda text: tell(notify.spending(made.pipeline, url, text)),
                nodes,
            )
        )
    return Watches(watches)
