"""The command line: what each command takes. Imports of what they do come late, so that --help is quick."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from neurocwl import __version__, clustercli, moneyoptions, pipelinescli, rounds
from neurocwl.errors import BadInput, NeurocwlError

EPILOG = """\
exit codes: 0 every unit is done; 1 some units failed or lack files, or verify found differences;
2 usage or bad input; 3 the infrastructure failed; 4 another launch writes to the output; 130 interrupted.
NEUROCWL_TRACEBACK=1 shows where an error came from."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one message, like every other bad input."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput instead of printing the whole usage and leaving."""
        raise BadInput(f"{message} (see: {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The parser of everything but a pipeline's own parameters."""
    top = Parser(
        prog="neurocwl",
        description="From a BIDS dataset in a bucket to verified derivatives in a bucket.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"neurocwl {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    nouns_of_dataset: list[argparse.ArgumentParser] = []

    for name, text in (
        ("launch", "run a pipeline over every unit of a dataset"),
        ("plan", "what a launch would run, what is missing, and why; nothing is written"),
        ("job-order", "write the CWL job orders only, for toil-cwl-runner or another engine"),
    ):
        verb = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        nouns = verb.add_subparsers(metavar="WHAT", required=True)
        _noun(nouns, name, text, "dataset", "a BIDS dataset")
        _noun(
            nouns, name, text, "project", "a folder with bin/, input/, output/ and src/, or any with images"
        )
        nouns_of_dataset.extend(nouns.choices.values())

    _doctor_command(commands)
    _output_command(commands, "status", "what became of every unit", json=True).add_argument(
        "--watch", action="store_true", help="again every 5 seconds until the run ends"
    )
    verify = _output_command(
        commands, "verify", "compare what lies at an output with the manifests in its receipts", json=True
    )
    verify.add_argument(
        "--deep",
        action="store_true",
        help="read the bytes of every file again, instead of the checksums that S3 keeps",
    )
    logs = _output_command(commands, "logs", "the logs of a unit's last attempt")
    logs.add_argument("unit", metavar="UNIT", help="e.g. sub-01")
    logs.add_argument("--attempt", type=int, metavar="N", help="another attempt, 1 for the first")
    origin = _output_command(
        commands, "provenance", "what a run did, to what, by what: a Workflow Run RO-Crate (JSON-LD)"
    )
    origin.add_argument("--run", metavar="RUN", help="an earlier run [the last one that ran something]")
    origin.add_argument(
        "-o",
        dest="destination",
        type=Path,
        metavar="DIR",
        help="write the crate with the run's workflow, job orders and logs into a folder; data are never copied",
    )
    origin.add_argument(
        "--agent", default="", metavar="NAME", help="who ran it, as the crate shall say [$NEUROCWL_AGENT]"
    )
    _output_command(commands, "cancel", "stop the launch that writes to an output; what is done stays")

    group = _output_command(
        commands, "group", "gather the results of all units that are done again (a launch does it at its end)"
    )
    group.add_argument(
        "--pipeline", metavar="P", help="another group pipeline than the one that belongs to it"
    )
    group.add_argument("--pipeline-dir", type=Path, metavar="DIR", help="a folder of your own")
    group.add_argument("--no-container", action="store_true", help="run the tool as it is installed here")
    group.add_argument("--work-dir", type=Path, metavar="DIR", help="temporary files")
    _backend_options(group)

    _project_commands(commands)
    clustercli.add(commands)

    pipelinescli.add(
        commands, frozenset(flag for noun in nouns_of_dataset for flag in noun._option_string_actions)
    )

    demo = commands.add_parser(
        "demo",
        help="a small real dataset through everything, on this machine",
        description="a small real dataset through everything, on this machine",
        allow_abbrev=False,
    )
    demo.set_defaults(action="demo", parser=demo)
    demo.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the demo's files go [./neurocwl-demo]"
    )
    return top


def _noun(nouns: "argparse._SubParsersAction[Parser]", verb: str, text: str, name: str, what: str) -> None:
    noun = nouns.add_parser(
        name,
        help=what,
        description=f"{text}. Give --pipeline P --help for the parameters of P.",
        usage=f"neurocwl {verb} {name} {name.upper()} --pipeline P [options] [parameters of P]",
        allow_abbrev=False,
        add_help=False,
    )
    noun.set_defaults(action=verb, noun=name, parser=noun)
    _dataset_options(noun, name)
    _s3_options(noun)
    if verb != "job-order":
        _rounds_options(noun, launch=verb == "launch")
    if verb == "launch":
        _launch_options(noun)
        moneyoptions.add_prices(noun, plan=False)
        moneyoptions.add_notifications(noun)
    elif verb == "plan":
        noun.add_argument("--json", action="store_true", help="the plan as JSON: a stable, documented form")
        noun.add_argument("--validate", action="store_true", help="run the official BIDS validator as well")
        moneyoptions.add_prices(noun, plan=True)
    else:
        noun.add_argument(
            "-o",
            dest="destination",
            metavar="DIR|FILE.yml",
            help="a folder for JSON files, one per shard, or one readable YAML file [job-orders]",
        )
        noun.add_argument(
            "--local",
            action="store_true",
            help="download the files beside the job order and refer to them there, for engines that do not read S3",
        )


def _dataset_options(noun: argparse.ArgumentParser, name: str) -> None:
    noun.add_argument(
        "-h", "--help", action="store_true", help="this help; with --pipeline P the parameters of P as well"
    )
    noun.add_argument(
        "dataset",
        nargs="?",
        metavar=name.upper(),
        help="s3://BUCKET/PREFIX or a folder: where "
        + (
            "dataset_description.json and sub-*/ lie"
            if name == "dataset"
            else "the project or its images lie"
        ),
    )
    noun.add_argument(
        "--pipeline", metavar="P", help="a pipeline (neurocwl pipelines), or a job template file"
    )
    noun.add_argument(
        "--pipeline-dir", type=Path, metavar="DIR", help="a folder of your own with jobs/ and cwl/"
    )
    noun.add_argument(
        "--output", metavar="OUT", help="where the derivatives go: s3://BUCKET/PREFIX or a folder"
    )
    noun.add_argument(
        "--image", metavar="IMAGE", help="another container image for the tool, e.g. another version"
    )
    noun.add_argument(
        "--parameters",
        type=Path,
        metavar="FILE",
        help="a YAML or JSON file with parameters of the pipeline (CWL inputs)",
    )
    noun.add_argument(
        "--after",
        nargs="+",
        default=[],
        metavar="OUT",
        help="build on the results of an earlier launch: units that are done there, and their files by receipt",
    )
    noun.add_argument(
        "--require-preflight",
        metavar="OUT",
        help="leave out units whose images an earlier check found broken, or has not seen",
    )
    noun.add_argument(
        "--fs-license-file",
        metavar="FILE",
        help="the FreeSurfer licence: a path or an s3:// URL [$FS_LICENSE]",
    )
    selection = noun.add_argument_group("selection")
    selection.add_argument(
        "--participant-label", nargs="+", default=[], metavar="LABEL", help="only these participants"
    )
    selection.add_argument(
        "--session-label", nargs="+", default=[], metavar="LABEL", help="only these sessions"
    )
    selection.add_argument("--task-id", nargs="+", default=[], metavar="TASK", help="only these tasks")
    selection.add_argument(
        "--exclude", nargs="+", default=[], metavar="LABEL", help="not these participants; * and ? match"
    )
    selection.add_argument(
        "--batch-size", type=int, metavar="N", help="at most N images to a job, in pipelines that batch them"
    )
    selection.add_argument("--limit", type=int, metavar="N", help="at most N units")
    selection.add_argument(
        "--bids-filter-file", type=Path, metavar="FILE", help="a BIDS filter file as fMRIPrep knows it (JSON)"
    )
    selection.add_argument(
        "--strict", action="store_true", help="refuse when a selected unit lacks what the pipeline needs"
    )
    selection.add_argument("--rerun", action="store_true", help="run units again that are done and unchanged")


def _s3_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("S3 (besides AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and ~/.aws)")
    group.add_argument(
        "--no-sign-request", action="store_true", help="read a public dataset without credentials"
    )
    group.add_argument(
        "--request-payer",
        action="store_true",
        help="the dataset's bucket is requester pays: you pay for reading it",
    )
    group.add_argument("--profile", metavar="NAME", help="a profile of ~/.aws/config")
    group.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="a credentials file as the AWS console gives it (CSV)",
    )
    group.add_argument("--region", metavar="REGION", help="the region of the buckets")


