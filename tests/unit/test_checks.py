"""Single checks: nodes, quotas, queues, lifecycle rules, file systems, Kubernetes."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import backend
from neurocwl.checks import account, bucket, cluster, kubernetes, room
from neurocwl.checks.finding import FAILED, OK, UNKNOWN, WARNING
from neurocwl.nodes import NodeType, Shape, units_on
from neurocwl.s3 import Access
from tests import kube_api
from tests.conftest import S3
from tests.unit.http_server import Quiet, serving

SHAPES = st.builds(Shape, st.integers(1, 64), st.integers(1, 500_000), st.integers(1, 2_000_000))
LIMITS = st.builds(
    room.Limits,
    st.just("a node"),
    st.none() | st.integers(1, 64),
    st.none() | st.integers(1, 500_000),
    st.none() | st.integers(1, 2_000_000),
    st.none() | st.integers(1, 100_000),
)


@given(SHAPES, st.integers(0, 60_000), st.integers(0, 100_000), st.lists(LIMITS, max_size=3))
def test_a_unit_is_refused_where_it_exceeds_a_limit_of_every_node(
    shape: Shape, image: int, seconds: int, places: list[room.Limits]
) -> None:
    wanted = (shape.cpus, shape.memory_mib, shape.disk_mib + image, seconds)
    fitting = [
        place
        for place in places
        if all(
            have is None or want <= have
            for want, have in zip(
                wanted, (place.cpus, place.memory_mib, place.disk_mib, place.seconds), strict=True
            )
        )
    ]
    named = [room.Limits(f"{n}", p.cpus, p.memory_mib, p.disk_mib, p.seconds) for n, p in enumerate(places)]
    found = room.fits(shape, image, seconds, named)
    assert found.status == (OK if fitting else FAILED if places else UNKNOWN)


@given(SHAPES, st.integers(0, 60_000), st.integers(1, 128), st.integers(1, 1_000_000), st.integers(0, 2000))
def test_node_types_are_judged_as_toil_packs_them(
    shape: Shape, image: int, cpus: int, memory: int, disk: int
) -> None:
    node = NodeType("x", cpus, memory, disk)
    found = room.fits_types(shape, image, {"x": node}, ["x"])
    assert found.status == (OK if units_on(node, shape, -(-image // 1024)) else FAILED)


def test_a_node_type_of_unknown_size_is_no_reason_against_a_launch() -> None:
    assert room.fits_types(Shape(1, 1, 1), 0, {}, ["z99.large"]).status == UNKNOWN


@pytest.mark.parametrize(
    ("node_type", "on_demand", "spot"),
    [
        ("m5.large", "L-1216C47A", "L-34B43A08"),
        ("r6id.4xlarge", "L-1216C47A", "L-34B43A08"),
        ("is4gen.large", "L-1216C47A", "L-34B43A08"),
        ("g5.xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("x2iedn.large", "L-7295265B", "L-E3A00192"),
        ("mac2.metal", None, None),
        ("", None, None),
    ],
)
def test_an_instance_type_counts_against_the_quota_of_its_family(
    node_type: str, on_demand: str | None, spot: str | None
) -> None:
    assert account.quota_of(node_type, spot=False) == on_demand
    assert account.quota_of(node_type, spot=True) == spot


def environment(most: int, **changed: str) -> dict[str, Any]:
    return {"state": "ENABLED", "status": "VALID", "computeResources": {"maxvCpus": most}, **changed}


@pytest.mark.parametrize(
    ("queue", "environments", "status", "words"),
    [
        ({"state": "ENABLED", "status": "VALID"}, [environment(16)], OK, "up to 16 vCPUs"),
        ({"state": "DISABLED", "status": "VALID"}, [environment(16)], FAILED, "q is DISABLED"),
        ({"state": "ENABLED", "status": "INVALID"}, [environment(16)], FAILED, "INVALID"),
        ({"state": "ENABLED", "status": "VALID"}, [environment(16, status="INVALID")], FAILED, "no compute environment"),
        ({"state": "ENABLED", "status": "VALID"}, [environment(16, state="DISABLED")], FAILED, "no compute environment"),
        ({"state": "ENABLED", "status": "VALID"}, [environment(4), environment(2)], FAILED, "4 vCPUs, a unit asks for 8"),
    ],
)  # fmt: skip
def test_a_queue_that_would_run_nothing_is_refused(
    queue: dict[str, Any], environments: list[dict[str, Any]], status: str, words: str
) -> None:
    found = account.judged_queue("q", queue, environments, 8)
    assert found.status == status
    assert words in found.text


@pytest.mark.parametrize(
    ("rule", "threat"),
    [
        ({"Expiration": {"Days": 3}}, "deletes them after 3 days"),
        ({"Expiration": {"Days": 3}, "Filter": {"Prefix": "out/"}}, "deletes them after 3 days"),
        (
            {"Expiration": {"Days": 3}, "Filter": {"Prefix": "out/fmriprep/sub-01"}},
            "deletes them after 3 days",
        ),
        ({"Expiration": {"Days": 3}, "Prefix": "o"}, "deletes them after 3 days"),
        ({"Expiration": {"Days": 3}, "Filter": {"Prefix": "tmp/"}}, ""),
        ({"Expiration": {"Days": 3}, "Filter": {"Tag": {"Key": "k", "Value": "v"}}}, ""),
        ({"Expiration": {"Days": 3}, "Filter": {"And": {"Prefix": "o", "Tags": [{"Key": "k"}]}}}, ""),
        ({"Expiration": {"Days": 3}, "Status": "Disabled"}, ""),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}, ""),
        ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}, ""),
        ({"Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}]}, ""),
        ({"Transitions": [{"Days": 30, "StorageClass": "DEEP_ARCHIVE"}]}, "moves them to DEEP_ARCHIVE"),
    ],
)
def test_a_lifecycle_rule_is_a_threat_when_it_reaches_results(rule: dict[str, Any], threat: str) -> None:
    found = bucket.threat({"Status": "Enabled", **rule}, "out/fmriprep/")
    assert found.startswith(threat)
    assert bool(found) == bool(threat)


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
nas:/lab /srv/lab nfs4 rw 0 0
/dev/sdb1 /srv/lab/scratch xfs rw 0 0
tool /srv/my\\040lab fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind", "status"),
    [
        ("/srv/lab/work", "nfs4", OK),
        ("/srv/lab", "nfs4", OK),
        ("/srv/labs", "ext4", WARNING),
        ("/srv/lab/scratch/x", "xfs", WARNING),
        ("/srv/my lab/x", "fuse.sshfs", OK),
        ("/home/x", "ext4", WARNING),
    ],
)
def test_a_job_store_in_a_folder_must_lie_where_other_machines_see_it(
    folder: str, kind: str, status: str
) -> None:
    found = cluster.shared(Path(folder), MOUNTS)
    assert found.status == status
    assert kind in found.text


@given(st.text(max_size=200))
def test_any_table_of_mounts_can_be_read(text: str) -> None:
    assert isinstance(cluster.file_system(Path("/srv/lab"), text), str)


def test_slurm_without_its_commands_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = cluster.checks(backend.load("slurm"), tmp_path, {})
    assert (found.name, found.status) == ("commands", FAILED)
    assert found.text.startswith("sbatch, squeue, scontrol, scancel: not on PATH")


def rules_without(*denied: str) -> list[Any]:
    """Rules that allow what we want, but for VERB RESOURCE."""
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for group, resource, verb in kubernetes.wanted()
        if f"{verb} {resource}" not in denied
    ]


def asked_of_kubernetes(folder: Path) -> list[tuple[str, str, str]]:
    found = kubernetes.access({"KUBECONFIG": str(folder / "kubeconfig")})
    return [(one.name, one.status, one.text) for one in found]


def test_a_cluster_that_lets_one_run_jobs_is_well(tmp_path: Path) -> None:
    with kube_api.cluster(tmp_path, rules_without(), {}):
        found = asked_of_kubernetes(tmp_path)
    assert [(name, status) for name, status, _ in found] == [("kubernetes", OK), ("permissions", OK)]


def test_what_one_may_not_do_in_a_cluster_is_named(tmp_path: Path) -> None:
    with kube_api.cluster(tmp_path, rules_without("create jobs", "get pods/log"), {}, "lab"):
        (_, found) = asked_of_kubernetes(tmp_path)
    assert found == ("permissions", FAILED, "in namespace lab one may not create jobs, get pods/log")


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with kube_api.cluster(tmp_path, [], {}):
        pass
    ((name, status, text),) = asked_of_kubernetes(tmp_path)
    assert (name, status) == ("kubernetes", FAILED)
    assert "does not answer" in text


@pytest.mark.parametrize("text", [None, "", "{", "[]", "contexts: []"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "config"
    if text is not None:
        config.write_text(text)
    (found,) = kubernetes.access({"KUBECONFIG": str(config)})
    assert (found.name, found.status) == ("kubernetes", FAILED)
    assert "aws eks update-kubeconfig" in found.fix


def test_a_server_that_knows_s3_alone_cannot_say_who_one_is(aws: S3) -> None:
    found = account.credentials(Access(), aws.variables, aws.endpoint)
    assert found.status == UNKNOWN
    assert "without STS" in found.text


def test_a_server_that_redirects_has_answered() -> None:
    """As Amazon's does, to a page that networks without internet do not reach."""

    class Redirects(Quiet):
        def do_HEAD(self) -> None:  # noqa: N802
            self.answer(307, Location="http://127.0.0.1:9/s3/")

    with serving(Redirects) as address:
        found = bucket.server(f"http://{address}")
    assert (found.status, found.name) == (OK, "s3"), found.text


def test_a_certificate_that_only_boto3_knows_is_no_reason_against_a_launch(tmp_path: Path) -> None:
    """A server of a lab's own with AWS_CA_BUNDLE."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    made = ["openssl", "req", "-x509", "-days", "2", *words, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(Quiet, context) as address:
        found = bucket.server(f"https://{address}")
    assert found.status == UNKNOWN
    assert "certificate" in found.text
