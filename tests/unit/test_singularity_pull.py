"""An image of Singularity's is pulled once into a folder, and what is there is whole."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neurocwl import assets

WRAPPER = assets.path("toolwrappers") / "bin" / "singularity"
# In place of Singularity: a line for each pull, and a file that grows.
PROGRAM = f"""#!{sys.executable}
import os, sys, time
with open(os.environ["PULLS"], "a") as log:
    log.write(sys.argv[-1] + chr(10))
if os.environ.get("FAIL"):
    sys.exit(255)
with open(sys.argv[sys.argv.index("--name") + 1], "w") as image:
    for part in range(5):
        image.write("x" * 1000)
        image.flush()
        time.sleep(0.05)
"""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "singularity"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return tmp_path


def pull(node: Path, *more: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    path = f"{WRAPPER.parent}{os.pathsep}{node / 'bin'}{os.pathsep}{os.environ['PATH']}"
    words = ["singularity", "pull", *more, "--name", str(node / "a:1.sif"), "docker://a:1"]
    env = {**os.environ, "PATH": path, "PULLS": str(node / "pulls"), **variables}
    return subprocess.run(words, env=env, capture_output=True, text=True)


def pulls(node: Path) -> int:
    return len((node / "pulls").read_text().splitlines())


def test_thirty_that_start_at_once_pull_once_and_all_find_it(node: Path) -> None:
    with ThreadPoolExecutor(30) as pool:
        done = list(pool.map(lambda _: pull(node), range(30)))
    assert {one.returncode for one in done} == {0}
    assert pulls(node) == 1
    assert (node / "a:1.sif").stat().st_size == 5000


def test_nobody_sees_half_an_image(node: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(pull, node)
        seen = set()
        while not done.done():
            file = node / "a:1.sif"
            seen.add(file.stat().st_size if file.exists() else 0)
            time.sleep(0.01)
    assert seen <= {0, 5000}


def test_a_pull_that_fails_leaves_nothing_and_the_next_tries_again(node: Path) -> None:
    assert pull(node, FAIL="1").returncode == 255
    assert [one.name for one in node.iterdir() if "sif" in one.name] == [".a:1.sif.lock"]
    assert pull(node).returncode == 0
    assert pulls(node) == 2


def test_who_forces_it_pulls_anew(node: Path) -> None:
    assert pull(node).returncode == pull(node, "--force").returncode == 0
    assert pulls(node) == 2
