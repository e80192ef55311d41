"""Checks of where a dataset is read and results are written."""

import email.utils
import os
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from neurocwl import s3
from neurocwl.checks.finding import Finding, failed, ok, refused, unknown, warning
from neurocwl.errors import Conflict, InfrastructureError, NeurocwlError
from neurocwl.s3 import Access
from neurocwl.storage import Folder, Location, S3Location, open_location

PROBES = ".neurocwl/doctor/"
MOST_SKEW = 900  # seconds; S3 refuses signatures that are further from its own time (RequestTimeTooSkewed)
SOME_SKEW = 60
TIMEOUT = 5.0


def readable(url: str, access: Access) -> Finding:
    """Whether anything is there to read."""
    name = "dataset"
    try:
        location = open_location(url, access)
        if isinstance(location, S3Location):
            found = _answer(
                location, "list_objects_v2", Prefix=location.prefix, MaxKeys=1, **_payer(location)
            ).get("KeyCount", 0)
        else:
            found = next(iter(location.entries()), None)
    except NeurocwlError as error:
        return refused(name, error, "make it readable")
    if not found:
        return failed(name, f"{url}: nothing there", "check the bucket, the prefix or the path")
    return ok(name, f"{url} can be read")


def writable(output: Location) -> Iterator[Finding]:
    """Whether results can be written, replaced on condition, and deleted; the probe is removed again."""
    if isinstance(output, Folder):
        yield _folder(output)
        return
    url = output.url
    try:
        path = f"{PROBES}{secrets.token_hex(8)}"
        tag = output.write_if(path, b"1", None)
    except NeurocwlError as error:
        yield refused("output", error, "have the bucket's owner allow s3:PutObject and s3:GetObject")
        return
    try:
        ignored = list(_ignored_conditions(output, path, tag))
    except NeurocwlError as error:
        yield refused("output", error, "have the bucket's owner allow s3:PutObject and s3:GetObject")
        return
    finally:
        left = _removal(output, path)
    if left:
        yield refused(
            "output", left, f"have the bucket's owner allow s3:DeleteObject, and delete {url}/{path}"
        )
        return
    yield ok("output", f"{url} can be written")
    if ignored:
        yield warning(
            "conditional-writes",
            f"{url}: the server ignores {' and '.join(ignored)}: two launches at once would destroy each other's receipts",
            "let one launch at a time write there, or use a server that knows conditional writes (S3 does)",
        )
    else:
        yield ok("conditional-writes", "the server refuses to replace what somebody else wrote meanwhile")


def _folder(output: Folder) -> Finding:
    place = output.root
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return failed("output", f"{output.url}: {place} is a file", "name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        return failed(
            "output", f"{output.url}: {place} cannot be written", "have its owner allow it, or name another"
        )
    return ok("output", f"{output.url} can be written")


def _ignored_conditions(output: Location, path: str, tag: str) -> Iterator[str]:
    """The conditions that a server does not keep to: a write that must be refused is not."""
    for condition, replaces in (("If-None-Match", None), ("If-Match", "0" * 32)):
        try:
            tag = output.write_if(path, condition.encode(), replaces)
        except Conflict:
            continue
        yield condition
    output.write_if(path, b"2", tag)


def _removal(output: Location, path: str) -> NeurocwlError | None:
    try:
        output.delete([path])
    except NeurocwlError as error:
        return error
    return None


class _Here(urllib.request.HTTPRedirectHandler):
    """A redirection is an answer. S3's own leads to a page about S3, which closed networks do not reach."""

    def redirect_request(self, *_: Any) -> None:
        return None


def server(endpoint: str, now: float | None = None) -> Finding:
    """Whether the S3 server answers, and how far this machine's clock is from its own; an unsigned request tells."""
    name = "s3"
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.build_opener(_Here).open(request, timeout=TIMEOUT) as answer:
            header = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        header = error.headers.get("Date")
    except OSError as error:
        why = getattr(error, "reason", None) or error
        if isinstance(why, ssl.SSLCertVerificationError):  # boto3 may know it (AWS_CA_BUNDLE, ca_bundle)
            return unknown(
                name, f"{endpoint}: Python does not know its certificate; its clock was not looked at"
            )
        fix = "check the network and AWS_ENDPOINT_URL"
        return failed(name, f"{endpoint} does not answer ({why})", fix, InfrastructureError)
    there = email.utils.parsedate_tz(header or "")
    if there is None:
        return unknown(name, f"{endpoint} answers, and does not say what time it is")
    skew = (time.time() if now is None else now) - email.utils.mktime_tz(there)
    text = f"{endpoint} answers; this clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
    fix = "set the clock (timedatectl set-ntp true, or chronyc makestep)"
    if abs(skew) > MOST_SKEW:
        return failed(name, f"{text}: signatures are refused", fix, InfrastructureError)
    return warning(name, text, fix) if abs(skew) > SOME_SKEW else ok(name, text)


