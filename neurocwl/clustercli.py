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
    _destroy(verbs)
    _audit(verbs)
    _watch(verbs)


def verb(verbs: "Verbs", name: str, text: str, *, named: bool = True) -> argparse.ArgumentParser:
    """A verb with what all of them take. named: it is about one cluster; else a name may be given."""
    command: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(action="cluster", verb=name, parser=command)
    if named:
        command.add_argument("name", metavar="NAME", help="the cluster's name")
    else:
        command.add_argument("name", nargs="?", default="", metavar="NAME", help="one cluster alone")
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


def _destroy(verbs: "Verbs") -> None:
    text = "end a cluster and all that it is made of; again goes on where it was interrupted"
    command = verb(verbs, "destroy", text)
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument(
        "--on-leader",
        action="store_true",
        help="by the cluster's own leader: it comes last, and what it stands on stays, free of charge",
    )


def _audit(verbs: "Verbs") -> None:
    text = "what clusters and runs have left on AWS, and what it costs; exit code 1 when there is any"
    command = verb(verbs, "audit", text, named=False)
    command.add_argument("--all-regions", action="store_true", help="look in every region of the account")
    command.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")


def _watch(verbs: "Verbs") -> None:
    text = "on the leader: end the cluster when no launch has been alive for a while, or when it is old"
    command = verb(verbs, "watch", text)
    command.add_argument("--idle", default="2h", metavar="TIME", help="without a launch, such as 90m [2h]")
    command.add_argument("--max-age", default="48h", metavar="TIME", help="since the cluster began [48h]")
    command.add_argument(
        "--output", nargs="+", default=[], metavar="OUT", help="where launches on this cluster write"
    )
    command.add_argument(
        "--outputs-file",
        type=Path,
        metavar="FILE",
        help="the same, one in each line; read at every look, so that launches may add to it",
    )
