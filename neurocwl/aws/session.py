"""Clients of the control APIs of AWS, by the same credentials as those for S3."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access


def clients(access: Access, region: str | None = None) -> Callable[[str], Any]:
    """A function that makes the client of a service, e.g. "ec2".

    Raises BadInput for an unknown profile. region: instead of that of --region, AWS_REGION or ~/.aws.
    """
    from botocore.config import Config

    session = session_of(access, region)
    config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)

    def client(service: str) -> Any:
        with told(service):
            return session.client(service, config=config)

    return client


def session_of(access: Access, region: str | None = None) -> Any:
    """The session of boto3 that clients are made of; raises as clients does."""
    import boto3
    from botocore.exceptions import BotoCoreError

    with told("AWS"):
        try:
            return boto3.Session(
                profile_name=access.profile,
                region_name=region or access.region,
                aws_access_key_id=access.keys.key_id if access.keys else None,
                aws_secret_access_key=access.keys.secret if access.keys else None,
            )
        except BotoCoreError as error:
            raise BadInput(f"{error}; see ~/.aws/config, or leave --profile out") from error


@contextmanager
def told(what: str) -> Iterator[None]:
    """Errors of AWS become ours, with what was being done.

    Raises BadInput where credentials or region are missing, InfrastructureError for the rest.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except NoCredentialsError as error:
        raise BadInput(f"{what}: {error}; set AWS_PROFILE, or run: aws configure") from error
    except NoRegionError as error:
        raise BadInput(f"{what}: no region is set; give --region, or set AWS_REGION") from error
    except (BotoCoreError, ClientError) as error:
        raise InfrastructureError(f"{what}: {error}") from error
