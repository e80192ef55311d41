"""An export of all pipelines, moved elsewhere, and a machine without neurocwl to run it on."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from neurocwl import template
from neurocwl.cli import main

HERE = Path(sys.executable).parent


def rehearsals() -> dict[str, str]:
    """Image -> the image that stands in for it."""
    chosen = [template.load(name) for name in template.names()]
    return {
        image: one.rehearsal
        for one in chosen
        if one.rehearsal
        for image in map(template.image_of, one.tools)
        if image
    }


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export, moved, with stand-ins for images that are not built here."""
    folder = tmp_path_factory.mktemp("export")
    assert main(["pipelines", "export", str(folder / "first")]) == 0
    place = Path(shutil.move(folder / "first", folder / "elsewhere"))
    for file in place.rglob("*.cwl"):
        text = file.read_text()
        for image, stand_in in rehearsals().items():
            text = text.replace(image, stand_in)
        file.write_text(text)
    return place


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a machine without neurocwl: the system's Python, docker, and the program that Toil's leader calls."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "_toil_worker").symlink_to(HERE / "_toil_worker")
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "PATH": f"{folder}{os.pathsep}/usr/local/bin:/usr/bin:/bin"}