def _launch_options(noun: argparse.ArgumentParser) -> None:
    group = noun.add_argument_group("launch")
    group.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    group.add_argument(
        "--validate",
        action="store_true",
        help="run the official BIDS validator first; errors stop the launch",
    )
    group.add_argument(
        "--rehearse",
        action="store_true",
        help="a small stand-in runs instead of the tool: tries licence, permissions, staging and scheduling for cents; its outputs are no results",
    )
    group.add_argument(
        "--rehearse-fault",
        nargs="+",
        default=[],
        metavar="UNIT=FAULT",
        help="in a rehearsal: fail, crash-late, missing-report, oom, oom-below=MIB, disk-full, hang or linger",
    )
    group.add_argument(
        "--encrypt", choices=("AES256",), help="have S3 encrypt what is delivered, with keys of its own"
    )
    _backend_options(noun)
    group.add_argument(
        "--detach",
        action="store_true",
        help="start the launch where it goes on without this terminal, and return; status OUT tells how it is",
    )
    group.add_argument(
        "--keep-cluster", action="store_true", help="leave the cluster as it is when the launch has ended"
    )
    group.add_argument(
        "--no-container",
        action="store_true",
        help="run the tool as it is installed here, without a container",
    )
    group.add_argument(
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="temporary files [$NEUROCWL_WORK_DIR, else ~/.cache/neurocwl/work]",
    )
    group.add_argument(
        "--keep-work-dir", action="store_true", help="leave the temporary files for inspection"
    )


