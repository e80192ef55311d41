"""S3: a client by the ordinary AWS chain, and a lister for hundreds of thousands of keys.

boto3 spends 63 us of CPU per key on a listing and asks for one page after the other. Here boto3 signs the
requests (generate_presigned_url) and answers the first page, with its own errors and region redirects; the
rest is fetched in parallel ranges between the common prefixes and read by one regular expression.
"""

import concurrent.futures
import html
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

from neurocwl.bids import Entry
from neurocwl.credentials import Keys
from neurocwl.errors import BadInput, InfrastructureError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE = 1000  # keys in one answer; S3's own limit
RANGES = 32  # requests under way at once
Page = tuple[list[tuple[str, str, int]], bool]  # (key, ETag, size) of each object; whether there are more

# In the order in which S3 writes them; every class stops at the next tag, so that no row reads into another.
_CONTENTS = re.compile(
    r"<Contents><Key>([^<]*)</Key><LastModified>[^<]*</LastModified>"
    r"<ETag>(?:&quot;|&#34;|\")?([^<&\"]*)(?:&quot;|&#34;|\")?</ETag>"
    r"(?:<Checksum\w*>[^<]*</Checksum\w*>)*<Size>(\d+)</Size>"
)
_ONE = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_FIELDS = {
    name: re.compile(rb"<%s>(.*?)</%s>" % (name, name), re.DOTALL) for name in (b"Key", b"ETag", b"Size")
}


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach S3, besides what the environment says (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...)."""

    sign: bool = True  # False: a public bucket
    requester_pays: bool = False
    profile: str | None = None
    region: str | None = None
    endpoint: str | None = None
    keys: Keys | None = None
    encryption: str | None = None  # of what is written: S3's name of it, such as AES256

    def environment(self) -> dict[str, str]:
        """The same as environment variables, for a process that runs elsewhere.

        HOME differs inside a workflow, so the files of ~/.aws are named by their absolute path.
        """
        home = os.path.expanduser("~/.aws")
        found = {
            "AWS_PROFILE": self.profile,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        for variable, file in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
            if variable not in os.environ and os.path.exists(f"{home}/{file}"):
                found[variable] = f"{home}/{file}"
        # A session token of the caller's belongs to other keys, and an empty one is none.
        tokens = {"AWS_SESSION_TOKEN": "", "AWS_SECURITY_TOKEN": ""}
        keys = self.keys and {
            "AWS_ACCESS_KEY_ID": self.keys.key_id,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret,
            **tokens,
        }
        return {**{name: value for name, value in found.items() if value}, **(keys or {})}


def client(access: Access) -> "S3Client":
    """An S3 client by the ordinary AWS chain.

    Raises BadInput for a profile that does not exist, or settings that are no region or address.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ProfileNotFound

    # s3v4: presigned URLs default to version 2, which regions opened since 2014 refuse.
    config = Config(
        retries={"mode": "standard", "max_attempts": 8},
        max_pool_connections=RANGES,
        connect_timeout=10,  # seconds; a minute (the default) eight times over outlasts the lease
        signature_version="s3v4" if access.sign else UNSIGNED,
    )
    try:
        session = boto3.Session(
            profile_name=access.profile,
            region_name=access.region,
            aws_access_key_id=access.keys.key_id if access.keys else None,
            aws_secret_access_key=access.keys.secret if access.keys else None,
        )
        return session.client("s3", config=config, endpoint_url=access.endpoint)
    except ProfileNotFound as error:
        raise BadInput(f"--profile {access.profile}: {error}; see ~/.aws/config") from error
    except (BotoCoreError, ValueError) as error:
        raise BadInput(f"S3: {error}; check --region, AWS_ENDPOINT_URL and ~/.aws/config") from error


def split(url: str) -> tuple[str, str]:
    """The bucket and the prefix ('' or ending in '/') of an s3:// URL.

    Raises BadInput for anything else.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,254}", bucket):
        raise BadInput(f"{url!r} is not an S3 URL; write s3://BUCKET or s3://BUCKET/PREFIX")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def explain(error: Exception, url: str, access: Access) -> Exception:
    """A message with the fix for what boto3 raised about a URL."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("NoSuchBucket", "404"):
            return BadInput(f"{url}: there is no such bucket; check the name and --region")
        if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled"):
            hint = (
                "--no-sign-request reads a public bucket"
                if access.sign
                else "it is not public: leave out --no-sign-request"
            )
            return BadInput(
                f"{url}: access denied; check the credentials (aws sts get-caller-identity); {hint}; --request-payer for requester pays"
            )
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
            return BadInput(
                f"{url}: S3 refused the credentials ({code}); renew them or choose another --profile"
            )
        return InfrastructureError(f"{url}: S3 answered {error}")
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return BadInput(
            f"{url}: no AWS credentials found; run `aws configure`, set AWS_PROFILE, or use --no-sign-request for a public bucket"
        )
    if isinstance(error, HTTPError):  # its own words hold the URL, signed for an hour
        cause = type(getattr(error, "reason", None) or error).__name__
        return InfrastructureError(
            f"{url}: cannot reach S3 ({cause}); check the network and AWS_ENDPOINT_URL"
        )
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectionError | boto.HTTPClientError):
        return InfrastructureError(
            f"{url}: cannot reach S3 ({error}); check the network and AWS_ENDPOINT_URL"
        )
    if isinstance(error, boto.BotoCoreError):
        return BadInput(f"{url}: {error}")
    if isinstance(error, RuntimeError) and "expired" in str(error):  # botocore, of a session that has ended
        return BadInput(
            f"{url}: the AWS session has ended; renew it (aws sso login), or choose another --profile"
        )
    return error


