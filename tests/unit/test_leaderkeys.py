"""Keys of a leader whose workers are elsewhere: boto3 still finds them, and the environment has them no more."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from neurocwl import assets, leaderkeys

ASKED = """
import boto3, json
found = boto3.Session().get_credentials().get_frozen_credentials()
print(json.dumps([found.access_key, found.secret_key, found.token]))
"""
CONFIG = """
[profile lab]
region = eu-west-1
[default]
region = us-east-1
"""
CREDENTIALS = """
[lab]
aws_access_key_id = AKIALAB
aws_secret_access_key = of the lab
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = of somebody else
"""


def bare(folder: Path) -> dict[str, str]:
    """This process's environment without AWS, and with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    root = str(assets.path("cwl").parent)
    return {**kept, "HOME": str(folder), "PYTHONPATH": root, "AWS_EC2_METADATA_DISABLED": "true"}


def found_by_boto3(environ: Mapping[str, str]) -> list[str | None]:
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=dict(environ), capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def hidden(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    added, without = leaderkeys.hide(environ, [], folder)
    return {name: value for name, value in environ.items() if name not in without} | added


def test_keys_of_the_environment_are_found_in_a_file(tmp_path: Path) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_SECRET_ACCESS_KEY": "a secret",
        "AWS_SESSION_TOKEN": "for an hour",
    }
    left = hidden({**bare(tmp_path), **keys}, tmp_path)
    assert not set(keys) & set(left)
    assert "a secret" not in left.values()
    assert found_by_boto3(left) == ["AKIA1", "a secret", "for an hour"]


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    leaderkeys.hide({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, [], tmp_path)
    assert (tmp_path / "aws-credentials").stat().st_mode & 0o777 == 0o600


def test_a_profile_is_asked_for_its_keys_each_time(tmp_path: Path) -> None:
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(CONFIG)
    credentials.write_text(CREDENTIALS)
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    left = hidden({**bare(tmp_path), **files, "AWS_PROFILE": "lab"}, tmp_path)
    assert "AWS_PROFILE" not in left  # a worker would look for it and fail
    assert found_by_boto3(left) == ["AKIALAB", "of the lab", None]


def test_keys_that_workers_are_given_on_purpose_stay(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert leaderkeys.hide(keys, ["AWS_ACCESS_KEY_ID"], tmp_path) == ({}, ())


@pytest.mark.parametrize("environ", [{}, {"AWS_ACCESS_KEY_ID": ""}, {"AWS_REGION": "us-east-1"}])
def test_without_keys_nothing_is_changed(environ: dict[str, str], tmp_path: Path) -> None:
    assert leaderkeys.hide(environ, [], tmp_path) == ({}, ())


def test_what_was_hidden_is_gone_when_it_is_forgotten(tmp_path: Path) -> None:
    """The folder itself may be kept (--keep-work-dir)."""
    (tmp_path / "leader.log").write_text("it ended")
    leaderkeys.hide({"AWS_ACCESS_KEY_ID": "AKIALAB", "AWS_SECRET_ACCESS_KEY": "of the lab"}, (), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    leaderkeys.forget(tmp_path)
    leaderkeys.hide({"AWS_PROFILE": "lab"}, (), tmp_path)
    leaderkeys.forget(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["leader.log"]
