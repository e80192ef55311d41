"""What each verb of `neurocwl cluster` does: reads arguments, calls the layers below, prints."""

import argparse
import json
import sys
from datetime import UTC, datetime
from functools import partial

from neurocwl import show
from neurocwl.aws import audit, cluster, deadman, inventory, session, teardown
from neurocwl.aws.listing import Cloud
from neurocwl.errors import BadInput
from neurocwl.prepare import access


def run(arguments: argparse.Namespace) -> int:
    """Dispatch to a verb; returns the exit code."""
    verbs = {"status": _status, "destroy": _destroy, "audit": _audit, "watch": _watch}
    return verbs[arguments.verb](arguments)


def _status(arguments: argparse.Namespace) -> int:
    found = cluster.read(arguments.name, access(arguments))
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
    else:
        show.cluster(found)
    return 0 if found.leader else 1


def _cloud(arguments: argparse.Namespace) -> Cloud:
    own = access(arguments)
    return Cloud(own, session.region_of(own))


def _destroy(arguments: argparse.Namespace) -> int:
    cloud, name = _cloud(arguments), teardown.check(arguments.name)
    with session.explained(f"cluster {name}"):
        found = teardown.look(cloud, name)
        if not found.things and not found.unseen:
            print(f"cluster {name}, {cloud.region}: nothing is left")
            return 0
        show.leftovers(audit.judged(found, name, lambda url: audit.writes(url, cloud.access)))
        if not arguments.yes and not _agreed(f"end all of cluster {name}?"):
            return 1
        teardown.end(cloud, name, print, on_leader=arguments.on_leader)
    print(f"cluster {name}, {cloud.region}: {'ends' if arguments.on_leader else 'nothing is left'}")
    return 0


def _agreed(question: str) -> bool:
    """Whether somebody at the terminal says yes; raises BadInput where nobody is."""
    if not sys.stdin.isatty():
        raise BadInput(f"{question} Nobody is there to ask; give --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _audit(arguments: argparse.Namespace) -> int:
    own = access(arguments)
    name = teardown.check(arguments.name) if arguments.name else ""
    names = inventory.regions(own) if arguments.all_regions else [session.region_of(own)]
    found = inventory.take([Cloud(own, region) for region in names])
    result = audit.judged(found.of(name) if name else found, name, lambda url: audit.writes(url, own))
    if arguments.json:
        print(json.dumps(result.as_dict(), indent=1, ensure_ascii=False))
    else:
        show.leftovers(result)
    return result.exit_code


def _watch(arguments: argparse.Namespace) -> int:
    idle, age = deadman.span(arguments.idle, "--idle"), deadman.span(arguments.max_age, "--max-age")
    cloud, name = _cloud(arguments), teardown.check(arguments.name)

    def say(text: str) -> None:
        print(f"{datetime.now(UTC):%F %T} {text}", flush=True)

    outputs = partial(deadman.listed, arguments.output, arguments.outputs_file)
    deadman.watch(cloud, name, outputs, idle, age, say)
    return 0
