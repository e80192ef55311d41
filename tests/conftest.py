"""What all tests share: a real S3 server on loopback. It touches nobody's environment by itself."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from neurocwl import s3server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class S3:
    """A server: the AWS variables that reach it, clients and empty buckets."""

    variables: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        return self.variables["AWS_ENDPOINT_URL"]

    def client(self) -> "S3Client":
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            region_name=self.variables["AWS_DEFAULT_REGION"],
        )

    def bucket(self) -> str:
        """A new bucket's name."""
        name = f"b-{uuid.uuid4().hex}"
        self.client().create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server for the whole session."""
    with s3server.running(tmp_path_factory.mktemp("s3") / "server.log") as variables:
        yield S3(variables)


@pytest.fixture
def bucket(s3: S3) -> str:
    """An empty bucket."""
    return s3.bucket()


@pytest.fixture
def aws(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, reached by the ordinary AWS chain while one test runs."""
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    return s3
