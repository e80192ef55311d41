"""The options of a command line that are about money, and about who is told of a launch."""

import argparse
from pathlib import Path


def add_prices(noun: argparse.ArgumentParser, *, plan: bool) -> None:
    """Prices, of a plan or of a launch."""
    group = noun.add_argument_group("prices (of --region, else $AWS_REGION, else us-east-1)")
    if plan:
        group.add_argument(
            "--prices",
            action="store_true",
            help="what it would cost on AWS, by node type; nothing is asked of AWS",
        )
        group.add_argument("--plot", type=Path, metavar="FILE.svg", help="hours against dollars as a picture")
    group.add_argument(
        "--max-cost",
        type=float,
        metavar="DOLLARS",
        help="refuse what is estimated at more"
        + ("" if plan else "; while it runs, start no unit that would cost more"),
    )
    if not plan:
        group.add_argument(
            "--dollars-per-hour",
            type=float,
            metavar="D",
            help="what one node, or this machine, costs by the hour; for backends whose price we do not know",
        )
    types = "only these, e.g. m5a.2xlarge,r5a.4xlarge" if plan else "by what nodes are priced [the backend's]"
    group.add_argument("--node-types", metavar="A,B", help=types)
    spot = (
        "go by spot prices instead of those on demand"
        if plan
        else "run on capacity that may be taken away, as the backend's profile says, and go by its prices"
    )
    group.add_argument("--spot", action="store_true", help=spot)
    group.add_argument(
        "--max-nodes", type=int, metavar="N", help="at most N nodes at once [10, as Toil's --maxNodes]"
    )
    group.add_argument(
        "--hours-per-unit", type=float, metavar="H", help="what a unit takes, if you know better"
    )
    group.add_argument(
        "--live-prices", action="store_true", help="ask AWS for today's prices instead of the dated table"
    )


def add_notifications(noun: argparse.ArgumentParser) -> None:
    """Who is told when a launch begins, when its first unit fails, at its budget's edge, and when it ends."""
    group = noun.add_argument_group(
        "who is told that the launch begins, of its first failure, of its budget's edge, and of its end"
    )
    group.add_argument(
        "--notify-slack", action="store_true", help="the channel behind $NEUROCWL_SLACK_WEBHOOK"
    )
    group.add_argument("--notify-sns", metavar="ARN", help="an SNS topic")
    group.add_argument("--notify-email", metavar="ADDRESS", help="somebody, by Amazon SES")
    group.add_argument(
        "--notify-from", metavar="ADDRESS", help="who sends that e-mail [$NEUROCWL_EMAIL_FROM]"
    )
