"""Clients of AWS services by the same options as S3's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access

DENIED = frozenset(
    ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure", "OptInRequired")
)


def opened(access: Access) -> Any:
    """A session of boto3, by the ordinary chain. Clients of one session share what takes long to read.

    Raises BadInput for a profile that does not exist.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.Session(
            profile_name=access.profile,
            aws_access_key_id=access.keys.key_id if access.keys else None,
            aws_secret_access_key=access.keys.secret if access.keys else None,
        )
    except ProfileNotFound as error:
        raise BadInput(f"--profile {access.profile}: {error}; see ~/.aws/config") from error


def client(
    access: Access, service: str, region: str | None = None, attempts: int = 8, within: Any = None
) -> Any:
    """A client of an AWS service, such as ec2, by the ordinary chain. within: a session that is open.

    Raises BadInput for a profile that does not exist, and when no region is known.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(retries={"mode": "standard", "max_attempts": attempts}, connect_timeout=10)
    session = within or opened(access)
    try:
        return session.client(service, region_name=region or region_of(access), config=config)
    except (BotoCoreError, ValueError) as error:
        raise BadInput(f"AWS: {error}; check --region, AWS_ENDPOINT_URL and ~/.aws/config") from error


def region_of(access: Access) -> str:
    """The region that an access names, else the environment or the profile.

    Raises BadInput when none does: a cluster in an unexpected region is one that nobody finds.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    named = access.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if named:
        return named
    try:
        found = boto3.Session(profile_name=access.profile).region_name
    except ProfileNotFound as error:
        raise BadInput(f"--profile {access.profile}: {error}; see ~/.aws/config") from error
    if not found:
        raise BadInput("no AWS region is known; give --region, or set AWS_REGION")
    return found


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what boto3 raises in the body into one message with its fix.

    Raises BadInput for credentials and permissions, InfrastructureError for the rest.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadInput(
            f"{what}: there are no AWS credentials; set AWS_PROFILE, or give --profile or --credentials"
        ) from error
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in DENIED:
            raise BadInput(
                f"{what}: AWS denies {error.operation_name}; docs/aws.md lists the permissions it takes"
            ) from error
        raise InfrastructureError(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise InfrastructureError(f"{what}: AWS did not answer: {error}") from error