def list_entries(s3: "S3Client", bucket: str, prefix: str, access: Access) -> Iterator[Entry]:
    """Every object below a prefix, once, paths relative to it, in no particular order."""
    payer: Any = {"RequestPayer": "requester"} if access.requester_pays else {}
    first = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **payer)
    cut = len(prefix)
    contents = first.get("Contents", [])
    for item in contents:
        yield Entry(item["Key"][cut:], item["Size"], item.get("ETag", "").strip('"'))
    if not first.get("IsTruncated"):
        return
    last = contents[-1]["Key"] if contents else prefix
    fetch = _fetcher(s3, bucket, prefix, payer)
    folders = _common_prefixes(s3, bucket, prefix, payer)
    per_folder = max(
        1, len(contents) // max(1, len({key["Key"][cut:].partition("/")[0] for key in contents}))
    )
    bounds = _bounds(last, folders, max(1, PAGE // per_folder))
    with concurrent.futures.ThreadPoolExecutor(RANGES) as pool:
        for batch in pool.map(lambda bound: _range(fetch, cut, *bound), bounds):
            yield from batch


def _bounds(last: str, folders: Sequence[str], step: int) -> list[tuple[str, str | None]]:
    """Ranges (after, up to and with) of about one page each that cover everything after a key, once."""
    # "sub-01/" itself may be a key (a folder marker): a range starts just before it. Without their slashes
    # the folders sort in another order: "sub-01+b/" is before "sub-01/", and "sub-01" before "sub-01+b".
    starts = sorted({folder[:-1] for folder in folders if folder[:-1] > last})[step::step]
    return list(zip([last, *starts], [*starts, None], strict=True))


def _common_prefixes(s3: "S3Client", bucket: str, prefix: str, payer: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/", **payer)
    return [common["Prefix"] for page in pages for common in page.get("CommonPrefixes", [])]


def _fetcher(s3: "S3Client", bucket: str, prefix: str, payer: Any) -> Callable[[str], Page]:
    """A function that answers the page of keys after a given key."""
    import urllib3
    from botocore.httpsession import get_cert_path

    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True)
    pool = _pool(
        s3.meta.endpoint_url,
        maxsize=RANGES,
        ca_certs=bundle,
        timeout=urllib3.Timeout(connect=10, read=60),
        retries=urllib3.Retry(
            8, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
        ),
    )
    headers = {"x-amz-request-payer": "requester"} if payer else {}

    def fetch(after: str) -> Page:
        where: Any = {"Bucket": bucket, "Prefix": prefix, "StartAfter": after, "MaxKeys": PAGE, **payer}
        url = s3.generate_presigned_url(
            "list_objects_v2", Params={**where, "EncodingType": "url"}, ExpiresIn=3600
        )
        answer = pool.request("GET", url, headers=headers)
        if answer.status == 200 and b"ListBucketResult" in answer.data:
            return _parse(answer.data), b"<IsTruncated>true</IsTruncated>" in answer.data
        # boto3 follows redirects to other regions, renews credentials, and says what is wrong
        page = s3.list_objects_v2(**where)
        keys = [(k["Key"], k.get("ETag", "").strip('"'), k["Size"]) for k in page.get("Contents", [])]
        return keys, bool(page.get("IsTruncated"))

    return fetch


def _pool(endpoint: str, **options: Any) -> Any:
    """A connection pool that goes through the proxy of the environment, as boto3 does."""
    from urllib.request import getproxies, proxy_bypass

    import urllib3

    target = urlsplit(endpoint)
    proxy = None if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme)
    if not proxy:
        return urllib3.PoolManager(**options)
    address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if address.username:
        words = f"{unquote_plus(address.username)}:{unquote_plus(address.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=words)
    return urllib3.ProxyManager(address.geturl(), **options)


def _range(fetch: Callable[[str], Page], cut: int, after: str, end: str | None) -> list[Entry]:
    found: list[Entry] = []
    while True:
        keys, more = fetch(after)
        for key, etag, size in keys:
            if end is not None and key > end:
                return found
            found.append(Entry(key[cut:], size, etag))
        if not more:
            return found
        if not keys:
            raise InfrastructureError(f"S3 says that there are keys after {after!r} and does not list them")
        after = keys[-1][0]


def _parse(page: bytes) -> list[tuple[str, str, int]]:
    """(key, ETag, size) of each object in one ListObjectsV2 answer to EncodingType=url."""
    decode = _unquoted if b"<EncodingType>url</EncodingType>" in page else html.unescape
    rows = _CONTENTS.findall(page.decode())
    if len(rows) == page.count(b"<Contents>"):
        return [(decode(key), etag, int(size)) for key, etag, size in rows]
    found = []  # a server with another order of elements
    for one in _ONE.findall(page):
        fields = [
            (m.group(1).decode() if (m := _FIELDS[n].search(one)) else "") for n in (b"Key", b"ETag", b"Size")
        ]
        found.append((decode(fields[0]), html.unescape(fields[1]).strip('"'), int(fields[2] or 0)))
    return found


def _unquoted(key: str) -> str:
    return unquote_plus(key) if "%" in key or "+" in key else key
