"""A stand-in for a Kubernetes API server: it says what one may do, and nothing else of it is there."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tests.unit.http_server import Quiet, serving


@contextmanager
def running(denied: Collection[str] = ()) -> Iterator[str]:
    """The URL of a server that denies these (VERB RESOURCE) in namespace lab, and everything in any other."""

    class Handler(Quiet):
        def do_POST(self) -> None:  # noqa: N802
            assert self.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            review = json.loads(self.body())
            asked = review["spec"]["resourceAttributes"]
            below = f"/{asked['subresource']}" if "subresource" in asked else ""
            word = f"{asked['verb']} {asked['resource']}{below}"
            review["status"] = {"allowed": asked["namespace"] == "lab" and word not in denied}
            self.answer(201, json.dumps(review).encode(), Content_Type="application/json")

    with serving(Handler) as address:
        yield f"http://{address}"


def kubeconfig(url: str, namespace: str = "lab") -> str:
    """The text of a kubeconfig that leads to a server."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": namespace}}],
        }
    )
