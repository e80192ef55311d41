"""S3: the quick lister finds what boto3's paginator finds, and every error says how to mend it."""

import http.client
import http.server
import socket
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocwl import s3
from neurocwl.bids import Entry
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access
from neurocwl.storage import open_location
from tests.conftest import S3

SIGNED = Access()
ODD_KEYS = [
    "a b/c d.txt", "plus+sign/+", "percent%41/100%", "ünï/日本語/e\u0301", "amp&amp;/&", "less<than>/x", "quote\"'/x",
    "folder/", "folder/marker/", "dots/../up", "./here", "//double//", "sub-01.html", "sub-01/", "sub-01/anat/x",
    "sub-01+b/anat/x", "sub-01-x/y", "sub-011/anat/x", "sub-01 /x", "sub-01", "hash#1?q=2", "*?[x]", "\U0001f9e0/brain",
]  # fmt: skip


def put(server: S3, bucket: str, keys: Iterable[str]) -> None:
    """Objects without much in them, quickly."""
    host = server.endpoint.removeprefix("http://")

    def some(part: list[str]) -> None:
        with closing(http.client.HTTPConnection(host)) as connection:
            for key in part:
                connection.request("PUT", f"/{bucket}/{quote(key, safe='/')}", body=str(len(key)))
                answer = connection.getresponse()
                assert answer.status == 200, (key, answer.read())
                answer.read()

    keys = list(keys)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, (keys[start::4] for start in range(4))))


def by_boto3(server: S3, bucket: str, prefix: str = "") -> list[Entry]:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    items = [item for page in pages for item in page.get("Contents", [])]
    return sorted(Entry(i["Key"][len(prefix) :], i["Size"], i["ETag"].strip('"')) for i in items)


def listed(server: S3, bucket: str, prefix: str = "", access: Access = SIGNED) -> list[Entry]:
    return sorted(s3.list_entries(server.client(), bucket, prefix, access))


@pytest.mark.parametrize("page", [3, 1000])
def test_odd_keys_are_listed_as_they_are(
    aws: S3, bucket: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", page)
    put(aws, bucket, ODD_KEYS)
    assert [entry.path for entry in listed(aws, bucket)] == sorted(ODD_KEYS)
    assert listed(aws, bucket) == by_boto3(aws, bucket)
    for prefix in ("sub-01/", "folder/", "a b/", "ünï/", "percent%41/", "absent/"):
        assert listed(aws, bucket, prefix) == by_boto3(aws, bucket, prefix)


def test_more_than_five_thousand_keys_are_listed_once_each(aws: S3, bucket: str) -> None:
    keys = [
        *(f"ds/sub-{n:03}/anat/sub-{n:03}_{k}.nii.gz" for n in range(300) for k in range(16)),
        *(f"ds/sub-{n:03}.html" for n in range(0, 300, 2)),
        *(f"ds/sub-{n:03}+b/anat/x" for n in range(0, 300, 3)),
        *(f"ds2/{n}" for n in range(50)),
        "ds/README", "ds/dataset_description.json", "ds/",
    ]  # fmt: skip
    put(aws, bucket, keys)
    found = listed(aws, bucket, "ds/")
    assert len(found) == len([key for key in keys if key.startswith("ds/")]) > 5000
    assert found == by_boto3(aws, bucket, "ds/")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.from_regex(r"(sub-[01]{1,2}[+.! -]?/)?[a0+./ -]{1,3}", fullmatch=True), max_size=30),
    st.integers(1, 7),
)
def test_whatever_the_keys_and_the_pages_each_is_listed_once(aws: S3, keys: set[str], page: int) -> None:
    bucket = aws.bucket()
    put(aws, bucket, keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "PAGE", page)
        assert [entry.path for entry in listed(aws, bucket)] == sorted(keys)


KEYS = st.text("ab/+-. ", min_size=1, max_size=5)


