"""`neurocwl cluster create|status|destroy --backend aws-batch`: shows what would be done, asks, does it."""

import argparse
import json
import sys

from neurocwl import clustercli, template
from neurocwl.aws import batchstack, batchstatus, cluster, stack
from neurocwl.aws.batchstack import BATCH, TAG, TRIGGER, stack_name
from neurocwl.aws.session import client, region_of
from neurocwl.errors import BadInput, Conflict
from neurocwl.prepare import access

# Options that clusters of Toil have as well, and the parameters that they stand for.
SHARED = {
    "image": ("ApplianceImage",),
    "node_types": ("SpotInstanceTypes", "OnDemandInstanceTypes"),
    "node_disk": ("DiskGib",),
}


def create(arguments: argparse.Namespace) -> int:
    """Make the stacks of a cluster, or change them to what is asked for now."""
    ours, name = access(arguments), stack_name(arguments.name, BATCH)
    for pipeline in arguments.trigger:
        template.load(pipeline)
    asked = {
        **(batchstack.from_plan(arguments.from_plan) if arguments.from_plan else {}),
        **batchstack.data_access(arguments.read, arguments.write),
        **_shared(arguments),
        **batchstack.given(arguments.set),
        "ClusterName": arguments.name,
    }
    if arguments.trigger:
        asked["Events"] = "true"
    cf = client(ours, "cloudformation")
    old = stack.read(cf, name)
    if old is None or old.status in stack.UNFINISHED:
        if cluster.read(arguments.name, ours).leader:
            raise Conflict(
                f"cluster {arguments.name}: one of Toil's has this name, and either one's end would take parts of the "
                "other; choose another"
            )
        if "ApplianceImage" not in asked:
            raise BadInput(
                "a new cluster needs --image REGISTRY/IMAGE:TAG: the image of provisioning/images/appliance, in a registry of yours (docs/aws-batch.md)"
            )
        if "VpcId" not in asked:
            asked = {**batchstack.network(client(ours, "ec2")), **asked}
    _say(f"{arguments.name} on AWS Batch in {region_of(ours)}")
    if not _bring(cf, arguments, BATCH, asked):
        return 1
    return _trigger(cf, arguments, asked)


def _shared(arguments: argparse.Namespace) -> dict[str, str]:
    """What is asked for by options that clusters of Toil have as well.

    Raises BadInput for those that mean nothing to a stack.
    """
    if arguments.private or arguments.ssh_from or arguments.backend_setting or arguments.tag:
        raise BadInput(
            f"--private, --ssh-from, --tag and --backend-setting are not for --backend {arguments.backend}; use --set NAME=VALUE"
        )
    found: dict[str, str] = {}
    for option, _, _ in clustercli.SETTINGS:
        name = option.removeprefix("--").replace("-", "_")
        value = getattr(arguments, name)
        if value is None:
            continue
        if name not in SHARED or (name == "node_types" and ":" in value):
            raise BadInput(f"{option} {value}: not for --backend {arguments.backend}; use --set NAME=VALUE")
        found |= dict.fromkeys(SHARED[name], value)
    return found


def _trigger(cf: object, arguments: argparse.Namespace, asked: dict[str, str]) -> int:
    """The stack of the trigger: made when asked for, and kept true to the stack that it starts leaders of."""
    name = stack_name(arguments.name, TRIGGER)
    batch = stack.read(cf, stack_name(arguments.name, BATCH))
    there = stack.read(cf, name) is not None
    if batch is not None and batch.outputs and (arguments.trigger or there):
        values = {**asked, **batchstack.trigger_parameters(batch, arguments.trigger)}
        if not _bring(cf, arguments, TRIGGER, values):
            return 1
        if (made := stack.read(cf, name)) and made.outputs:
            inbox = made.outputs["Inbox"]
            print(f"upload a dataset to {inbox}NAME/, then NAME.neurocwl.json to {inbox}")
    elif arguments.trigger:  # a dry run of what does not exist yet
        _say(f"{name}: made after {stack_name(arguments.name, BATCH)}")
    if not arguments.dry_run:
        print(f"neurocwl launch dataset ... --backend {arguments.backend} --cluster {arguments.name}")
    return 0


