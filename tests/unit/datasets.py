"""Datasets for tests, from trees and from lists of paths, as a listing would give them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurocwl import bids, template
from neurocwl.bids import Dataset, Entry
from neurocwl.template import Template
from tests.data.trees import Tree

NIFTI = [".nii", ".nii.gz"]


def entry(path: str, version: int = 0) -> Entry:
    """A listing's entry; another version has another ETag."""
    return Entry(path, len(path), f"{version}-{path}")


def dataset(paths: Iterable[str], table: str | None = None, changed: Iterable[str] = ()) -> Dataset:
    changed = set(changed)
    return bids.index([entry(path, path in changed) for path in sorted(paths)], participants_tsv=table)


def of_tree(tree: Tree) -> Dataset:
    entries = [Entry(path, 0 if path in tree.empty else 9, "e") for path in tree.paths]
    return bids.index(entries, bidsignore=tree.bidsignore, participants_tsv=tree.participants_tsv)


TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
hints: {DockerRequirement: {dockerPull: "some/image:1"}, ResourceRequirement: {coresMin: $(inputs.cpus)}}
baseCommand: "true"
inputs:
%s
outputs: {out: {type: Directory, outputBinding: {glob: out}}, log: stdout}
stdout: log
"""
INPUTS = """\
  bids_dir: {type: Directory, inputBinding: {position: 1}, doc: the dataset}
  label: string
  session: string?
  t1w: {type: "File[]", doc: "Images. Many."}
  t2w: File?
  use_t2w: {type: boolean, default: false, doc: "Use the T2w image. It helps."}
  level: {type: int?, doc: 100% of it}
  factor: {type: double, default: 0.5}
  kind: {type: {type: enum, symbols: [a, b]}, default: a}
  spaces: {type: "string[]?"}
  config: {type: File?, doc: a file}
  extra_args: {type: "string[]?"}
  licence: File
  cpus: {type: int, default: 4}
"""
JOB = """\
class: JobTemplate
pipeline: try
label: a try
doc: for tests
tool: ../cwl/tools/try.cwl
unit: participant
bind:
  bids_dir: {dataset: {datatype: [anat, func]}}
  label: {label: participant}
  session: {label: session}
  t1w: {files: {datatype: anat, suffix: T1w}, query: t1w}
  t2w: {file: {datatype: anat, suffix: T2w}, query: t2w, when: use_t2w}
licence: licence
requires:
  - {name: T1w image, where: {datatype: anat, suffix: T1w, extension: [.nii, .nii.gz]}, query: t1w}
  - {name: T2w image, where: {datatype: anat, suffix: T2w}, query: t2w, when: use_t2w}
  - {name: BOLD run, where: {datatype: func, suffix: bold}, unless: level}
outputs: {out: "."}
logs: [log]
evidence: {expect: ["{unit}.html"]}
"""


def pipeline(
    folder: Path, changes: Mapping[str, str] | None = None, inputs: str = INPUTS, tool: str = TOOL
) -> Template:
    """A pipeline of its own: lines of its job template replaced by others."""
    text = JOB
    for old, new in (changes or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    write(folder, text, tool % inputs if "%s" in tool else tool)
    return template.load("try", folder)


def write(folder: Path, job: str, tool: str) -> Path:
    for path, content in (("jobs/try.yml", job), ("cwl/tools/try.cwl", tool)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder / "jobs/try.yml"


def files_in(value: Any, below: str = "") -> dict[str, str]:
    """The Files in a CWL value: path below it -> location."""
    if isinstance(value, list):
        return {path: place for item in value for path, place in files_in(item, below).items()}
    if isinstance(value, dict) and value.get("class") == "File":
        return {below + value["basename"]: value["location"]}
    if isinstance(value, dict) and value.get("class") == "Directory":
        return files_in(value["listing"], f"{below}{value['basename']}/")
    return {}
