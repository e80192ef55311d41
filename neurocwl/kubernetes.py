"""Kubernetes: the leader of a detached launch as a Job, and the end of what a killed one left."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from neurocwl import assets, carry, cwlfile, runs
from neurocwl.backend import Backend, as_text, output_digest
from neurocwl.channels import SENDER
from neurocwl.detach import RUN, Job
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access

LICENCE = "/etc/neurocwl/license.txt"  # where a leader finds what the Secret holds
WORK = "/var/lib/neurocwl"
# A leader has no keys from here: its service account's role is its own.
PASSED = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", SENDER)


def leader(
    backend: Backend, words: Sequence[str], digest: str, run: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    """The Job that runs a launch in the cluster.

    words: of the command, after neurocwl, as a pod understands them. run: the id that the run shall have.
    """
    values = {**backend.values, "digest": digest}
    job: dict[str, Any] = _filled(cwlfile.load(assets.path("provisioning") / "kubernetes/leader.yml"), values)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {name: environ[name] for name in PASSED if environ.get(name)} | {
        "NEUROCWL_WORK_DIR": WORK,
        RUN: run,
        carry.PROFILE: as_text(backend),
    }
    secret = backend.values.get("licence_secret")
    if secret:
        variables["FS_LICENSE"] = LICENCE
        item = {"key": "license.txt", "path": "license.txt"}
        pod["volumes"].append({"name": "licence", "secret": {"secretName": secret, "items": [item]}})
        mount = {"name": "licence", "mountPath": LICENCE.rpartition("/")[0], "readOnly": True}
        container["volumeMounts"].append(mount)
    container["command"] = [*carry.COMMAND, *words]
    container["env"] = [{"name": name, "value": value} for name, value in sorted(variables.items())]
    return job


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """A document with values in place of {name}, in texts that are nothing else."""
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return values[value[1:-1]]
    return value


def start(job: Job) -> str:
    """Start a launch as a Job of the cluster; returns what was started.

    Raises BadInput without a cluster and for local files, InfrastructureError when it refuses the Job.
    """
    digest = output_digest(job.output.url, os.environ)
    licence = None if job.backend.values.get("licence_secret") else job.licence
    words, run = carry.without_files(job.words, job.output.url, "a pod", licence, job.paths), runs.new_id()
    body = leader(job.backend, words, digest, run, os.environ)
    namespace = body["metadata"]["namespace"]
    with _told("starting the leader"):
        batch, _ = _api()
        made = batch.create_namespaced_job(namespace, body)
    return (
        f"run {run} is led by Job {made.metadata.name} in namespace {namespace}; "
        f"its log: kubectl -n {namespace} logs -f job/{made.metadata.name}"
    )


def end_strays(backend: Backend, access: Access, digest: str) -> int:
    """Delete the Jobs of Toil's that a killed launch left for an output; returns how many there were."""
    with _told("looking for jobs of an earlier launch"):
        batch, namespace = _api()
        found = [
            one.metadata.name
            for one in batch.list_namespaced_job(namespace).items
            if one.metadata.name.startswith(f"{digest}-toil-") and not one.metadata.deletion_timestamp
        ]
        for name in found:
            batch.delete_namespaced_job(name, namespace, propagation_policy="Background")
    return len(found)


def _api() -> tuple[Any, str]:
    """The API of Jobs, and the namespace: as Toil finds them, by kubectl's configuration or the pod's own account.

    Raises BadInput when there is neither.
    """
    try:
        from kubernetes import client
        from kubernetes import config as untyped
    except ImportError as error:
        raise BadInput(
            "--backend kubernetes: install its client: pip install 'neurocwl[kubernetes]'"
        ) from error
    config: Any = untyped
    try:
        config.load_kube_config()
        _, active = config.list_kube_config_contexts()
        namespace = str(active["context"].get("namespace", "default"))
    except config.ConfigException:
        try:
            config.load_incluster_config()
        except config.ConfigException as error:
            raise BadInput(
                "--backend kubernetes: no cluster is known; set KUBECONFIG, or run: aws eks update-kubeconfig --name CLUSTER"
            ) from error
        account = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
        with open(account, encoding="utf-8") as file:
            namespace = file.read().strip()
    return client.BatchV1Api(), namespace


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the cluster as ours."""
    try:
        yield
    except (BadInput, InfrastructureError):
        raise
    except Exception as error:  # its client raises its own and those of urllib3
        reason = getattr(error, "reason", None) or error
        raise InfrastructureError(f"Kubernetes: {what}: {reason}") from error
