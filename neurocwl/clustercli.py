"""The command line of `neurocwl cluster`: one verb per function, what they do is in clustercommands."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[Any]

# Options that stand for settings of a profile: --key-pair K is --backend-setting key_pair=K.
SETTINGS = (
    ("--key-pair", "NAME", "an EC2 key pair of yours, whose private key ssh knows"),
    ("--node-types", "A,B:BID", "at most one type on demand (A) and one as spot (B:0.30 or B:spot)"),
    ("--max-nodes", "N", "the most workers of each kind"),
    ("--node-disk", "GIB", "the disk of a worker: plan --prices names it"),
    ("--zone", "ZONE", "the leader's zone"),
    ("--subnet", "SUBNET", "the leader's subnet; workers go to those that are like it"),
    ("--leader-type", "TYPE", "the leader's instance type"),
    ("--leader-disk", "GIB", "the leader's disk"),
    ("--image", "IMAGE", "the image that leader and workers run in"),
    ("--instance-profile", "ARN", "an instance profile of yours for all nodes"),
)


def add(commands: "Verbs") -> None:
    """Add `cluster` and its verbs."""
    text = "machines in a cloud for launches: make them, look at them, end them"
    command = commands.add_parser("cluster", help=text, description=text, allow_abbrev=False)
    verbs = command.add_subparsers(metavar="VERB", required=True)
    _create(verbs)
    _status(verbs)
    _allow(verbs)
    _lead(verbs)
    _destroy(verbs)
    _audit(verbs)
    _watch(verbs)


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


def _backend(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend", metavar="B|FILE.yml", default="aws", help="a profile that clusters are made by [aws]"
    )


def _create(verbs: "Verbs") -> None:
    text = "make a cluster for launches, or change its stack: neurocwl launch ... --backend B --cluster NAME"
    command = verb(verbs, "create", text)
    _backend(command)
    command.add_argument(
        "--backend-setting",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="any setting of the profile; the options below are the most used",
    )
    command.add_argument(
        "--from-plan",
        type=Path,
        metavar="FILE.json",
        help="node types and disk from what neurocwl plan --prices --json printed",
    )
    group = command.add_argument_group("a cluster that Toil makes (defaults: the profile's)")
    for option, metavar, words in SETTINGS:
        group.add_argument(option, metavar=metavar, help=words)
    _sources(group)
    group.add_argument(
        "--tag", nargs="+", default=[], metavar="KEY=VALUE", help="tags of your own on all that it is made of"
    )
    group.add_argument(
        "--private", action="store_true", help="nodes without public addresses; ssh reaches private ones"
    )
    group = command.add_argument_group(
        "a cluster that CloudFormation makes (--image, --node-types, --node-disk as well)"
    )
    group.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of provisioning/cloudformation/*.yml, e.g. DiskGib=400 BudgetDollars=200; those not given stay",
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
    group.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument(
        "--dry-run", action="store_true", help="show what would be made or changed, and stop"
    )


def _allow(verbs: "Verbs") -> None:
    command = verb(verbs, "allow", "let ssh in from where you are now, and from nowhere else")
    _sources(command)


def _lead(verbs: "Verbs") -> None:
    text = "on the leader: carry out a launch that was brought there, then end the cluster; no command for people"
    command = verb(verbs, "lead", text, named=False)
    command.add_argument("file", type=Path, metavar="FILE", help="what launch --detach has put there")


def _sources(command: Any) -> None:
    command.add_argument(
        "--ssh-from",
        nargs="+",
        default=[],
        metavar="CIDR",
        help="from where ssh reaches the leader [the address that this machine has on the Internet]",
    )


def _destroy(verbs: "Verbs") -> None:
    text = "end a cluster and all that it is made of, shown first; again goes on where it was interrupted"
    command = verb(verbs, "destroy", text)
    _backend(command)
    command.add_argument("--delete-data", action="store_true", help="its bucket of data and results as well")
    command.add_argument(
        "--on-leader",
        action="store_true",
        help="by the cluster's own leader: it comes last, and what it stands on stays, free of charge",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")


def _status(verbs: "Verbs") -> None:
    command = verb(verbs, "status", "the nodes of a cluster, since when, and what they cost per hour")
    _backend(command)
    command.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")


def _audit(verbs: "Verbs") -> None:
    text = "what clusters and runs have left on AWS, and what it costs; exit code 1 when there is any"
    command = verb(verbs, "audit", text, named=False)
    command.add_argument("name", nargs="?", default="", metavar="NAME", help="one cluster alone [all]")
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
