"""Doctor: what stands between a launch and its end, looked at before it begins. Each finding has its fix."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from neurocwl import capacity, detach, licence, machine, s3
from neurocwl.backend import ON_DEMAND, SPOT, Backend
from neurocwl.checks import account, bucket, cluster, here, image, room
from neurocwl.checks.finding import (
    FAILED,
    WARNING,
    Check,
    Finding,
    gather,
    ok,
    refused,
    unknown,
    until_failed,
)
from neurocwl.cost import MOST_NODES
from neurocwl.errors import BadInput, InfrastructureError, NeurocwlError
from neurocwl.nodes import NodeType, Shape
from neurocwl.prices import snapshot
from neurocwl.s3 import Access
from neurocwl.storage import S3Location, open_location
from neurocwl.template import Template, image_of

# What Toil gives to a job that asks for nothing (--defaultCores, --defaultMemory, --defaultDisk).
UNASKED = {"cpus": 1, "memory_mib": 2048, "tmp_mib": 2048, "out_mib": 1}


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be launched, as far as it is known, and where."""

    backend: Backend
    access: Access
    dataset_access: Access
    work_dir: Path
    environment: Mapping[str, str]
    dataset: str | None = None
    output: str | None = None
    template: Template | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""  # instead of the template's own
    licence: str | None = None
    container: bool = True
    rehearsal: bool = False

    @property
    def on_s3(self) -> bool:
        """Whether anything of it is on S3 that is not for everybody."""
        signed = (self.dataset if self.dataset_access.sign else None, self.output, self.licence)
        return self.backend.job_store == "s3" or any((url or "").startswith("s3://") for url in signed)

    @property
    def on_aws(self) -> bool:
        """Whether machines are started there."""
        return self.backend.cluster is not None or self.backend.batch_system == "aws_batch"

    @property
    def asked(self) -> dict[str, int]:
        """What one unit asks for."""
        assert self.template
        wanted = UNASKED | machine.asked(self.template, self.parameters)
        if self.rehearsal:
            wanted |= {key: value for key, value in machine.REHEARSAL.items() if key not in self.parameters}
        return wanted

    def told(self, option: str) -> list[str]:
        """The values that Toil is given of an option, on demand and spot."""
        words = [*self.backend.toil_options(ON_DEMAND), *self.backend.toil_options(SPOT)]
        found = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
        return list(dict.fromkeys(found))

    def number(self, setting: str) -> int:
        """A setting that is a number; 0: it is none, or not there."""
        text = self.backend.values.get(setting, "")
        return int(text) if text.isdecimal() else 0

    def node_types(self) -> dict[str, bool]:
        """Instance types, and whether each is a spot one (a bid stands behind it)."""
        texts = self.told("--nodeTypes") or [self.backend.values.get("node_types", "")]
        types = {}
        for word in re.split(r"[,\s]+", ",".join(texts)):
            name, bid, _ = word.partition(":")
            for one in filter(None, name.split("/")):
                types[one] = bool(bid)
        return types


def examine(case: Case) -> list[Finding]:
    """Every check that concerns a case."""
    return _made((_machine, _storage, _container, _licence, _cluster), case)


def _made(checks: Sequence[Callable[[Case], Iterator[Finding]]], case: Case) -> list[Finding]:
    return gather([partial(check, case) for check in checks])


def before_launch(case: Case, say: Callable[[str], None]) -> list[Finding]:
    """Those checks that are quick and that a launch does not make anyway; warnings are said.

    Raises BadInput or InfrastructureError for what would end in failed units, or in none at all.
    """
    # What was started elsewhere was looked at where that was asked for; a leader has other rights, and no docker.
    quick = case.backend.here or {detach.RUN, detach.LEADER} & set(case.environment)
    checks = (_quick_storage,) if quick else (_storage, _container, _cluster)
    found = _made(checks, case)
    for one in found:
        if one.status == WARNING:
            say(f"warning: {one.text}; {one.fix}")
    bad = [one for one in found if one.status == FAILED]
    if bad:
        text = "\n".join(f"{one.text}; {one.fix}" for one in bad)
        all_input = all(issubclass(one.blame, BadInput) for one in bad)
        raise (BadInput if all_input else InfrastructureError)(text)
    return found


def _machine(case: Case) -> Iterator[Finding]:
    yield here.programs()
    yield here.work_folder(case.work_dir)


def _quick_storage(case: Case) -> Iterator[Finding]:
    """What local runs need of S3; the launch itself has read there already."""
    if case.output and case.output.startswith("s3://"):
        output = S3Location(case.output, case.access)
        yield from until_failed(
            lambda: [account.credentials(case.access, case.environment)],
            lambda: [bucket.server(output.client.meta.endpoint_url)],
            lambda: bucket.writable(output),
        )


def _storage(case: Case) -> Iterator[Finding]:
    """From the server to the buckets; what rests on something that failed is not looked at."""
    steps: list[Check] = []
    if case.on_s3 or case.on_aws:
        try:
            endpoint = s3.client(case.access).meta.endpoint_url
        except NeurocwlError as error:
            yield refused("s3", error, "check --profile and --region")
            return
        steps = [
            lambda: [bucket.server(endpoint)],
            lambda: [account.credentials(case.access, case.environment, endpoint)],
            lambda: [account.region(case.access, case.environment, needed=case.on_aws)],
        ]
    yield from until_failed(*steps, lambda: _places(case))


def _places(case: Case) -> Iterator[Finding]:
    """Dataset, output, account: each may fail by itself."""
    if case.dataset:
        yield bucket.readable(case.dataset, case.dataset_access)
    yield from _output(case)
    if case.on_aws:
        yield from _account(case)


