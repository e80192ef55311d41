"""Imports point one way, and what is heavy is imported late."""

import ast
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import neurocwl
from neurocwl import template

PACKAGE = Path(neurocwl.__file__).parent

# From the lowest: a module imports from layers below its own only (design: cli > launch, plan, ... > bids, s3, errors).
LAYERS = (
    {
        "__init__",
        "assets",
        "aws",
        "aws.things",
        "batches",
        "budget",
        "chart",
        "checks",
        "clustercli",
        "cwlfile",
        "errors",
        "globs",
        "leaderkeys",
        "moneyoptions",
        "nodes",
        "packing",
        "pipelinescli",
        "rounds",
        "stop",
    },
    {"package"},
    {
        "backend",
        "bidsignore",
        "bidsnames",
        "carry",
        "checks.finding",
        "checks.registry",
        "cliparser",
        "credentials",
        "images",
        "prices",
        "pyenv",
        "s3server",
        "slurm",
        "toil",
    },
    {
        "aws.nodetypes",
        "bids",
        "binding",
        "boutiques",
        "capacity",
        "checks.image",
        "checks.kubernetes",
        "checks.room",
        "containers",
    },
    {"checks.cluster", "filters", "s3", "validator", "validity"},
    {"aws.session", "clusters", "slurmbackend", "storage", "template"},
    {
        "aws.batchstatus",
        "aws.listing",
        "aws.stack",
        "channels",
        "checks.account",
        "checks.bucket",
        "receipts",
        "software",
        "units",
        "workflow",
    },
    {
        "aws.batchstack",
        "aws.cluster",
        "aws.inventory",
        "aws.lead",
        "aws.removal",
        "derivatives",
        "duration",
        "liveprices",
    },
    {
        "aws.harden",
        "aws.jobstores",
        "aws.nodehours",
        "aws.ssh",
        "aws.teardown",
        "aws.toilcluster",
        "lease",
        "parameters",
        "progress",
        "runs",
    },
    {"aws.audit", "aws.deadman", "contract", "cost", "installed", "preflight", "strays", "taskkey", "watch"},
    {
        "aws.create",
        "bidsapp",
        "description",
        "drift",
        "joborder",
        "licence",
        "machine",
        "rocrate",
        "spending",
        "status",
    },
    {"checks.here", "group", "history", "notify", "project", "provenance", "sync", "verify"},
    {"checklist", "detach", "plan", "show"},
    {
        "aws.batchjobs",
        "aws.leader",
        "doctor",
        "estimate",
        "export",
        "kubernetes",
        "leaders",
        "prepare",
        "realdata",
        "superseded",
    },
    {"demo", "doctorcli", "importing", "pricing", "repeat", "stackcommands", "standalone", "watching"},
    {"clustercommands", "launch", "pipelinecommands"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}


def name_of(file: Path) -> str:
    """A module's name below the package: launch, aws.session; a folder's is that of its __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {name_of(file): file for file in PACKAGE.rglob("*.py") if "share" not in file.parts}
MODULES = sorted(FILES)
HEAVY = {"toil", "cwltool", "boto3", "botocore", "ruamel", "rich", "schema_salad", "bidsschematools", "pathspec", "nibabel", "numpy", "psutil", "urllib3"}  # fmt: skip


def imported(module: str, *, everywhere: bool) -> set[str]:
    """The modules that one imports, at its top or everywhere; what only type checkers see does not count."""
    tree = ast.parse(FILES[module].read_text())
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not everywhere:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            found |= {f"{node.module}.{name.name}" for name in node.names}
        pending += ast.iter_child_nodes(node)
    return found


def ours(names: set[str]) -> set[str]:
    """Modules of the package among imported names."""
    found = set()
    for name in names:
        head, _, rest = name.partition(".")
        if head == "neurocwl":
            parts = rest.split(".")
            longest = [
                ".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in MODULES
            ]
            found.add(longest[0] if longest else "__init__")
    return found


def test_every_module_has_a_layer() -> None:
    assert sorted(LEVEL) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_lower_layers_only(module: str) -> None:
    above = {other for other in ours(imported(module, everywhere=True)) if LEVEL[other] >= LEVEL[module]}
    assert not above, f"{module} (layer {LEVEL[module]}) imports {above}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_heavy_is_imported_at_the_top_of_a_module(module: str) -> None:
    assert not {name.partition(".")[0] for name in imported(module, everywhere=False)} & HEAVY


@pytest.mark.parametrize("module", MODULES)
def test_toil_and_cwltool_are_never_imported_only_run(module: str) -> None:
    heads = {name.partition(".")[0] for name in imported(module, everywhere=True)}
    assert not heads & {"toil", "cwltool", "cwl_utils"}


@pytest.mark.parametrize("module", MODULES)
def test_no_pipeline_is_named_in_the_code(module: str) -> None:
    """A pipeline is a tool, a workflow and a template; adding one touches no module."""
    tree = ast.parse(FILES[module].read_text())
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, scopes)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = [
        text for text in texts - docs for name in template.names() if re.search(rf"\b{name}\b(?!_)", text)
    ]
    assert not [text for text in named if text not in ("reports",)], (
        "a word that is no pipeline may be excepted"
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["launch", "dataset", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom neurocwl.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def cpu_seconds(*words: str) -> float:
    """The least CPU time of several runs of a Python process."""
    least = float("inf")
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *words],
            stdout=subprocess.DEVNULL,
            check=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least


def test_help_costs_less_than_a_fifth_of_a_second_of_cpu_more_than_python() -> None:
    assert cpu_seconds("-m", "neurocwl", "--help") - cpu_seconds("-c", "pass") < 0.2
