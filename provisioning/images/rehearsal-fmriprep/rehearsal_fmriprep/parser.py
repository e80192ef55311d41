"""fMRIPrep's own parser among light stand-ins, and its values as plain options.

The parser's module imports nipype, TemplateFlow and PyBIDS (6 CPU seconds) to learn two versions and a list
of template names. Those come from a file frozen when the image was built, where the build also compares the
verdicts of both (checks/compare_parsers.py).
"""

import enum
import importlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Space:
    """One output space as fMRIPrep's Reference has it; resolution None is native."""

    name: str
    resolution: str | None = None
    density: str | None = None
    cohort: str | None = None
    standard: bool = True
    dimensions: int = 3


DEFAULT_SPACES = (Space("MNI152NLin2009cAsym"),)


@dataclass(frozen=True, slots=True)
class Options:
    """What of the command line decides which files a run reads and writes; None: not given."""

    bids_dir: Path
    output_dir: Path
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    task: str | None = None
    echo: int | None = None
    filters: dict[str, dict[str, Any]] = field(default_factory=dict)
    reference: str = "first-lex"
    track_sessions: bool = True
    anat_only: bool = False
    level: str = "full"
    boilerplate_only: bool = False
    reports_only: bool = False
    ignore: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    spaces: tuple[Space, ...] = DEFAULT_SPACES
    layout: str = "bids"
    echo_outputs: bool = False
    sessions_per_report: int = 4
    markdown_only: bool = False
    cifti: str | None = None
    msm: bool = True
    goodvoxels: bool = False
    syn: str | None = None
    licence: Path | None = None
    subjects_dir: Path | None = None
    earlier: tuple[Path, ...] = ()
    reconall: bool = True
    work_dir: Path | None = None
    memory_gb: float | None = None

    @property
    def derivatives(self) -> Path:
        """Where fMRIPrep's own derivatives go: OUT, or OUT/fmriprep in the legacy layout."""
        return self.output_dir / "fmriprep" if self.layout == "legacy" else self.output_dir


class Query(enum.Enum):
    """PyBIDS' marks for an entity that must be absent (null in a filter file) or present ("*")."""

    NONE = 1
    REQUIRED = ANY = 2
    OPTIONAL = 3


def parse(arguments: list[str]) -> Options:
    """Ask fMRIPrep's parser; it exits (2, or 0 for --help) or raises as fMRIPrep would."""
    stand_in()
    builder = importlib.import_module("fmriprep.cli.parser")
    values = builder._build_parser(prog="fmriprep").parse_args(arguments)
    references = values.output_spaces
    reference = "unbiased" if getattr(values, "longitudinal", None) else values.subject_anatomical_reference
    return Options(
        bids_dir=values.bids_dir,
        output_dir=Path(values.output_dir).absolute(),
        participants=tuple(values.participant_label or ()),
        sessions=tuple(values.session_label or ()),
        task=values.task_id,
        echo=values.echo_idx,
        filters=values.bids_filters or {},
        reference=reference,
        track_sessions=values.track_sessions,
        anat_only=values.anat_only,
        level=values.level,
        boilerplate_only=values.boilerplate_only,
        reports_only=values.reports_only,
        ignore=tuple(values.ignore),
        force=tuple(values.force),
        spaces=DEFAULT_SPACES if references is None else tuple(map(_space, references.references)),
        layout=values.output_layout,
        echo_outputs=values.me_output_echos,
        sessions_per_report=values.aggr_ses_reports,
        markdown_only=values.md_only_boilerplate,
        cifti=values.cifti_output or None,
        msm=values.run_msmsulc,
        goodvoxels=values.project_goodvoxels,
        syn=values.use_syn_sdc or None,
        licence=values.fs_license_file,
        earlier=tuple(Path(place) for place in dict(values.derivatives or {}).values()),
        subjects_dir=Path(values.fs_subjects_dir).absolute() if values.fs_subjects_dir else None,
        reconall=values.run_reconall,
        work_dir=Path(values.work_dir).absolute() if values.work_dir else None,
        memory_gb=values.memory_gb,
    )


def _space(reference: Any) -> Space:
    resolution = reference.spec.get("res") or reference.spec.get("resolution")
    name = reference.legacyname or reference.space
    return Space(
        name=name,
        resolution=None if resolution in (None, "native") else str(resolution),
        density=reference.spec.get("den"),
        cohort=reference.spec.get("cohort"),
        standard=reference.standard,
        dimensions=reference.dim,
    )


def stand_in() -> None:
    """Put the stand-ins and the parser's own packages where `import` finds them."""
    frozen = json.loads((HERE / "spaces.json").read_text())
    sys.path.insert(0, str(HERE.parent / "site"))
    os.environ.setdefault("HOME", "/tmp")
    # The parser looks for newer releases of fMRIPrep: here there is no network to look in.
    requests = _module("requests", get=_no_network, ConnectionError=ConnectionError, ReadTimeout=TimeoutError)
    requests.__dict__["exceptions"] = _module("requests.exceptions", ConnectionError=ConnectionError)
    _module("nipype", __version__=frozen["nipype_version"])

    class Layout:
        @staticmethod
        def get_cohorts(template: str) -> list[str]:
            return list(frozen["cohorts"].get(template, []))

    def templates(suffix: str | None = None) -> list[str]:
        return list(frozen["templates_2d" if suffix == "sphere" else "templates"])

    api = _module("templateflow.api", templates=templates, TF_LAYOUT=Layout)
    conf = _module("templateflow.conf", TF_LAYOUT=Layout)
    _module("templateflow", __version__=frozen["templateflow_version"], api=api, conf=conf)
    layout = _module("bids.layout", Query=Query)
    _module("bids", layout=layout)


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def _no_network(*_: Any, **__: Any) -> None:
    raise ConnectionError("a rehearsal has no network")