def region(location: S3Location, nodes: str | None) -> Finding:
    """Whether a bucket is in the region of the nodes: bytes between regions cost money, and time."""
    name = f"region of s3://{location.bucket}"
    try:
        answer = _answer(location, "head_bucket")
    except NeurocwlError as error:
        return unknown(name, str(error))
    there = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    if not there or not nodes:
        return unknown(name, "the server does not say" if nodes else f"{there}; the nodes' is not known")
    if there != nodes:
        return warning(
            name,
            f"the bucket is in {there}, the nodes in {nodes}: some $0.02 per GB for what is read or written",
            f"run in {there} (--region {there}), or copy the dataset to a bucket in {nodes}",
        )
    return ok(name, f"{there}, as the nodes")


def keeping(location: S3Location) -> Iterator[Finding]:
    """Whether a bucket would delete, move away or show to everybody what is written."""
    url = location.url
    try:
        rules = _answer(location, "get_bucket_lifecycle_configuration").get("Rules", [])
    except NeurocwlError as error:
        if not _is_unset(error):
            yield unknown("lifecycle", f"{url}: {error}")
            return
        rules = []
    said = [text for rule in rules if (text := threat(rule, location.prefix))]
    if said:
        yield warning(
            "lifecycle",
            f"{url}: a rule of the bucket {'; another '.join(said)}",
            "write to another prefix, or change the rule (aws s3api get-bucket-lifecycle-configuration)",
        )
    else:
        yield ok("lifecycle", "no rule of the bucket touches results")
    try:
        public = _answer(location, "get_bucket_policy_status").get("PolicyStatus", {}).get("IsPublic")
    except NeurocwlError:
        return
    if public:
        yield warning(
            "public",
            f"s3://{location.bucket} is public: everybody can read the results",
            "block public access",
        )


def encryption(location: S3Location, *, elsewhere: bool) -> Finding:
    """With which key a bucket encrypts. elsewhere: by nodes with a role of their own."""
    url = location.url
    try:
        rules = _answer(location, "get_bucket_encryption")["ServerSideEncryptionConfiguration"]["Rules"]
    except NeurocwlError as error:
        if _is_unset(error):
            return ok("encryption", "no key of its own")
        return unknown("encryption", f"{url}: {error}")
    by_default = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
    key = next((str(one["KMSMasterKeyID"]) for one in by_default if one.get("KMSMasterKeyID")), "")
    if key and elsewhere:
        return warning(
            "encryption",
            f"{url}: encrypted by the KMS key {key}, which the nodes' role must be allowed to use",
            "allow that role kms:GenerateDataKey and kms:Decrypt on the key",
        )
    return ok("encryption", f"by {key}" if key else "by S3's own keys")


def threat(rule: Mapping[str, Any], prefix: str) -> str:
    """What a lifecycle rule would do to results below a prefix; '' for nothing."""
    where = rule.get("Filter", {})
    both = where.get("And", {})
    if rule.get("Status") != "Enabled" or where.get("Tag") or both.get("Tags"):
        return ""  # results have no tags
    applies = where.get("Prefix") or both.get("Prefix") or rule.get("Prefix") or ""
    if not (prefix.startswith(applies) or applies.startswith(prefix)):
        return ""
    label = f"({rule['ID']}) " if rule.get("ID") else ""
    end = rule.get("Expiration", {})
    if end.get("Days"):
        return f"{label}deletes them after {end['Days']} days"
    if end.get("Date"):
        return f"{label}deletes them on {end['Date']:%Y-%m-%d}"
    cold = [
        one for one in rule.get("Transitions", []) if one.get("StorageClass") in ("GLACIER", "DEEP_ARCHIVE")
    ]
    return f"{label}moves them to {cold[0]['StorageClass']}, where verify --deep cannot read" if cold else ""


class _Unset(NeurocwlError):
    """The bucket has no such setting."""


def _is_unset(error: NeurocwlError) -> bool:
    return isinstance(error, _Unset)


def _payer(location: S3Location) -> dict[str, str]:
    return {"RequestPayer": "requester"} if location.access.requester_pays else {}


def _answer(location: S3Location, call: str, **words: Any) -> dict[str, Any]:
    """One call about a bucket, its errors as ours."""
    from botocore.exceptions import ClientError

    try:
        found: dict[str, Any] = getattr(location.client, call)(Bucket=location.bucket, **words)
        return found
    except Exception as error:
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in (
                "NoSuchLifecycleConfiguration",
                "ServerSideEncryptionConfigurationNotFoundError",
                "NoSuchBucketPolicy",
            ):
                raise _Unset(code) from error
        explained = s3.explain(error, location.url, location.access)
        if explained is error:
            raise
        raise explained from error
