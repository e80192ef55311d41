"""Checks of a Kubernetes cluster: that it answers, and lets one run what Toil runs."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neurocwl import assets
from neurocwl.checks.finding import Finding, failed, ok
from neurocwl.errors import InfrastructureError

ROLE = "kubernetes/neurocwl.yml"  # below provisioning/: what Toil does there, as a Role
OPTIONAL = "metrics.k8s.io"  # Toil shows what it measures where it is there
TIMEOUT = 10  # seconds
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def access(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether there is a cluster, and whether one may run jobs in it."""
    try:
        import kubernetes
        from urllib3.exceptions import HTTPError
    except ImportError:
        yield failed(
            "kubernetes", "the package kubernetes is not installed", "pip install 'neurocwl[kubernetes]'"
        )
        return
    file = environment.get("KUBECONFIG") or os.path.join(environment.get("HOME", ""), ".kube", "config")
    settings: Any = kubernetes.client.Configuration()
    config: Any = kubernetes.config  # its functions have no types
    try:
        if IN_CLUSTER.exists() and "KUBECONFIG" not in environment:
            config.load_incluster_config(settings)
            where, namespace = (
                "the cluster that this runs in",
                IN_CLUSTER.with_name("namespace").read_text().strip(),
            )
        else:
            config.load_kube_config(file, client_configuration=settings, persist_config=False)
            _, chosen = config.list_kube_config_contexts(file)
            where, namespace = f"{settings.host} ({file})", chosen["context"].get("namespace", "default")
    except Exception as error:  # whatever the reader of kubeconfig files makes of it
        yield failed(
            "kubernetes",
            f"{file}: {error}",
            "write one (aws eks update-kubeconfig --name CLUSTER), or set KUBECONFIG",
        )
        return
    settings.retries = 0
    with kubernetes.client.ApiClient(settings) as client:
        api: Any = kubernetes.client.AuthorizationV1Api(client)
        try:
            denied = list(_denied(api, namespace))
        except (kubernetes.client.ApiException, HTTPError) as error:
            why = getattr(error, "reason", None) or type(error).__name__
            yield failed(
                "kubernetes",
                f"{where} does not answer ({why})",
                "check the network and the login (kubectl auth whoami)",
                InfrastructureError,
            )
            return
    yield ok("kubernetes", where)
    if denied:
        yield failed(
            "permissions",
            f"in namespace {namespace} one may not {', '.join(denied)}",
            "have the cluster's owner bind the Role of provisioning/kubernetes/neurocwl.yml to you, or choose another namespace",
        )
    else:
        yield ok("permissions", f"jobs may be run in namespace {namespace}")


def wanted() -> list[tuple[str, str, str]]:
    """(API group, resource, verb) of everything that our Role allows."""
    from ruamel.yaml import YAML

    documents = YAML(typ="safe").load_all(assets.path("provisioning") / ROLE)
    rules = [rule for one in documents if one["kind"] == "Role" for rule in one["rules"]]
    return [
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if group != OPTIONAL
    ]


def _denied(api: Any, namespace: str) -> Iterator[str]:
    for group, resource, verb in wanted():
        name, _, below = resource.partition("/")
        attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": name}
        if below:
            attributes["subresource"] = below
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = api.create_self_subject_access_review(body, _request_timeout=TIMEOUT)
        if not answer.status.allowed:
            yield f"{verb} {resource}"
