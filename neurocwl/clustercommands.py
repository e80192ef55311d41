"""What each verb of `neurocwl cluster` does: reads arguments, calls the layers below, prints."""

import argparse
import json
import sys
from datetime import UTC, datetime
from functools import partial

from neurocwl import backend, clustercli, prices, show, stackcommands
from neurocwl.aws import (
    audit,
    cluster,
    create,
    deadman,
    harden,
    inventory,
    lead,
    leader,
    nodetypes,
    session,
    teardown,
    toilcluster,
)
from neurocwl.aws.listing import Cloud
from neurocwl.backend import Backend
from neurocwl.errors import BadInput
from neurocwl.prepare import access


def run(arguments: argparse.Namespace) -> int:
    """Dispatch to a verb; returns the exit code."""
    verbs = {"allow": _allow, "lead": _lead, "audit": _audit, "watch": _watch}
    if arguments.verb in verbs:
        return verbs[arguments.verb](arguments)
    kinds = {
        ("create", "toil"): _create,
        ("status", "toil"): _status,
        ("destroy", "toil"): _destroy,
        ("create", "cloudformation"): stackcommands.create,
        ("status", "cloudformation"): stackcommands.status,
        ("destroy", "cloudformation"): stackcommands.destroy,
    }
    kind = backend.maker(arguments.backend)
    if kind is None:
        raise BadInput(
            f"--backend {arguments.backend}: its machines are made by somebody else; launch with it at once"
        )
    return kinds[arguments.verb, kind](arguments)


def _profile(arguments: argparse.Namespace) -> Backend:
    """The profile with the options that stand for its settings."""
    names = [option.removeprefix("--").replace("-", "_") for option, _, _ in clustercli.SETTINGS]
    given = [f"{name}={getattr(arguments, name)}" for name in names if getattr(arguments, name) is not None]
    planned = nodetypes.from_plan(arguments.from_plan) if arguments.from_plan else {}
    return backend.load(
        arguments.backend,
        [*arguments.backend_setting, *given],
        {"region": session.region_of(access(arguments)), **planned},
    )


def _create(arguments: argparse.Namespace) -> int:
    where = _profile(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    ours, values = access(arguments), where.values
    for option in ("set", "read", "write", "trigger"):
        if getattr(arguments, option):
            raise BadInput(f"--{option}: is for a cluster that CloudFormation makes (--backend aws-batch)")
    if values["region"] != session.region_of(ours):
        raise BadInput(
            f"region={values['region']}: clusters are made in {session.region_of(ours)}; give --region"
        )
    for name in ("key_pair", "image", "node_types"):
        if not values.get(name):
            fix = f"--{name.replace('_', '-')}"
            raise BadInput(f"cluster create needs {fix}: {where.settings[name].doc}")
    if arguments.private and where.batch_system == toilcluster.MESOS:
        raise BadInput(
            f"--private: Toil's scaling by Mesos needs public addresses (--backend {where.name}); use --backend aws"
        )
    known = prices.snapshot(values["region"])
    kinds = nodetypes.parse(values["node_types"], known)
    sources = _allowed(arguments, where)
    types = [values["leader_type"], *(name for kind in kinds for name in kind.types)]
    what = f"cluster {arguments.name}"
    with session.explained(what):
        ec2 = session.client(ours, "ec2")
        place = create.place(ec2, values.get("zone"), values.get("subnet"), types, private=arguments.private)
    spec = toilcluster.Spec(
        name=arguments.name,
        backend=where.name,
        type=where.batch_system,
        zone=place.zone,
        key_pair=values["key_pair"],
        appliance=values["image"],
        leader_type=values["leader_type"],
        leader_disk_gib=_number("--leader-disk", values["leader_disk"]),
        kinds=kinds,
        node_disk_gib=_number("--node-disk", values["node_disk"]),
        max_nodes=_number("--max-nodes", values["max_nodes"]),
        subnet=place.subnet,
        instance_profile=values.get("instance_profile"),
        own_tags=toilcluster.tags(arguments.tag),
    )
    price = known.on_demand.get(spec.leader_type)
    most = sum(nodetypes.dollars(kind, known) for kind in kinds) * spec.max_nodes
    say(
        f"{what}: a leader {spec.leader_type} in {spec.zone}, {f'${price:.3f}' if price else 'of unknown price'} "
        f"per hour, and up to {spec.max_nodes} of {' and '.join(map(str, kinds))}, at most ${most:.2f} per hour"
    )
    if arguments.dry_run:
        return 0
    made = create.create(spec, place, sources, ours, say)
    try:
        leader.begin_watch(made, values["idle"], values["max_age"])
    except KeyboardInterrupt:
        say(f"{what} is there, and nothing ends it by itself: neurocwl cluster destroy {arguments.name}")
        raise
    show.cluster(made)
    print(f"  neurocwl launch ... --backend {where.name} --cluster {spec.name}")
    return 0


def _number(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{option} {text}: must be a whole number") from None


def _allowed(arguments: argparse.Namespace, where: Backend) -> list[str]:
    """From where ssh is let in: as the user says, else this machine's own address."""
    if arguments.ssh_from:
        return [harden.network(text) for text in arguments.ssh_from]
    if getattr(arguments, "private", False):
        raise BadInput("--private needs --ssh-from: the block of your network's private addresses")
    return [harden.own_address(where.values["address_service"])]


def _allow(arguments: argparse.Namespace) -> int:
    ours = access(arguments)
    found = cluster.existing(arguments.name, ours)
    assert found.leader is not None
    made_by = found.leader.tags.get(cluster.BACKEND_TAG, "")
    profile = made_by if made_by in backend.names() else "aws"  # a lab's own file is elsewhere
    where = backend.load(profile, (), {"region": found.region})
    sources = _allowed(arguments, where)
    with session.explained(f"cluster {found.name}"):
        ec2 = session.client(ours, "ec2", found.region)
        filters = [{"Name": f"tag:{cluster.TAG}", "Values": [found.name]}]
        for group in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]:
            harden.admit(ec2, group["GroupId"], sources)
    print(f"cluster {found.name}: ssh is let in from {', '.join(sources)} alone")
    return 0


def _lead(arguments: argparse.Namespace) -> int:
    return lead.carry_out(arguments.file)


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
        show.leftovers(audit.judged(found, name, partial(audit.writes, access=cloud.access)))
        if not stackcommands.agreed(f"end all of cluster {name}?", arguments.yes):
            return 1
        teardown.end(cloud, name, print, on_leader=arguments.on_leader)
    print(f"cluster {name}, {cloud.region}: {'ends' if arguments.on_leader else 'nothing is left'}")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    cloud, name = _cloud(arguments), arguments.name
    own = cloud.access
    others = inventory.regions(own) if arguments.all_regions else []
    found = inventory.take(
        [cloud, *(Cloud(own, region, cloud) for region in others if region != cloud.region)]
    )
    chosen = found.of(name) if name else found
    alive = partial(audit.writes, access=own)
    result = audit.judged(chosen, name, alive)
    if not arguments.all_regions and any(not thing.region for thing in result.left):
        # A bucket or a role of a cluster in another region is found from here.
        result = audit.judged(chosen, name, alive, inventory.elsewhere(cloud))
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
