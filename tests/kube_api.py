"""A stand-in for a Kubernetes API server and its nodes, on loopback.

It keeps Jobs and Pods in memory, refuses what the official client's models do not know, allows only what a Role allows,
and runs each Job's command as a process of this machine. It does not prove: scheduling, images, volumes, limits, service
accounts, network policies, or anything else of a real cluster.
"""

import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kubernetes import client

PATH = re.compile(r"/(?:api/v1|apis/(?P<group>[^/]+)/v1(?:beta1)?)/namespaces/(?P<namespace>[^/]+)/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>log))?$")  # fmt: skip


def strictly(data: Any, kind: str, where: str = "") -> None:
    """Raise ValueError for what a model of the official client does not know, or lacks."""
    listed = re.fullmatch(r"list\[(.+)\]", kind)
    mapped = re.fullmatch(r"dict\((\w+), (.+)\)", kind) or re.fullmatch(r"dict\[(\w+), (.+)\]", kind)
    if listed:
        if not isinstance(data, list):
            raise ValueError(f"{where}: {data!r} is no list")
        for index, item in enumerate(data):
            strictly(item, listed[1], f"{where}[{index}]")
    elif mapped:
        for key, item in data.items():
            strictly(item, mapped[2], f"{where}.{key}")
    elif kind == "str" and not isinstance(data, str):
        raise ValueError(f"{where}: {data!r} is no string")
    elif kind == "int" and not isinstance(data, int):
        raise ValueError(f"{where}: {data!r} is no integer")
    elif kind == "bool" and not isinstance(data, bool):
        raise ValueError(f"{where}: {data!r} is no boolean")
    elif hasattr(client, kind):
        model = getattr(client, kind)
        names = {json_name: name for name, json_name in model.attribute_map.items()}
        for key, item in data.items():
            if key not in names:
                raise ValueError(f"{where}.{key}: {kind} has no such field")
            if item is not None:
                strictly(item, model.openapi_types[names[key]], f"{where}.{key}")
        model(**{names[key]: item for key, item in data.items()})  # the required ones are there


def model_of(document: Mapping[str, Any]) -> str:
    """The official client's model of a manifest."""
    group, _, version = document["apiVersion"].rpartition("/")
    prefix = {"": "V1", "batch": "V1", "apps": "V1", "rbac.authorization.k8s.io": "V1"}[group]
    assert version == "v1", document["apiVersion"]
    return f"{prefix}{document['kind']}"