@given(st.sets(KEYS, max_size=40), st.integers(1, 5))
def test_ranges_cover_every_key_after_the_first_page_once(keys: set[str], step: int) -> None:
    last = sorted(keys)[len(keys) // 3] if keys else ""
    folders = sorted({key[: key.index("/") + 1] for key in keys if "/" in key})
    bounds = s3._bounds(last, folders, step)
    for key in keys:
        times = sum(after < key and (end is None or key <= end) for after, end in bounds)
        assert times == (key > last)


# Requester pays, proxies, other servers


@contextmanager
def gate(server: S3, refuse: Any, seen: list[tuple[str, dict[str, str]]]) -> Iterator[str]:
    """A proxy in front of the server that refuses some requests; yields its endpoint."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.removeprefix(server.endpoint)
            seen.append((path, {k.lower(): v for k, v in self.headers.items()}))
            etag = ""
            try:
                answer = refuse(path, seen[-1][1])
            except ConnectionAbortedError:
                self.close_connection = True
                return
            if answer is None:
                request = urllib.request.Request(server.endpoint + path, headers=dict(self.headers))
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as real:
                    answer = real.status, real.read()
                    etag = real.headers.get("ETag", "")
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.send_header("Content-Type", "application/xml")
            self.send_header("ETag", etag)
            self.end_headers()
            self.wfile.write(answer[1])

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"


def without_payer(path: str, headers: dict[str, str]) -> tuple[int, bytes] | None:
    return None if headers.get("x-amz-request-payer") == "requester" else (403, DENIED)


def test_every_request_to_a_requester_pays_bucket_says_who_pays(
    aws: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 5)
    put(aws, bucket, [f"sub-{n}/x" for n in range(30)])
    seen: list[Any] = []
    with gate(aws, without_payer, seen) as endpoint:
        location = open_location(f"s3://{bucket}", Access(requester_pays=True, endpoint=endpoint))
        assert len(list(location.entries())) == 30
        assert location.read("sub-1/x") == b"7"
    assert len(seen) > 6
    with gate(aws, without_payer, seen) as endpoint:
        location = open_location(f"s3://{bucket}", Access(endpoint=endpoint))
        with pytest.raises(BadInput, match=r"access denied.*--request-payer"):
            list(location.entries())


def test_requests_are_signed_with_version_4_and_those_to_a_public_bucket_not_at_all(
    aws: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 5)
    put(aws, bucket, [f"sub-{n}/x" for n in range(30)])
    for sign in (True, False):
        seen: list[tuple[str, dict[str, str]]] = []
        with gate(aws, lambda path, headers: None, seen) as endpoint:
            assert (
                len(list(open_location(f"s3://{bucket}", Access(sign=sign, endpoint=endpoint)).entries()))
                == 30
            )
        signed = ["AWS4-HMAC-SHA256" in path + headers.get("authorization", "") for path, headers in seen]
        assert signed == [sign] * len(seen)
        assert not any("AWSAccessKeyId" in path for path, _ in seen)  # version 2


def test_a_range_that_fails_is_asked_for_again_and_then_explained(
    aws: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 5)
    put(aws, bucket, [f"sub-{n}/x" for n in range(20)])
    failures = iter([(503, b"<Error><Code>SlowDown</Code></Error>")] * 3)
    flaky = lambda path, headers: next(failures, None) if "X-Amz-Signature" in path else None  # noqa: E731
    with gate(aws, flaky, []) as endpoint:
        assert len(list(open_location(f"s3://{bucket}", Access(endpoint=endpoint)).entries())) == 20
    denied = lambda path, headers: (403, DENIED) if "start-after" in path else None  # noqa: E731
    with gate(aws, denied, []) as endpoint, pytest.raises(BadInput, match="access denied"):
        list(open_location(f"s3://{bucket}", Access(endpoint=endpoint)).entries())


def test_an_error_does_not_show_a_url_that_opens_the_bucket(
    aws: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 5)
    monkeypatch.setattr(urllib3.Retry, "sleep", lambda *_: None)
    put(aws, bucket, [f"sub-{n}/x" for n in range(20)])

    def breaks(path: str, headers: dict[str, str]) -> tuple[int, bytes] | None:
        if "X-Amz-Signature" in path:
            raise ConnectionAbortedError  # ends the connection without an answer
        return None

    with (
        gate(aws, breaks, []) as endpoint,
        pytest.raises(InfrastructureError, match="cannot reach S3") as caught,
    ):
        list(open_location(f"s3://{bucket}", Access(endpoint=endpoint)).entries())
    assert "Signature" not in str(caught.value)


def test_the_whole_listing_goes_through_the_proxy_of_the_environment(
    aws: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 5)
    put(aws, bucket, [f"sub-{n}/x" for n in range(20)])
    seen: list[tuple[str, dict[str, str]]] = []
    with gate(aws, lambda path, headers: None, seen) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy)
        assert len(list(open_location(f"s3://{bucket}", Access()).entries())) == 20
    assert sum("X-Amz-Signature" in path for path, _ in seen) >= 3


@pytest.mark.parametrize(
    ("page", "found"),
    [
        (
            "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a+b%2Bc%20d</Key><LastModified>x"
            "</LastModified><ETag>&quot;e&quot;</ETag><Size>3</Size></Contents></ListBucketResult>",
            [("a b+c d", "e", 3)],
        ),
        (
            '<ListBucketResult><Contents><Key>a+b%20&amp;</Key><ETag>"e"</ETag><Size>0</Size></Contents></ListBucketResult>',
            [("a+b%20&", "e", 0)],
        ),
        (
            "<ListBucketResult><Contents><Size>1</Size><Key>a</Key></Contents><Contents><ETag>&#34;e&#34;</ETag>"
            "<Size>2</Size><Key>b</Key></Contents></ListBucketResult>",
            [("a", "", 1), ("b", "e", 2)],
        ),
        ("<ListBucketResult></ListBucketResult>", []),
    ],
)
def test_pages_of_other_servers_are_read(page: str, found: list[tuple[str, str, int]]) -> None:
    assert s3._parse(page.encode()) == found


# Errors


def refused(url: str, access: Access = SIGNED) -> BaseException:
    with pytest.raises((BadInput, InfrastructureError)) as caught:
        list(open_location(url, access).entries())
    return caught.value


def test_a_bucket_that_is_not_there_is_named(aws: S3) -> None:
    error = refused("s3://no-such-bucket-at-all/x")
    assert isinstance(error, BadInput)
    assert str(error).startswith("s3://no-such-bucket-at-all/x: there is no such bucket")


def test_missing_credentials_are_named_with_the_ways_to_give_them(
    aws: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    error = refused(f"s3://{aws.bucket()}")
    assert isinstance(error, BadInput)
    assert "no AWS credentials" in str(error)
    assert "--no-sign-request" in str(error)


def test_a_server_that_does_not_answer_is_an_error_of_the_infrastructure(
    aws: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import botocore.retries.standard

    monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda *_: 0)
    error = refused("s3://bucket/x", Access(endpoint=f"http://127.0.0.1:{port}"))
    assert isinstance(error, InfrastructureError)
    assert "cannot reach S3" in str(error)
    assert "AWS_ENDPOINT_URL" in str(error)


@pytest.mark.parametrize(
    ("access", "named"),
    [
        (Access(profile="nobody"), "--profile nobody"),
        (Access(endpoint="no address"), "AWS_ENDPOINT_URL"),
        (Access(region="not a region"), "--region"),
    ],
)
def test_settings_that_cannot_be_are_bad_input(aws: S3, access: Access, named: str) -> None:
    error = refused("s3://bucket", access)
    assert isinstance(error, BadInput)
    assert named in str(error)


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://-x", "s3://a", "s3://sp ace/x", "https://x/y", "x"]
)
def test_what_is_no_s3_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="s3://BUCKET"):
        s3.split(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a b/c", ("bucket", "a b/c/")),
        ("s3://bucket//a//", ("bucket", "a/")),
    ],
)
def test_an_s3_url_is_a_bucket_and_a_prefix(url: str, parts: tuple[str, str]) -> None:
    assert s3.split(url) == parts


def test_the_access_of_a_process_elsewhere_names_the_users_files_absolutely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    variables = Access(profile="p", region="eu-central-1", endpoint="http://x").environment()
    assert variables == {
        "AWS_PROFILE": "p",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://x",
        "AWS_CONFIG_FILE": f"{tmp_path}/.aws/config",
    }
