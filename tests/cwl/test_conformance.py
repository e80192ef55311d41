"""Every tool runs in every engine: cwltest compares what they make of its test job with NAME.expected.yml beside it.

The tools are run from an export that was moved elsewhere, where no step can import neurocwl. Images that no machine here can have are replaced in the copy by the
rehearsal images of the job templates: stand-ins, which prove command lines, staging and output names alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neurocwl import assets, cwlfile, images, template
from tests import environments

pytestmark = [pytest.mark.docker, pytest.mark.slow]

STREAMFLOW = "streamflow==0.2.0rc3"
AT_ONCE = 3
# It takes paths, where cwltest gives URLs, and hangs on an image whose command ends at once.
STREAMFLOW_RUNNER = """\
#!/bin/bash
exec timeout 200 {} "${{@#file://}}"
"""
HERE = Path(sys.executable).parent
JOBS = [
    job for kind in ("tools", "workflows") for job in sorted((assets.path("cwl") / kind).glob("*.test.yml"))
]


@dataclass(frozen=True)
class Outcome:
    """How a run ended, or why there was none."""

    code: int = 0
    said: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class Engine:
    """A CWL runner as cwltest calls it, and which form of the export it gets."""

    name: str
    packed: bool
    words: tuple[str, ...] = ()

    def program(self, scratch: Path) -> Path:
        """What cwltest is to call."""
        if self.name != "streamflow":
            return HERE / self.name
        file = scratch / "streamflow"
        file.write_text(STREAMFLOW_RUNNER.format(environments.python_with(STREAMFLOW).parent / "cwl-runner"))
        file.chmod(0o755)
        return file


ENGINES = (
    Engine("cwltool", packed=False),
    Engine("cwltool", packed=True),
    Engine("toil-cwl-runner", packed=True, words=("--no-prepull", "--logWarning")),
    Engine("streamflow", packed=False),
)


# Workflows of tools take Toil half a minute each; its launches run them in tests/e2e.
RUNS = [
    pytest.param(
        job,
        engine,
        id=f"{job.name.removesuffix('.test.yml')}-{engine.name}-{'packed' if engine.packed else 'unpacked'}",
    )
    for job in JOBS
    for engine in ENGINES
    if job.parent.name == "tools" or engine.name != "toil-cwl-runner"
]


def root_is_a_whole_file_system() -> bool:
    """Whether this machine's root is the root of a file system, as everywhere but in a chroot; see proc(5), mountinfo."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return any(mount[3:5] == ["/", "/"] for mount in mounts)


def in_use(document: Mapping[str, Any]) -> list[str]:
    """The images of a packed tool or workflow."""
    steps = document.get("steps", {}).values()
    inner = [image for step in steps for image in in_use(step["run"])]
    return [image for image in [template.image_of(document), *inner] if image]


def expected(job: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """What the job makes; without a file that says so, just all of its outputs."""
    beside = job.with_name(job.name.replace(".test.", ".expected."))
    return cwlfile.load(beside) if beside.is_file() else dict.fromkeys(document["outputs"], "Any")


def beyond(engine: Engine, document: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Why an engine cannot run a tool with these inputs; empty when it can."""
    if engine.name != "streamflow":
        return ""
    if in_use(document) and not root_is_a_whole_file_system():
        return "StreamFlow 0.2.0rc3 fails without a word in these containers in a chroot"
    if template.image_of(document) and not document.get("baseCommand"):
        return "StreamFlow 0.2.0rc3 passes over the ENTRYPOINT of an image"
    if any(
        "symbols" in str(s) and "null" in str(s) and name not in given
        for name, s in document["inputs"].items()
    ):
        return "StreamFlow 0.2.0rc3 refuses optional enums that are left out"
    return next(
        (why for s in document.get("steps", {}).values() if (why := beyond(engine, s["run"], s["in"]))), ""
    )


def outcome(
    job: Path, engine: Engine, exported: Path, environment: Mapping[str, str], scratch: Path
) -> Outcome:
    """Run one test job in one engine through cwltest."""
    tool = job.name.replace(".test.yml", ".cwl")
    document = json.loads((exported / "packed" / tool).read_text())
    if why := beyond(engine, document, cwlfile.load(exported / "packed" / job.name)):
        return Outcome(skipped=why)
    for image in in_use(document):
        if not image.startswith(images.PREFIX) and not images.exists(image):
            return Outcome(skipped=f"{image} is not on this machine, and no rehearsal stands in for it")
        images.ensure(image)
    folder = exported / "packed" if engine.packed else exported / "unpacked/cwl" / job.parent.name
    test = {"id": job.stem, "doc": f"{tool} in {engine.name}", "tool": str(folder / tool)}
    suite = scratch / "suite.yml"
    suite.write_text(json.dumps([{**test, "job": str(folder / job.name), "output": expected(job, document)}]))
    words = ["--test", str(suite), "--tool", str(engine.program(scratch)), "--verbose"]
    done = subprocess.run(
        [str(HERE / "cwltest"), *words, "--", *engine.words],
        capture_output=True,
        text=True,
        check=False,
        cwd=scratch,
        env=dict(environment),
    )
    return Outcome(done.returncode, (done.stdout + done.stderr)[-6000:])


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest,
    exported: Path,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[tuple[Path, Engine], Future[Outcome]]]:
    """The runs of all chosen tests, some at once: an engine waits more than it works."""
    chosen = [item.callspec.params for item in request.session.items if "outcomes" in item.fixturenames]
    pairs = [(params["job"], params["engine"]) for params in chosen]
    if any(engine.name == "streamflow" for _, engine in pairs):
        environments.python_with(STREAMFLOW)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {
            (job, engine): pool.submit(
                outcome, job, engine, exported, environment, tmp_path_factory.mktemp("run")
            )
            for job, engine in pairs
        }
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("job", "engine"), RUNS)
def test_the_test_job_makes_what_is_expected(
    job: Path, engine: Engine, outcomes: Mapping[tuple[Path, Engine], Future[Outcome]]
) -> None:
    found = outcomes[job, engine].result()
    if found.skipped:
        pytest.skip(found.skipped)
    assert found.code == 0, found.said