def _rounds_options(noun: argparse.ArgumentParser, *, launch: bool) -> None:
    group = noun.add_argument_group("units that run out of memory or disk are run again with more")
    group.add_argument(
        "--max-memory-mib", type=int, metavar="MIB", help="up to this [4 times what they ask for at first]"
    )
    group.add_argument(
        "--max-disk-mib", type=int, metavar="MIB", help="up to this, scratch and outputs [as above]"
    )
    if launch:
        group.add_argument(
            "--spot-losses",
            type=int,
            default=rounds.SPOT_LOSSES,
            metavar="N",
            help=f"a unit that lost its node N times runs on capacity that stays [{rounds.SPOT_LOSSES}]",
        )


def _backend_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("where units run")
    group.add_argument(
        "--backend",
        metavar="B|FILE.yml",
        help="local, or another profile, or a file of your own [$NEUROCWL_BACKEND, else local]",
    )
    group.add_argument(
        "--backend-setting",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="what the backend's profile asks for",
    )
    group.add_argument(
        "--cluster",
        metavar="NAME",
        help="a cluster that neurocwl cluster create has made; settings are taken from it",
    )


def _doctor_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "what stands between a launch and its end, each with its fix; give what the launch will be given"
    command = commands.add_parser("doctor", help=text, description=text, allow_abbrev=False)
    command.set_defaults(action="doctor", noun="doctor", parser=command)
    command.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")
    for option, name, about in (
        ("--pipeline", "P", "the pipeline that will run, with its parameters"),
        ("--dataset", "DATASET", "where the data lie"),
        ("--output", "OUT", "where the derivatives will go"),
        ("--image", "IMAGE", "another container image for the tool"),
        ("--fs-license-file", "FILE", "the FreeSurfer licence: a path or an s3:// URL [$FS_LICENSE]"),
    ):
        command.add_argument(option, metavar=name, help=about)
    for option, name, about in (
        ("--pipeline-dir", "DIR", "a folder of your own with jobs/ and cwl/"),
        ("--parameters", "FILE", "a YAML or JSON file with parameters of the pipeline (CWL inputs)"),
        ("--work-dir", "DIR", "temporary files [$NEUROCWL_WORK_DIR, else ~/.cache/neurocwl/work]"),
    ):
        command.add_argument(option, type=Path, metavar=name, help=about)
    for option, about in (
        ("--no-container", "the tool as it is installed here"),
        ("--rehearse", "the rehearsal instead of the tool"),
    ):
        command.add_argument(option, action="store_true", help=about)
    _s3_options(command)
    _backend_options(command)


def _project_commands(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "folders of image processing projects: bin/, input/, output/, src/"
    command = commands.add_parser("project", help=text, description=text, allow_abbrev=False)
    verbs = command.add_subparsers(metavar="VERB", required=True)
    text = "make the folders of a project; what is there stays"
    create = verbs.add_parser("create", help=text, description=text, allow_abbrev=False)
    create.set_defaults(action="project-create", parser=create)
    create.add_argument("folder", type=Path, metavar="DIR")
    text = "bring bin/, input/ and src/ to a bucket and output/ back; every copy is checked, nothing is deleted unasked"
    sync = verbs.add_parser("sync", help=text, description=text, allow_abbrev=False)
    sync.set_defaults(action="project-sync", parser=sync)
    sync.add_argument("folder", type=Path, metavar="DIR")
    sync.add_argument("place", metavar="s3://BUCKET/PROJECT")
    way = sync.add_mutually_exclusive_group()
    way.add_argument("--up", action="store_true", help="bin/, input/ and src/ only")
    way.add_argument("--down", action="store_true", help="output/ only")
    sync.add_argument(
        "--delete", action="store_true", help="remove at the target what the source does not have"
    )
    _s3_options(sync)


def _output_command(
    commands: "argparse._SubParsersAction[Parser]", name: str, text: str, *, json: bool = False
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(action=name, parser=command)
    command.add_argument("output", metavar="OUT", help="the --output of a launch")
    if json:
        command.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")
    _s3_options(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors become one message and an exit code here, and nowhere else."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        top = parser()
        arguments, rest = top.parse_known_args(words)
        from neurocwl import commands

        of_a_pipeline = arguments.action in ("plan", "launch", "job-order", "doctor") and (
            arguments.pipeline or arguments.noun == "project"
        )
        if rest and not of_a_pipeline:
            top.error(f"unrecognized arguments: {' '.join(rest)}")
        return commands.run(arguments, words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except NeurocwlError as error:
        if os.environ.get("NEUROCWL_TRACEBACK"):
            raise
        print(f"neurocwl: {'' if isinstance(error, BadInput) else 'error: '}{error}", file=sys.stderr)
        return error.exit_code