class Cluster:
    """What the API server keeps, and what its nodes run."""

    def __init__(
        self, rules: list[Mapping[str, Any]], variables: Mapping[str, str], folder: Path, namespace: str
    ) -> None:
        self.rules, self.variables, self.folder = rules, dict(variables), folder
        self.namespace = namespace
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.submitted: list[dict[str, Any]] = []  # every Job that was ever created
        self.refused: list[str] = []
        self.used: set[tuple[str, str, str]] = set()  # (API group, resource, verb)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.lock = threading.RLock()

    def allowed(self, group: str, resource: str, verb: str) -> bool:
        self.used.add((group, resource, verb))
        return self._permits(group, resource, verb)

    def permits(self, review: Mapping[str, Any]) -> bool:
        """The answer to a SelfSubjectAccessReview."""
        strictly(review, "V1SelfSubjectAccessReviewSpec", "spec")
        asked = review["resourceAttributes"]
        below = f"/{asked['subresource']}" if asked.get("subresource") else ""
        return asked["namespace"] == self.namespace and self._permits(
            asked["group"], f"{asked['resource']}{below}", asked["verb"]
        )

    def _permits(self, group: str, resource: str, verb: str) -> bool:
        return any(
            group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self.rules
        )

    def create(self, body: dict[str, Any], namespace: str) -> dict[str, Any]:
        strictly(body, "V1Job", "Job")
        with self.lock:
            self.submitted.append(body)
            name = body["metadata"].setdefault(
                "name", f"{body['metadata'].get('generateName', '')}{len(self.submitted)}"
            )
            if len(name) > 63 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
                raise ValueError(f"metadata.name: {name!r} is no name of at most 63 characters")
            body["metadata"] |= {"namespace": namespace, "creationTimestamp": stamp()}
            body["status"] = {"active": 1, "startTime": stamp()}
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{name}-x", "namespace": namespace, "labels": {**body["spec"]["template"]["metadata"].get("labels", {}), "job-name": name}},
                "spec": body["spec"]["template"]["spec"],
                "status": {"phase": "Running", "startTime": stamp()},
            }  # fmt: skip
            self.jobs[name], self.pods[f"{name}-x"] = body, pod
        threading.Thread(target=self._run, args=(name,), daemon=True).start()
        return body

    def _run(self, name: str) -> None:
        (container,) = self.jobs[name]["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one["value"] for one in container.get("env") or []}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                container["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.variables, **given},
                cwd=self.folder,
                start_new_session=True,
            )
            self.processes[name] = process
            code = process.wait()
        with self.lock:
            if name not in self.jobs:
                return
            ended = {"exitCode": code if code >= 0 else 128 - code, "finishedAt": stamp(), "reason": "Ended"}
            self.jobs[name]["status"] = {"startTime": stamp()} | ({"succeeded": 1} if code == 0 else {"failed": 1})  # fmt: skip
            status = self.pods[f"{name}-x"]["status"]
            status["phase"] = "Succeeded" if code == 0 else "Failed"
            status["containerStatuses"] = [
                {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": ended}}
            ]  # fmt: skip

    def delete(self, name: str) -> dict[str, Any]:
        with self.lock:
            job = self.jobs.pop(name)
            self.pods.pop(f"{name}-x", None)
            process = self.processes.get(name)
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        return job

    def end(self) -> None:
        for name in list(self.jobs):
            self.delete(name)


def stamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Handler(BaseHTTPRequestHandler):
    """The few calls that Toil and neurocwl make."""

    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        """Say nothing."""

    def answer(self, code: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fail(self, code: int, message: str) -> None:
        if code != 404:  # asking for what has gone is no mistake
            self.cluster.refused.append(f"{code} {message}")
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})  # fmt: skip

    def handle_call(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        url = urllib.parse.urlparse(self.path)
        if url.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            return self.answer(201, {**body, "status": {"allowed": self.cluster.permits(body["spec"])}})
        found = PATH.fullmatch(url.path)
        if found is None:
            return self.fail(404, f"no such path: {url.path}")
        group, kind, name, sub = found["group"] or "", found["kind"], found["name"], found["sub"]
        verb = {"get": "get" if name else "list", "delete": "delete" if name else "deletecollection"}.get(verb, verb)  # fmt: skip
        if not self.cluster.allowed(group, f"{kind}/{sub}" if sub else kind, verb):
            return self.fail(403, f"{verb} {group}/{kind}/{sub} is not allowed")
        if group == "metrics.k8s.io":
            return self.answer(200, {"items": []})
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        return self.on_kept(verb, kind, name, sub, body, query, found["namespace"])

    def on_kept(self, verb: str, kind: str, name: str | None, sub: str | None, body: Any, query: Mapping[str, str], namespace: str) -> None:  # fmt: skip
        cluster = self.cluster
        kept = cluster.jobs if kind == "jobs" else cluster.pods
        if name and name not in kept:
            return self.fail(404, f"{kind} {name} is not there")
        chosen = [one for one in list(kept.values()) if selected(one, query)]
        if verb == "create":
            try:
                return self.answer(201, cluster.create(body, namespace))
            except (ValueError, TypeError) as error:
                return self.fail(422, str(error))
        if verb == "list":
            return self.answer(200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": chosen})
        if sub == "log":
            return self.answer(200, (cluster.folder / f"{str(name).removesuffix('-x')}.log").read_text())
        if verb == "get":
            return self.answer(200, kept[str(name)])
        for one in [kept[name]] if name else chosen:
            cluster.delete(one["metadata"]["name"].removesuffix("-x"))
        return self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def do_GET(self) -> None:
        self.handle_call("get")

    def do_POST(self) -> None:
        self.handle_call("create")

    def do_DELETE(self) -> None:
        self.handle_call("delete")


def selected(one: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """Whether an object matches a label selector, and Jobs the one field selector that Toil uses."""
    labels = one["metadata"].get("labels") or {}
    wanted = [term.split("=") for term in query.get("labelSelector", "").split(",") if term]
    if query.get("fieldSelector") == "status.successful==1" and not one["status"].get("succeeded"):
        return False
    return all(labels.get(key) == value for key, value in wanted)


@contextmanager
def cluster(
    folder: Path, rules: list[Mapping[str, Any]], variables: Mapping[str, str], namespace: str = "neurocwl"
) -> Iterator[Cluster]:
    """A cluster whose kubectl configuration is folder/kubeconfig. variables: of its pods."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = Cluster(rules, variables, folder, namespace)
    handler = type("Bound", (Handler,), {"cluster": kept})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "kubeconfig").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            }
        )
    )  # fmt: skip
    try:
        yield kept
    finally:
        kept.end()
        server.shutdown()
        server.server_close()
