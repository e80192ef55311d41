"""A stand-in for an image registry: manifests and configurations over the HTTP API, with anybody's token or a login.

It stores no layers, so that nothing can be pulled from it.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neurocwl.checks import registry
from tests.unit.http_server import Quiet, serving

GIB = 1 << 30
USER = base64.b64encode(b"lab:secret").decode()


@contextmanager
def running(images: Mapping[str, Mapping[str, int]], *, private: bool = False) -> Iterator[str]:
    """The address of a registry with these images: NAME:TAG -> bytes of layers by architecture. private: for USER only."""
    store: dict[str, bytes] = {}
    for name, sizes in images.items():
        repository, _, tag = name.partition(":")
        manifests = []
        for architecture, size in sizes.items():
            config = _put(store, repository, "blobs", {"architecture": architecture, "os": "linux"})
            layers = [{"size": size // 2}, {"size": size - size // 2}]
            document = {"schemaVersion": 2, "config": {"digest": config}, "layers": layers}
            digest = _put(store, repository, "manifests", document)
            manifests.append({"digest": digest, "platform": {"architecture": architecture, "os": "linux"}})
        whole: Any = {"mediaType": registry.INDEXES[0], "manifests": manifests}
        if len(manifests) == 1:  # an image for one architecture alone
            store[f"/v2/{repository}/manifests/{tag}"] = store[
                f"/v2/{repository}/manifests/{manifests[0]['digest']}"
            ]
        else:
            store[f"/v2/{repository}/manifests/{tag}"] = json.dumps(whole).encode()

    class Handler(Quiet):
        def do_GET(self) -> None:  # noqa: N802
            path, _, query = self.path.partition("?")
            if path == "/token":
                if private and self.headers.get("Authorization") != f"Basic {USER}":
                    self.answer(401)
                    return
                self.answer(200, json.dumps({"token": f"for {query}"}).encode())
            elif not self.headers.get("Authorization", "").startswith("Bearer for "):
                host = self.headers["Host"]
                realm = f'Bearer realm="http://{host}/token",service="r",scope="repository:x:pull"'
                self.answer(401, WWW_Authenticate=realm)
            elif path in store:
                self.answer(200, store[path])
            else:
                self.answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    with serving(Handler) as address:
        yield address


def _put(store: dict[str, bytes], repository: str, kind: str, document: Any) -> str:
    data = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    store[f"/v2/{repository}/{kind}/{digest}"] = data
    return digest
