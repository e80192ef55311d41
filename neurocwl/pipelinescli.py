"""The command line of `neurocwl pipelines`; what its verbs do is in pipelinecommands."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]


def add(commands: "Commands", taken: frozenset[str]) -> None:
    """Add `pipelines`. taken: options of a launch, which a pipeline's own parameters may not be called."""
    pipelines = commands.add_parser(
        "pipelines", help="the pipelines there are", description="the pipelines there are", allow_abbrev=False
    )
    pipelines.set_defaults(action="pipelines", parser=pipelines, own_options=taken)
    pipelines.add_argument(
        "verb",
        nargs="?",
        choices=("list", "show", "build", "export", "image", "drift", "import"),
        default="list",
        help="show NAME: its parameters and needs; build NAME: write its dataset workflow from its tool; export DIR: all, packed and unpacked, for other engines; image NAME: build the image that its tool names from images/ beside jobs/; drift NAME: what its program's own argument parser and its CWL tool no longer agree on; import NAME --from SOURCE: a first tool and template out of a BIDS App's command line",
    )
    pipelines.add_argument("name", nargs="?", metavar="NAME|DIR")
    pipelines.add_argument(
        "--pipeline-dir", type=Path, metavar="DIR", help="a folder of your own with jobs/ and cwl/"
    )
    drift = pipelines.add_argument_group("drift")
    drift.add_argument(
        "--version",
        metavar="V",
        help="the program's version: 1.2.3, 1.2.* for the newest 1.2, or latest [the one that the CWL tool names]",
    )
    drift.add_argument(
        "--python",
        metavar="PYTHON",
        help="a Python that has the program, instead of an install that is thrown away (import as well)",
    )
    drift.add_argument("--json", action="store_true", help="as JSON: a stable, documented form")
    importing = pipelines.add_argument_group("import")
    importing.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="a Boutiques descriptor (FILE.json), an installed command, or MODULE:FUNCTION of its argparse parser",
    )
    importing.add_argument(
        "--package",
        nargs="+",
        default=[],
        metavar="REQUIREMENT",
        help="packages to install for reading the parser, thrown away afterwards",
    )
    importing.add_argument("--image", metavar="IMAGE", help="the container image [the descriptor's]")
    importing.add_argument("--entrypoint", action="store_true", help="the image's entry point is the program")
    importing.add_argument("--rrid", metavar="RRID", help="the program's RRID, such as SCR_016216")
    importing.add_argument("--replace", action="store_true", help="replace files that are there")
