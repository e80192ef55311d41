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
    _create(verbs)
    _status(verbs)
    _destroy(verbs)


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


def _backend(command: argparse.ArgumentParser, *choices: str) -> None:
    command.add_argument(
        "--backend", choices=choices, default=choices[0], help=f"what kind of cluster [{choices[0]}]"
    )


def _create(verbs: "Verbs") -> None:
    command = verb(
        verbs, "create", "make a cluster, or change one to other settings; what changes is shown first"
    )
    _backend(command, "aws-batch")
    group = command.add_argument_group("aws-batch")
    group.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of provisioning/cloudformation/*.yml, e.g. DiskGib=400 BudgetDollars=200; those not given stay",
    )
    group.add_argument(
        "--from-plan",
        type=Path,
        metavar="FILE.json",
        help="node types and disk from what neurocwl plan --prices --json printed",
    )
    group.add_argument(
        "--read", nargs="+", default=[], metavar="s3://BUCKET/PREFIX", help="what launches may read"
    )
    group.add_argument(
        "--write", nargs="+", default=[], metavar="s3://BUCKET/PREFIX", help="what launches may write as well"
    )
    group.add_argument(
        "--trigger",
        nargs="+",
        default=[],
        metavar="PIPELINE",
        help="runs of these start themselves when a marker is uploaded beside a dataset",
    )
    _asking(command)


def _destroy(verbs: "Verbs") -> None:
    command = verb(
        verbs, "destroy", "delete a cluster and the job stores of its runs; what is deleted is shown first"
    )
    _backend(command, "aws-batch")
    command.add_argument("--delete-data", action="store_true", help="its bucket of data and results as well")
    command.add_argument("--yes", action="store_true", help="do not ask")


def _asking(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--dry-run", action="store_true", help="show what would change, and stop")


def _status(verbs: "Verbs") -> None:
    command = verb(verbs, "status", "the nodes of a cluster, since when, and what they cost per hour")
    _backend(command, "aws", "aws-batch")
    command.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")
