"""The wheel carries what the checkout has: the folders that are not Python, executable where they must be."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("neurocwl-*.whl")))


def tracked(*folders: str) -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--", *folders], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def test_the_wheel_holds_every_tracked_file_of_the_folders(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    missing = [
        file
        for file in tracked("cwl", "jobs", "toolwrappers", "provisioning")
        if f"neurocwl/share/{file}" not in names
    ]
    assert missing == []
    assert "neurocwl/cli.py" in names


def test_the_wheel_holds_no_tests_caches_or_secrets(wheel: zipfile.ZipFile) -> None:
    assert not [
        n
        for n in wheel.namelist()
        if "__pycache__" in n or n.startswith("tests/") or n.endswith((".pyc", "license.txt"))
    ]


def test_the_docker_wrapper_is_executable_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    mode = wheel.getinfo("neurocwl/share/toolwrappers/bin/docker").external_attr >> 16
    assert mode & 0o111
