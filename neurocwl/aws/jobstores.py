"""Job stores on S3: buckets that Toil makes for a run, and that a killed launch leaves."""

import contextlib
import json
from collections.abc import Mapping

from neurocwl.aws import session
from neurocwl.aws.listing import Cloud, bucket_tags
from neurocwl.aws.removal import NotYet, Refused, remove
from neurocwl.aws.things import JOB_STORE, LONGEST_TAG, OUTPUT, RUN, Thing
from neurocwl.errors import BadInput
from neurocwl.s3 import Access

TOIL_TAGS = "TOIL_AWS_TAGS"  # the variable by which Toil is told the tags of its buckets, as JSON


def tags(run: str, output: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes Toil say on a job store whose it is, beside the tags that it was told before."""
    try:
        before = json.loads(environ.get(TOIL_TAGS) or "{}")
    except ValueError:  # Toil itself refuses that
        return {}
    return {TOIL_TAGS: json.dumps({**before, RUN: run, OUTPUT: output[:LONGEST_TAG]})}


def remove_left(access: Access, region: str, digest: str) -> int:
    """Remove the job stores of an output, whose lease the caller holds; returns how many it could.

    They go by name and tag. Toil sets the tag a moment after it made a bucket: one without it must be empty.
    What may not be listed or removed hinders no launch: `cluster audit` shows it.
    """
    cloud = Cloud(access, region)
    removed = 0
    with contextlib.suppress(BadInput), session.explained("job stores of earlier launches"):
        for raw in cloud.pages("s3", "list_buckets", "Buckets"):
            name = raw["Name"]
            found = JOB_STORE.fullmatch(name)
            if not found or found[1] != digest:
                continue
            if RUN in bucket_tags(cloud, name) or not _has_objects(cloud, name):
                with contextlib.suppress(NotYet, Refused):
                    remove(cloud, Thing("job store", name, ""))
                    removed += 1
    return removed


def _has_objects(cloud: Cloud, name: str) -> bool:
    return next(cloud.pages("s3", "list_object_versions", "Versions", Bucket=name), None) is not None
