"""What each verb of `neurocwl cluster` does: reads arguments, calls the layers below, prints."""

import argparse
import json

from neurocwl.aws import cluster
from neurocwl.prepare import access
from neurocwl.show import cluster as show_cluster


def run(arguments: argparse.Namespace) -> int:
    """Dispatch to a verb; returns the exit code."""
    verbs = {"status": _status}
    return verbs[arguments.verb](arguments)


def _status(arguments: argparse.Namespace) -> int:
    found = cluster.read(arguments.name, access(arguments))
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
    else:
        show_cluster(found)
    return 0 if found.leader else 1
