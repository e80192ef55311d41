"""Datasets in public buckets, in requester-pays buckets, in folders; outputs in folders; other engines."""

import http.server
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


class Gate(http.server.BaseHTTPRequestHandler):
    """Before an S3 server: refuses reads of bucket `closed` unless they agree to pay, of `public` if signed.

    A stand-in for S3's own checks of requester pays and of public buckets, which the server does not make.
    """

    protocol_version = "HTTP/1.1"
    behind = ""
    closed = ""
    public = ""

    def forward(self) -> None:
        bucket = self.path.lstrip("/").partition("/")[0].partition("?")[0]
        agreed = "requester" in (
            self.headers.get("x-amz-request-payer", ""),
            *self.path.lower().split("x-amz-request-payer=")[1:2],
        )
        agreed = agreed or "x-amz-request-payer=requester" in self.path.lower()
        signed = "Authorization" in self.headers or "X-Amz-Signature" in self.path
        if (bucket == self.closed and not agreed) or (bucket == self.public and signed):
            body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.answer(403, {}, body)
            return
        length = int(self.headers.get("Content-Length") or 0)
        request = urllib.request.Request(
            self.behind + self.path,
            data=self.rfile.read(length) if length else None,
            method=self.command,
            headers={k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")},
        )
        request.add_header("Host", self.headers["Host"])
        try:
            with urllib.request.urlopen(request, timeout=60) as got:
                self.answer(got.status, dict(got.headers.items()), got.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, dict(error.headers.items()), error.read())

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        length = headers.get("Content-Length") or headers.get("content-length") or str(len(body))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gated(lab: Lab) -> Iterator[Lab]:
    gate = type("LabGate", (Gate,), {"behind": lab.environment["AWS_ENDPOINT_URL"]})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), gate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lab.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    lab.gate = gate  # type: ignore[attr-defined]
    yield lab
    server.shutdown()
    server.server_close()


def other_bucket(lab: Lab, kind: str) -> str:
    name = f"{kind}-{lab.bucket}"[:60].strip("-")
    lab.s3.create_bucket(Bucket=name)
    setattr(lab.gate, kind, name)  # type: ignore[attr-defined]
    for file in sorted(write_dataset(lab.folder / "ds", ["01"]).rglob("*")):
        if file.is_file():
            lab.s3.upload_file(str(file), name, f"ds/{file.relative_to(lab.folder / 'ds').as_posix()}")
    return f"s3://{name}/ds"


def check(lab: Lab, dataset: str, *words: str) -> tuple[int, str]:
    output = str(lab.folder / "out")
    done = lab.run("launch", "dataset", dataset, "--pipeline", "nifti-check", "--output", output, *words)
    return done.code, done.err


def test_a_requester_pays_dataset_is_refused_without_consent_and_names_the_fix(gated: Lab) -> None:
    code, said = check(gated, other_bucket(gated, "closed"))
    assert code == 2
    assert "--request-payer" in said


def test_a_requester_pays_dataset_is_read_with_consent(gated: Lab) -> None:
    code, said = check(gated, other_bucket(gated, "closed"), "--request-payer")
    assert code == 0, said
    assert gated.run("verify", str(gated.folder / "out")).code == 0


def test_a_public_dataset_is_read_without_credentials(gated: Lab) -> None:
    dataset = other_bucket(gated, "public")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del gated.environment[name]
    code, said = check(gated, dataset, "--no-sign-request")
    assert code == 0, said


def test_no_credentials_is_one_clear_error(lab: Lab) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del lab.environment[name]
    code, said = check(lab, lab.url("ds"))
    assert code == 2
    assert "--no-sign-request" in said
    assert "Traceback" not in said


def test_keys_of_a_profile_reach_every_step(lab: Lab) -> None:
    """~/.aws alone, chosen by --profile: listing, staging in, staging out."""
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    secret = lab.environment.pop("AWS_SECRET_ACCESS_KEY")
    aws = Path(lab.environment["HOME"], ".aws")
    aws.mkdir()
    (aws / "credentials").write_text(
        f"[lab]\naws_access_key_id = {lab.environment.pop('AWS_ACCESS_KEY_ID')}\naws_secret_access_key = {secret}\n"
    )
    (aws / "config").write_text("[profile lab]\nregion = us-east-1\n")
    del lab.environment["AWS_DEFAULT_REGION"]
    done = lab.run(
        "launch",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "nifti-check",
        "--output",
        lab.url("out"),
        "--profile",
        "lab",
    )
    assert done.code == 0, done.err
    assert "sub-01/sub-01_desc-check_report.json" in lab.keys("out")


