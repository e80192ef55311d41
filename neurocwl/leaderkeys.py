"""The keys of a leader whose workers are elsewhere: in a file of its own, not in its environment.

Toil writes its leader's environment into the job store, and every worker takes it over. Keys would lie in a bucket,
would replace the worker's own role, and where they are for some hours only, take the run with them.
Run as a program it prints the keys of a profile, as AWS's credential_process wants them.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
CREDENTIALS, CONFIG = "aws-credentials", "aws-config"
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


def hide(
    environ: Mapping[str, str], passed: Sequence[str], folder: Path
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Move keys, or the profile that has them, into files of a folder; returns what to set and what to take out.

    passed: variables that workers are given on purpose; keys among them stay.
    """
    if environ.get(KEYS[0]):
        if KEYS[0] in passed:
            return {}, ()
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        lines = [
            f"{name} = {environ[key]}" for name, key in zip(names, KEYS, strict=False) if environ.get(key)
        ]
        return {FILES[1]: _write(folder / CREDENTIALS, lines)}, (*KEYS, *PROFILES)
    profile = next((environ[name] for name in PROFILES if environ.get(name)), None)
    if profile is None or PROFILES[0] in passed:
        return {}, ()
    where = [environ.get(name, "") for name in FILES]
    program = shlex.join([sys.executable, "-m", "neurocwl.leaderkeys", profile, *where])
    lines = [f"credential_process = {program}"]
    return {FILES[0]: _write(folder / CONFIG, lines), FILES[1]: os.devnull}, (*KEYS, *PROFILES)


def forget(folder: Path) -> None:
    """Remove what hide has written, when the leader has ended: --keep-work-dir keeps the folder, but no keys."""
    for name in (CREDENTIALS, CONFIG):
        (folder / name).unlink(missing_ok=True)


def _write(file: Path, lines: Sequence[str]) -> str:
    file.touch(mode=0o600)
    file.write_text("\n".join(["[default]", *lines, ""]))
    return str(file)


def main(profile: str, config: str, credentials: str) -> None:
    """Print a profile's keys; source: AWS CLI User Guide, "Sourcing credentials with an external process"."""
    for name, file in zip(FILES, (config, credentials), strict=True):
        os.environ.pop(name, None)
        if file:
            os.environ[name] = file
    import boto3

    found = boto3.Session(profile_name=profile).get_credentials()
    keys = found.get_frozen_credentials() if found else None
    if found is None or keys is None:
        sys.exit(f"profile {profile} has no credentials")
    until = getattr(found, "_expiry_time", None)
    answer = {
        "Version": 1,
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        **({"SessionToken": keys.token} if keys.token else {}),
        **({"Expiration": until.isoformat()} if until else {}),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
