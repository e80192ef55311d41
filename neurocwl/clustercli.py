"""The command line of `neurocwl cluster`: one verb per function, what they do is in clustercommands."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[Any]


def add(commands: "Verbs") -> None:
    """Add `cluster` and its verbs."""
    text = "machines in a cloud for launches: make them, look at them, end them"
    command = commands.add_parser("cluster", help=text, description=text, allow_abbrev=False)
    verbs = command.add_subparsers(metavar="VERB", required=True)
    _status(verbs)


def verb(verbs: "Verbs", name: str, text: str, *, named: bool = True) -> argparse.ArgumentParser:
    """A verb with what all of them take. named: it is about one cluster."""
    command: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(action="cluster", verb=name, parser=command)
    if named:
        command.add_argument("name", metavar="NAME", help="the cluster's name")
    group = command.add_argument_group("AWS (besides AWS_PROFILE, AWS_REGION and ~/.aws)")
    group.add_argument("--profile", metavar="NAME", help="a profile of ~/.aws/config")
    group.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="a credentials file as the AWS console gives it (CSV)",
    )
    group.add_argument("--region", metavar="REGION", help="the region of the cluster")
    return command


def _status(verbs: "Verbs") -> None:
    command = verb(verbs, "status", "the nodes of a cluster, since when, and what they cost per hour")
    command.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")