def test_a_local_dataset_goes_to_a_local_output_and_verify_reads_the_bytes(lab: Lab) -> None:
    dataset = write_dataset(lab.folder / "my données", ["01", "02"])
    code, said = check(lab, str(dataset))
    assert code == 0, said
    output = lab.folder / "out"
    assert (output / "sub-01" / "sub-01_desc-check_images.tsv").is_file()
    assert list((output / "sub-01" / "figures").glob("*.png"))
    assert lab.run("verify", str(output)).code == 0
    table = output / "sub-02" / "sub-02_desc-check_images.tsv"
    data = bytearray(table.read_bytes())
    data[-2] ^= 1
    table.write_bytes(bytes(data))
    found = lab.run("verify", str(output), "--json")
    assert found.code == 1
    assert [(p["path"], p["verdict"]) for p in found.json["paths"]] == [
        ("sub-02/sub-02_desc-check_images.tsv", "differing")
    ]


def test_a_prefix_with_spaces_and_other_letters_works_from_end_to_end(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "Études 2026/data set+1")
    done = lab.run(
        "launch",
        "dataset",
        lab.url("Études 2026/data set+1"),
        "--pipeline",
        "nifti-check",
        "--output",
        lab.url("Résultats d'été"),
    )
    assert done.code == 0, done.err
    assert lab.run("verify", lab.url("Résultats d'été"), "--deep").code == 0


def test_a_local_job_order_runs_in_cwltool_unchanged(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    words = (
        "job-order",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "nifti-check",
        "--output",
        str(lab.folder / "out"),
    )
    written = lab.run(*words, "--local", "-o", str(lab.folder / "orders"))
    assert written.code == 0, written.err
    runner, workflow, order = written.out.split()
    assert runner == "cwltool"
    done = subprocess.run(
        [runner, "--strict", workflow, order],
        capture_output=True,
        text=True,
        env=lab.environment,
        cwd=lab.folder,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        json.loads((lab.folder / "out/.neurocwl/units/sub-01/receipt.json").read_text())["status"] == "done"
    )


def test_a_readable_job_order_is_the_same_as_the_json_one(lab: Lab) -> None:
    from ruamel.yaml import YAML

    dataset = str(write_dataset(lab.folder / "ds", ["01"]))
    words = ("job-order", "dataset", dataset, "--pipeline", "fmriprep", "--output", lab.url("out"))
    assert lab.run(*words, "-o", str(lab.folder / "orders")).code == 0
    assert lab.run(*words, "-o", str(lab.folder / "order.yml")).code == 0
    readable = YAML(typ="safe").load((lab.folder / "order.yml").read_text())
    assert readable == json.loads((lab.folder / "orders/job-order-001.json").read_text())


def test_a_real_launch_replaces_all_of_a_rehearsal_and_a_rehearsal_never_replaces_results(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01", "02"]), "ds")
    words = ("launch", "dataset", lab.url("ds"), "--pipeline", "recon-all", "--output", lab.url("out"))
    licence = ("--fs-license-file", str(lab.licence))
    assert lab.run(*words, *licence, "--rehearse").code == 0
    assert "rehearsal" in json.loads(lab.read("out/dataset_description.json"))["Name"]
    # the image of the tool is its rehearsal's: a real launch as far as receipts are concerned
    image = ("--image", "localhost/neurocwl/rehearsal-recon-all:0.1.0", "--cpus", "1", "--memory-mib", "1024")
    real = lab.run(
        *words, *licence, *image, "--participant-label", "01", "--tmp-mib", "100", "--out-mib", "100"
    )
    assert real.code == 0, real.err
    assert "removing" in real.err
    assert lab.run("status", lab.url("out"), "--json").statuses() == {"sub-01": "done", "group": "done"}
    assert {key.partition("/")[0] for key in lab.keys("out")} == {
        "sub-01",
        "group",
        "dataset_description.json",
        ".neurocwl",
    }
    refused = lab.run(*words, *licence, "--rehearse")
    assert refused.code == 2
    assert "real results" in refused.err
