"""From the keys of a bucket to the units of a plan: neurocwl's lister beside boto3's paginator.

The server is ours: it answers ListObjectsV2 from memory after a settable delay per request, in a process of
its own. It is faster than S3 in everything but that delay, and checks no signature.
"""

import argparse
import bisect
import http.server
import multiprocessing
import os
import resource
import time
import urllib.parse
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from neurocwl import s3, template
from neurocwl.bids import Entry, index
from neurocwl.units import Selection, select

PER_PARTICIPANT = 40


def keys_of(participants: int) -> list[str]:
    """The keys of a regular dataset, 40 per participant and five at the root."""
    names = ["anat/{0}_T1w.nii.gz", "anat/{0}_T1w.json", "anat/{0}_T2w.nii.gz", "anat/{0}_T2w.json"]
    names += [
        f"func/{{0}}_task-rest_run-{run:02}_{end}"
        for run in range(1, 13)
        for end in ("bold.nii.gz", "bold.json", "events.tsv")
    ]
    assert len(names) == PER_PARTICIPANT
    root = [
        "dataset_description.json",
        "participants.json",
        "participants.tsv",
        "README",
        "task-rest_bold.json",
    ]
    keys = [f"ds/{name}" for name in root]
    for number in range(1, participants + 1):
        label = f"sub-{number:05}"
        keys += [f"ds/{label}/{name.format(label)}" for name in names]
    return sorted(keys)


def serve(participants: int, latency: float, port: "multiprocessing.Queue[int]") -> None:
    """Answer ListObjectsV2 on a port that is told through a queue."""
    keys = keys_of(participants)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(latency)
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
            prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
            after = query.get("continuation-token") or query.get("start-after", "")
            at = max(bisect.bisect_right(keys, after), bisect.bisect_left(keys, prefix))
            rows: list[str] = []
            last = ""
            while at < len(keys) and keys[at].startswith(prefix) and len(rows) < 1000:
                key = keys[at]
                cut = key.find(delimiter, len(prefix)) if delimiter else -1
                if cut >= 0:
                    last = key[: cut + 1] + "\U0010ffff"
                    rows.append(f"<CommonPrefixes><Prefix>{escape(key[: cut + 1])}</Prefix></CommonPrefixes>")
                    at = bisect.bisect_right(keys, last)
                else:
                    last = key
                    rows.append(
                        f"<Contents><Key>{urllib.parse.quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                        f"<ETag>&quot;{hash(key) & (1 << 128) - 1:032x}&quot;</ETag><Size>1234</Size></Contents>"
                    )
                    at += 1
            more = at < len(keys) and keys[at].startswith(prefix)
            token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
            body = (
                '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
                f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(rows)}</ListBucketResult>"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.put(server.server_port)
    server.serve_forever()


def measured(what: Callable[[], int]) -> tuple[int, float, float]:
    """(result, seconds, CPU seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    return what(), time.perf_counter() - wall, time.process_time() - cpu


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds per request")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args(argv)
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    port: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(
        target=serve, args=(chosen.participants, chosen.latency, port), daemon=True
    )
    server.start()
    access = s3.Access(endpoint=f"http://127.0.0.1:{port.get()}")
    client = s3.client(access)
    chosen_template = template.load("fmriprep")
    keys = chosen.participants * PER_PARTICIPANT + 5

    def ours() -> int:
        return len(list(s3.list_entries(client, "bucket", "ds/", access)))

    def to_units() -> int:
        entries: list[Entry] = list(s3.list_entries(client, "bucket", "ds/", access))
        return len(select(index(entries), chosen_template, Selection(), {}))

    def boto() -> int:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="ds/")
        return sum(len(page.get("Contents", [])) for page in pages)

    print(f"{keys} keys, {chosen.latency * 1000:.0f} ms per request")
    for _ in range(chosen.runs):
        for name, what, expected in (
            ("neurocwl keys", ours, keys),
            ("neurocwl units", to_units, chosen.participants),
            ("boto3 keys", boto, keys),
        ):
            found, wall, cpu = measured(what)
            assert found == expected, f"{name}: {found} instead of {expected}"
            print(f"{name:16} {wall:7.2f} s {cpu:7.2f} CPU s")
    print(f"peak memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    server.terminate()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
