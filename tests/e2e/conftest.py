"""The real thing: an S3 server on loopback, a docker engine, small real NIfTI images, neurocwl as a process."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import nibabel
import numpy
import pytest

from neurocwl import images, s3server

LICENCE_KEY = "*CvRyS3cretKeyOfALab"  # a canary: it must be found nowhere after a run


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def statuses(self) -> dict[str, str]:
        return {unit["unit"]: unit["status"] for unit in self.json["units"]}


class Lab:
    """A machine of a lab: buckets, a licence, a work folder, and the neurocwl command."""

    def __init__(self, variables: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        home = folder / "home"
        home.mkdir()
        # Nothing of the caller's AWS set-up leaks in; images and licences are found by name alone.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FS_LICENSE"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where toil-cwl-runner lies
        own = {"HOME": str(home), "NEUROCWL_WORK_DIR": str(self.work), "PATH": path}
        self.environment = {**kept, **variables, **own}
        self.s3 = boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_DEFAULT_REGION"],
        )
        self.bucket = f"lab-{folder.name.lower().replace('_', '-')}"[:60].strip("-")
        self.s3.create_bucket(Bucket=self.bucket)
        self.licence = folder / "licence.txt"
        self.licence.write_text(f"someone@example.org\n12345\n {LICENCE_KEY}\n FSanotherKey\n")

    def url(self, prefix: str) -> str:
        return f"s3://{self.bucket}/{prefix}"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "neurocwl", *words]

    def run(self, *words: str, **variables: str) -> Result:
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            env={**self.environment, **variables},
            cwd=self.folder,
            timeout=600,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    def upload(self, folder: Path, prefix: str) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.s3.upload_file(str(file), self.bucket, f"{prefix}/{file.relative_to(folder).as_posix()}")

    def keys(self, prefix: str) -> dict[str, str]:
        """Key below the prefix -> ETag."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{prefix}/")
        return {
            o["Key"].removeprefix(f"{prefix}/"): o["ETag"] for page in pages for o in page.get("Contents", [])
        }

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3server.running(tmp_path_factory.mktemp("s3") / "server.log") as variables:
        yield variables


@pytest.fixture
def lab(s3_server: dict[str, str], tmp_path: Path) -> Lab:
    return Lab(s3_server, tmp_path)


@pytest.fixture(scope="session")
def engine() -> str:
    """A docker engine. Where there is none these tests prove nothing, so they say so."""
    version = images.engine()
    if version is None:
        pytest.skip("no docker engine answers: start dockerd, or run provisioning/machine/test")
    return version


def engine_socket() -> str:
    """The docker engine's socket, for containers that shall reach it: it is not where every machine has it."""
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


def write_dataset(
    root: Path, labels: Sequence[str], sessions: Sequence[str] = (), without_t1w: Sequence[str] = ()
) -> Path:
    """A BIDS dataset of tiny images, each with voxels of its own."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "lab", "BIDSVersion": "1.10.0"}))
    (root / "task-rest_bold.json").write_text(json.dumps({"TaskName": "rest", "RepetitionTime": 2.0}))
    (root / "participants.tsv").write_text("participant_id\n" + "".join(f"sub-{label}\n" for label in labels))
    random = numpy.random.default_rng(7)
    for label in labels:
        for session in sessions or [""]:
            folder = root / f"sub-{label}" / (f"ses-{session}" if session else "")
            stem = f"sub-{label}" + (f"_ses-{session}" if session else "")
            if label not in without_t1w:
                write_image(folder / "anat" / f"{stem}_T1w.nii.gz", random.normal(500, 90, (16, 18, 14)))
            write_image(
                folder / "func" / f"{stem}_task-rest_bold.nii.gz", random.normal(500, 90, (12, 12, 8, 10))
            )
    return root


def write_image(file: Path, voxels: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels.astype(numpy.float32), numpy.diag([4, 4, 4, 1]))
    image.header.set_xyzt_units("mm", "sec")
    if voxels.ndim == 4:
        image.header["pixdim"][4] = 2.0
    nibabel.save(image, file)


@pytest.fixture
def containers_left() -> Callable[[Path], list[str]]:
    """The neurocwl containers that run now and work below a folder; other tests have theirs."""

    def docker(*words: str) -> str:
        return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout

    def left(folder: Path) -> list[str]:
        assert shutil.which("docker")
        running = docker("ps", "-q", "--filter", "label=neurocwl.run").split()
        shown = "{{range .Mounts}}{{.Source}} {{end}}"
        return [one for one in running if f"{folder}/" in docker("inspect", "--format", shown, one)]

    return left
