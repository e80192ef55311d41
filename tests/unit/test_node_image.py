"""The machine image with the pipelines' container images: no emulator has EC2 Image Builder, so the template is read."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from neurocwl import assets, template

FILE = assets.path("provisioning") / "cloudformation/node-image.yml"


@pytest.fixture(scope="module")
def document() -> Any:
    return YAML().load(FILE)


def test_it_passes_cfn_lint() -> None:
    lint = Path(sys.executable).parent / "cfn-lint"
    done = subprocess.run([lint, str(FILE)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def scripts(document: Any) -> list[str]:
    filled = str(document["Resources"]["Pull"]["Properties"]["Data"].value).replace("${Images}", "a:1 b:2")
    phases = YAML(typ="safe").load(filled)["phases"]
    return [step["inputs"]["commands"][0] for phase in phases for step in phase["steps"]]


def test_every_image_is_pulled_and_then_looked_for(document: Any, tmp_path: Path) -> None:
    """The scripts themselves, with programs in place of docker and systemctl that write down how they were called."""
    for name in ("docker", "systemctl"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/calls\n')
        (tmp_path / name).chmod(0o755)
    for script in scripts(document):
        subprocess.run(["sh", "-c", script], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if call.startswith("docker")] == [
        "docker pull --quiet a:1",
        "docker pull --quiet b:2",
        "docker image inspect a:1",
        "docker image inspect b:2",
    ]


def test_a_pull_that_fails_ends_the_build(document: Any, tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")
    for name in ("docker", "systemctl"):
        (tmp_path / name).chmod(0o755)
    for script in scripts(document):
        done = subprocess.run(["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
        assert done.returncode != 0


def test_names_of_images_cannot_become_commands(document: Any) -> None:
    pattern = document["Parameters"]["Images"]["AllowedPattern"]
    for name in template.names():
        image = template.load(name).image
        assert not image or re.fullmatch(pattern, image)
    assert re.fullmatch(pattern, "docker.io/a/b:1 docker.io/c/d@sha256:00ff")
    for bad in ("a; reboot", "$(reboot)", "`reboot`", "a && b", "a\nb", "", "a  b"):
        assert not re.fullmatch(pattern, bad)


def test_its_disk_is_encrypted_and_everything_carries_the_tag_that_an_audit_finds(document: Any) -> None:
    ebs = document["Resources"]["Recipe"]["Properties"]["BlockDeviceMappings"][0]["Ebs"]
    assert ebs["Encrypted"] is True
    for name, resource in document["Resources"].items():
        tags = resource["Properties"].get("Tags")
        if name == "BuildProfile":  # AWS knows no tags there
            continue
        keys = [tag["Key"] for tag in tags] if isinstance(tags, list) else list(tags)
        assert keys == ["neurocwl:cluster"], name
    (made,) = document["Resources"]["Distribution"]["Properties"]["Distributions"]
    assert list(made["AmiDistributionConfiguration"]["AmiTags"]) == ["neurocwl:cluster"]
    assert "DistributionConfigurationArn" in document["Resources"]["Image"]["Properties"]