def _output(case: Case) -> Iterator[Finding]:
    if not case.output:
        return
    try:
        output = open_location(case.output, case.access)
    except NeurocwlError as error:
        yield refused("output", error, "give s3://BUCKET/PREFIX or a folder")
        return
    if not isinstance(output, S3Location):
        yield from bucket.writable(output)
        return
    nodes = case.backend.values.get("region") or account.region_of(case.access)
    yield from until_failed(
        lambda: bucket.writable(output),
        lambda: bucket.keeping(output),
        lambda: [bucket.encryption(output, elsewhere=case.on_aws)],
        lambda: [bucket.region(output, nodes)] if case.on_aws else [],
    )


def _account(case: Case) -> Iterator[Finding]:
    """What the account lets one run."""
    region = case.backend.values.get("region") or account.region_of(case.access)
    there = replace(case.access, region=region)
    types = case.node_types()
    if types:
        known = _node_types(region)
        limits = [int(number) for text in case.told("--maxNodes") for number in re.findall(r"\d+", text)]
        most = max(limits, default=case.number("max_nodes") or MOST_NODES)
        for spot in sorted(set(types.values())):
            those = [name for name in types if types[name] == spot]
            yield from account.quotas(there, those, known, most_nodes=most, spot=spot)
    for queue in case.told("--awsBatchQueue"):
        yield account.batch_queue(there, queue, case.asked["cpus"] if case.template else 1)


def _container(case: Case) -> Iterator[Finding]:
    """From the engine to the image to the room that both need; what rests on something that failed is left out."""
    kind = case.backend.container if case.container else "none"
    if kind != "none" and case.backend.here:
        found = image.engine(kind)
        yield found
        if found.status == FAILED:
            return
    yield from _appliance(case)
    if case.template is None:
        return
    if kind == "none" and case.backend.here:
        yield here.commands_of(case.template)
    wanted = _images(case) if kind != "none" else []
    elsewhere = not case.backend.here
    size = 0
    for reference in wanted:
        one = image.find(reference, case.environment, nodes_elsewhere=elsewhere)
        if isinstance(one, Finding):
            yield one
            continue
        size += one.disk_mib
        yield ok("image", one.text)
        yield _architecture(case, one, reference)
        if case.backend.here:
            yield from image.fits_here(one)
    yield from _room(case, size)


def _appliance(case: Case) -> Iterator[Finding]:
    """Whether a registry has the image that workers run in; without it they never start."""
    variables = {**case.environment, **case.backend.variables()}
    reference = variables.get("TOIL_APPLIANCE_SELF", "")
    if case.backend.here or not reference or reference.startswith("localhost/"):
        return
    found = image.find(reference, case.environment, nodes_elsewhere=True)
    if isinstance(found, Finding):
        yield replace(found, name="appliance")
    else:
        yield ok("appliance", found.text)


def _architecture(case: Case, found: image.Image, reference: str) -> Finding:
    types = case.node_types()
    if types:
        return image.runs_on(found, reference, frozenset(map(image.of_node_type, types)))
    if case.on_aws or case.backend.batch_system == "kubernetes":
        return unknown(
            "architecture",
            f"that of the nodes is not known; the image: {', '.join(sorted(found.architectures))}",
        )
    return image.runs_on(found, reference, frozenset({image.here()}))


def _room(case: Case, image_mib: int) -> Iterator[Finding]:
    """Whether a unit, with its images, fits anywhere."""
    assert case.template
    if case.backend.here:
        yield here.unit(case.template, case.parameters, case.work_dir, rehearsal=case.rehearsal)
        return
    asked = case.asked
    shape = Shape(asked["cpus"], asked["memory_mib"], asked["tmp_mib"] + asked["out_mib"])
    types = case.node_types()
    if types:
        known = _node_types(case.backend.values.get("region") or account.region_of(case.access))
        yield room.fits_types(shape, image_mib, known, list(types), case.number("node_disk"))
        return
    node = case.backend.node
    places = [
        room.Limits(f"the largest node of {case.backend.name}", node.cpus, node.memory_mib, node.disk_mib)
    ]
    if node.cpus is None and node.memory_mib is None and node.disk_mib is None:
        if case.backend.batch_system in capacity.BATCH_SYSTEMS:
            return  # asked below
        places = []
    yield room.fits(shape, image_mib, asked.get("time_limit", 0), places)


def _node_types(region: str) -> Mapping[str, NodeType]:
    try:
        return snapshot(region).nodes
    except BadInput:
        return snapshot("us-east-1").nodes  # the sizes are the same everywhere


def _images(case: Case) -> list[str]:
    assert case.template
    own = case.template.image
    wanted = dict.fromkeys(map(image_of, case.template.tools))
    return list(dict.fromkeys(case.image if one == own and case.image else one for one in wanted if one))


def _licence(case: Case) -> Iterator[Finding]:
    """Whether there is a licence, where one is needed; nothing of it is shown."""
    if case.template is None or not case.template.licence:
        return
    try:
        licence.find(case.licence, case.environment, case.access)
    except NeurocwlError as error:
        yield refused("licence", error, licence.GET_ONE)
    else:
        yield ok("licence", "there, and has the form of one")


def _cluster(case: Case) -> Iterator[Finding]:
    """What a batch system needs on this machine, and its own limits."""
    found = list(cluster.checks(case.backend, case.work_dir, case.environment))
    yield from found
    failing = any(one.name == "commands" and one.status == FAILED for one in found)
    if case.template and not failing and case.backend.batch_system in capacity.BATCH_SYSTEMS:
        yield cluster.takes(case.backend, case.asked)
