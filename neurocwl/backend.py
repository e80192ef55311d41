"""Backends: where units run. Profiles in provisioning/backends/, or a lab's own; data, not code."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from neurocwl import assets, cwlfile
from neurocwl.errors import BadInput

FOLDER = "provisioning/backends"
JOB_STORE = "neurocwl-"  # how the buckets of job stores begin
CHOICES: Mapping[str, Sequence[str]] = {
    "job_store": ("folder", "s3"),
    "container": ("docker", "singularity", "podman", "none"),
    "leader": ("here", "slurm", "aws-batch", "aws", "kubernetes"),
    "cluster": ("toil", "cloudformation"),
}
_CONTAINER: Mapping[str, Sequence[str]] = {
    "docker": ("--strict-memory-limit",),  # a unit that takes more than it asked for ends itself alone
    "singularity": ("--singularity",),
    "podman": ("--podman", "--strict-memory-limit"),
    "none": ("--no-container",),
}
OF_THE_RUN = ("digest", "run", "folder")  # stand in options, besides settings
ON_DEMAND, SPOT = "on_demand", "spot"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a lab's own installation decides."""

    doc: str
    default: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """The largest node; None where nobody said."""

    cpus: int | None = None
    memory_mib: int | None = None
    disk_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """A profile with the values of its settings."""

    name: str
    label: str
    doc: str
    batch_system: str
    job_store: str
    container: str
    leader: str
    file: Path
    options: tuple[str, ...] = ()
    on_demand: tuple[str, ...] = ()
    spot: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_on: tuple[str, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    node: Node = Node()

    @property
    def here(self) -> bool:
        """Whether units run on this machine, under this launch's own eyes."""
        return self.batch_system == "single_machine"

    def locator(self, folder: Path, name: str) -> str:
        """Toil's locator of a job store. folder: of the leader; name: from job_store_name."""
        return f"aws:{self.values['region']}:{name}" if self.job_store == "s3" else str(folder / "jobstore")

    def toil_options(
        self,
        capacity: str = ON_DEMAND,
        *,
        container: bool = True,
        digest: str = "",
        run: str = "",
        folder: str = "",
    ) -> list[str]:
        """Toil's options, but for the job store; those that name something without a value are left out.

        digest: of the output (output_digest); run: the run's id; folder: the leader's. They are {digest}, {run} and
        {folder} in a profile.
        """
        chosen = (*self.options, *(self.spot if capacity == SPOT else self.on_demand))
        return [
            f"--batchSystem={self.batch_system}",
            *_CONTAINER[self.container if container else "none"],
            *(f"--setEnv={name}" for name in self.pass_on if {**os.environ, **self.variables()}.get(name)),
            *self.filled(chosen, {"digest": digest, "run": run, "folder": folder}),
        ]

    def filled(self, texts: Iterable[str], known: Mapping[str, str] | None = None) -> list[str]:
        """Texts with values in place of {name}; those that name a setting without a value are left out."""
        values = {**self.values, **(known or {})}
        return [
            re.sub(r"\{(\w+)\}", lambda match: values[match[1]], text)
            for text in texts
            if all(values.get(name) for name in _named(text))
        ]

    def variables(self) -> dict[str, str]:
        """What the leader finds in its environment."""
        return {name: text for name, value in self.environment.items() for text in self.filled([value])}


def output_digest(output: str, environ: Mapping[str, str]) -> str:
    """What a run's jobs, containers and job stores are known by. One s3:// URL on two servers is two outputs."""
    server = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL", "")
    return hashlib.sha256(f"{server} {output}".encode()).hexdigest()[:16]


def job_store_name(digest: str, run: str, name: str) -> str:
    """What the job store of one leader is called: at most 56 lower case letters, digits and single hyphens (Toil)."""
    return f"{JOB_STORE}{digest}-{run}-{name}".lower()


def names() -> list[str]:
    """The backends that we bring."""
    return sorted(file.stem for file in assets.path(FOLDER).glob("*.yml") if file.stem != "schema")


def load(name: str, given: Sequence[str] = (), known: Mapping[str, str] | None = None) -> Backend:
    """A backend by its name or its file, with settings: KEY=VALUE words, else what is known, else its own.

    Raises BadInput for what cannot be used.
    """
    file = _find(name)
    raw = _valid(file)
    settings = {key: _setting(file, key, value) for key, value in (raw.get("settings") or {}).items()}
    values = {key: one.default for key, one in settings.items() if one.default is not None}
    values |= {key: str(value) for key, value in (raw.get("set") or {}).items()}
    values |= {key: value for key, value in (known or {}).items() if key in settings}
    values |= dict(_given(given))
    for key in values:
        if key not in settings:
            there = f"there are {', '.join(sorted(settings))}" if settings else "it has none"
            raise BadInput(f"--backend {name}: no setting is called {key!r}; {there}")
    for key, one in settings.items():
        if one.required and not values.get(key):
            raise BadInput(f"--backend {name} needs --backend-setting {key}=...: {one.doc.strip()}")
    found = Backend(
        name=raw["backend"],
        label=raw["label"],
        doc=raw["doc"].strip(),
        batch_system=raw["batch_system"],
        job_store=raw["job_store"],
        container=raw["container"],
        leader=raw["leader"],
        file=file,
        options=tuple(raw.get("options") or ()),
        on_demand=tuple(raw.get("on_demand") or ()),
        spot=tuple(raw.get("spot") or ()),
        environment={key: str(value) for key, value in (raw.get("environment") or {}).items()},
        pass_on=tuple(raw.get("pass_on") or ()),
        settings=settings,
        values=values,
        cluster=raw.get("cluster"),
        node=Node(**(raw.get("node") or {})),
    )
    _check(found)
    return found


def maker(name: str) -> str | None:
    """What makes the machines of a backend: toil, cloudformation, or somebody else (None)."""
    found = _valid(_find(name)).get("cluster")
    return None if found is None else str(found)


def as_text(found: Backend) -> str:
    """A profile with its settings, whole: the text of a file that means the same on another machine."""
    return json.dumps({**_whole(found.file), "set": dict(found.values)})


def _find(name: str) -> Path:
    own = Path(name).expanduser()
    if own.suffix in (".yml", ".yaml"):
        if not own.is_file():
            raise BadInput(f"--backend {name}: there is no such file")
        return own.resolve()
    file = assets.path(FOLDER) / f"{name}.yml"
    if name not in names():
        raise BadInput(f"--backend {name}: must be one of {', '.join(names())}, or a file (.yml)")
    return file


def _whole(file: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A profile with what it takes from the one that it is like."""
    if file in seen:
        raise BadInput(f"{file}: like goes in a circle")
    try:
        raw = cwlfile.load(file)
    except Exception as error:  # whatever the YAML parser makes of it
        raise BadInput(f"{file} is no YAML map: {error}") from error
    other = raw.get("like") if isinstance(raw, dict) else None
    if other is None:
        return raw
    beside = file.parent / str(other)
    base = _whole(beside if beside.is_file() else _find(str(other)), (*seen, file))
    merged = {**base, **{key: value for key, value in raw.items() if key != "like"}}
    for key in ("settings", "set", "environment"):
        merged[key] = {**(base.get(key) or {}), **(raw.get(key) or {})}
    return merged


def _valid(file: Path) -> dict[str, Any]:
    """A profile that its schema accepts."""
    from schema_salad.exceptions import SchemaSaladException
    from schema_salad.schema import load_and_validate, load_schema

    whole = _whole(file)
    loader, names_, _, _ = load_schema(str(assets.path(FOLDER) / "schema.yml"))
    if isinstance(names_, Exception):
        raise names_
    try:
        with NamedTemporaryFile("w", prefix=f"{file.stem}-", suffix=".yml") as text:
            json.dump(whole, text)
            text.flush()
            load_and_validate(loader, names_, text.name, True)
    except SchemaSaladException as error:
        raise BadInput(f"{file} is not a valid backend profile:\n{error}") from error
    if not isinstance(whole, dict) or whole.get("class") != "Backend":
        raise BadInput(f"{file} is not a valid backend profile: it must be one map with class: Backend")
    return whole


def _setting(file: Path, name: str, raw: Any) -> Setting:
    if not isinstance(raw, Mapping) or "doc" not in raw or set(raw) - {"doc", "default", "required"}:
        raise BadInput(f"{file}: settings.{name} must be a map with doc, and default or required")
    default = raw.get("default")
    return Setting(str(raw["doc"]), None if default is None else str(default), bool(raw.get("required")))


def _given(words: Sequence[str]) -> Iterable[tuple[str, str]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise BadInput(f"--backend-setting {word}: must be KEY=VALUE")
        yield key, value


def _named(text: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", text)


def _check(found: Backend) -> None:
    """Refuse what no code knows."""
    for key, known in CHOICES.items():
        value = getattr(found, key)
        if value is not None and value not in known:
            raise BadInput(f"{found.file}: {key} is {value!r}; it must be one of {', '.join(known)}")
    options = (*found.options, *found.on_demand, *found.spot)
    strange = {name for text in options for name in _named(text)} - {*found.settings, *OF_THE_RUN}
    strange |= {name for text in found.environment.values() for name in _named(text)} - {*found.settings}
    for name in sorted(strange):
        raise BadInput(f"{found.file}: {{{name}}} stands for no setting; add it to settings")
    if found.job_store == "s3" and not found.values.get("region"):
        raise BadInput(
            f"{found.file}: a job store on S3 needs a region: --backend-setting region=..., or AWS_REGION"
        )