def _bring(cf: object, arguments: argparse.Namespace, part: str, asked: dict[str, str]) -> bool:
    """Bring one stack to its template and these parameters; False when the user did not want it."""
    text, name = batchstack.template(part), stack_name(arguments.name, part)
    known = stack.parameter_names(text)
    values = {key: value for key, value in asked.items() if key in known}
    proposed = stack.propose(cf, name, text, values, {TAG: arguments.name}, _say)
    if proposed is None:
        print(f"{name}: nothing changes")
        return True
    done = False
    try:
        print(f"{name}: {'a new stack' if proposed.new else 'changes'}")
        print("\n".join(shown(proposed)))
        if arguments.dry_run:
            return True
        if not agreed("carry this out?", arguments.yes):
            print("nothing was changed")
            return False
        done = True
    finally:
        if not done:
            stack.drop(cf, proposed)
    found = stack.execute(cf, proposed, _say)
    print(f"{name}: {found.status.lower().replace('_', ' ')}")
    return True


def shown(proposed: stack.ChangeSet) -> list[str]:
    """A change set for people; what is replaced or removed stands out."""
    loud = {"replaced", "perhaps replaced", "removed"}
    width = max((len(one.name) for one in proposed.changes), default=0)
    return [
        f"  {one.what.upper() if one.what in loud else one.what:16} {one.name:{width}}  {one.kind}"
        + (f" ({', '.join(one.because)})" if one.because else "")
        for one in proposed.changes
    ]


def status(arguments: argparse.Namespace) -> int:
    """The queues of a cluster."""
    ours, name = access(arguments), stack_name(arguments.name, BATCH)
    settings = batchstack.settings_of(arguments.name, ours)
    found = stack.read(client(ours, "cloudformation"), name)
    if found is None:
        raise BadInput(f"{arguments.name}: it has just gone")
    read = batchstatus.read(arguments.name, found.status, found.outputs, client(ours, "batch"))
    if arguments.json:
        print(json.dumps({**read.as_dict(), "settings": settings}, indent=1, ensure_ascii=False))
    else:
        print("\n".join(read.lines()))
    return 0 if read.healthy else 1


def destroy(arguments: argparse.Namespace) -> int:
    """Delete the stacks of a cluster and its job stores; data only when told."""
    ours = access(arguments)
    cf, store = client(ours, "cloudformation"), client(ours, "s3")
    names = [stack_name(arguments.name, part) for part in (TRIGGER, BATCH)]
    there = [found for found in (stack.read(cf, name) for name in names) if found]
    left = batchstack.buckets(arguments.name, store)
    gone = [one for one in left if one.job_store or one.empty or arguments.delete_data]
    for found in there:
        print(f"{found.name}:")
        print("\n".join(f"  {name}  {kind}  {id_}" for name, kind, id_ in stack.resources(cf, found.name)))
        running = batchstatus.living(client(ours, "batch"), found.outputs)
        if running:
            print(f"  {running} jobs wait or run, and are ended with it")
    for one in left:
        what = "a job store" if one.job_store else "empty" if one.empty else "DATA"
        kept = "deleted" if one in gone else "stays; --delete-data deletes it, too"
        print(f"s3://{one.name} ({what}): {kept}")
    if not there and not gone:
        print(f"nothing of {arguments.name} is left" if not left else "nothing else is left")
        return 0
    if not agreed("delete this?", arguments.yes):
        print("nothing was deleted")
        return 1
    for found in there:
        stack.delete(cf, found.name, _say)
    # Leaders that ran until now may have made job stores since. A bucket that was empty may have been written to; the
    # stack no longer is in its way.
    since = [one for one in batchstack.buckets(arguments.name, store) if one.job_store]
    for one in {one.name: one for one in [*gone, *since]}.values():
        batchstack.remove_bucket(store, one.name, whole=one.job_store or arguments.delete_data)
    print(f"{arguments.name} is gone")
    return 0


def agreed(question: str, yes: bool) -> bool:
    """Whether the user wants it.

    Raises BadInput where nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BadInput(f"{question} there is nobody to ask; give --yes, or --dry-run to look only")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
