"""What a registry says of an image without pulling it: its platforms and the size of its layers.

Source: the OCI distribution specification and Docker's token authentication, HTTP API version 2.
"""

import base64
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.errors import BadInput, InfrastructureError

TIMEOUT = 10.0  # seconds
DOCKER_HUB = "registry-1.docker.io"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Closed(BadInput):
    """A registry shows an image to nobody without a login, or has none of the name: it does not say which."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name, taken apart as docker does."""

    host: str
    repository: str
    version: str  # a tag, or a digest

    @property
    def address(self) -> str:
        """The registry's URL; like docker, without TLS on loopback only."""
        plain = self.host.rpartition(":")[0] in LOOPBACK or self.host in LOOPBACK
        return f"{'http' if plain else 'https'}://{self.host}"


@dataclass(frozen=True, slots=True)
class Remote:
    """An image in a registry: the architectures that it is there for, and the bytes of each one's layers, packed."""

    packed: Mapping[str, int]


def parse(reference: str) -> Reference:
    """Take an image's name apart.

    Raises BadInput for what is none.
    """
    name, _, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, path = first, rest
    else:
        host, path = DOCKER_HUB, name if slash else f"library/{name}"
    path, _, tag = path.partition(":")
    if host in ("docker.io", "index.docker.io"):
        host, path = DOCKER_HUB, path if "/" in path else f"library/{path}"
    if not re.fullmatch(r"[a-z0-9._/-]+", path) or not re.fullmatch(r"[\w.:-]+", digest or tag or "latest"):
        raise BadInput(f"image {reference!r}: is no image's name; write [HOST/]NAME[:TAG]")
    return Reference(host, path, digest or tag or "latest")


def look(reference: str, environment: Mapping[str, str] = os.environ) -> Remote:
    """What a registry has under an image's name.

    Raises BadInput when it has none, Closed when it gives it to nobody without a login, InfrastructureError when it
    does not answer.
    """
    return _Registry(reference, parse(reference), environment).image()


class _Registry:
    """One conversation with a registry; a token that it hands out holds for all of it."""

    def __init__(self, name: str, reference: Reference, environment: Mapping[str, str]) -> None:
        self.name, self.reference, self.environment = name, reference, environment
        self.authorization = ""

    def image(self) -> Remote:
        manifest = self._manifest(self.reference.version)
        if "manifests" not in manifest:
            return Remote({self._architecture(manifest): _size(manifest)})
        found = {}
        for entry in manifest["manifests"]:
            platform = entry.get("platform", {})
            if platform.get("os") == "linux" and platform.get("architecture"):
                found[str(platform["architecture"])] = _size(self._manifest(entry["digest"]))
        return Remote(found)

    def _manifest(self, version: str) -> dict[str, Any]:
        return self._get(f"manifests/{version}", ", ".join((*INDEXES, *MANIFESTS)))

    def _architecture(self, manifest: Mapping[str, Any]) -> str:
        return str(self._get(f"blobs/{manifest['config']['digest']}", "*/*").get("architecture", ""))

    def _get(self, path: str, accept: str, *, again: bool = True) -> dict[str, Any]:
        url = f"{self.reference.address}/v2/{self.reference.repository}/{path}"
        headers = {"Accept": accept, **({"Authorization": self.authorization} if self.authorization else {})}
        try:
            # Blobs are redirected to a storage of another host, which must not get the registry's token.
            request = urllib.request.Request(url)
            for key, value in headers.items():
                request.add_unredirected_header(key, value)
            return _json(request)
        except urllib.error.HTTPError as error:
            if error.code == 401 and again:
                self.authorization = self._authorize(error.headers.get("WWW-Authenticate", ""))
                return self._get(path, accept, again=False)
            raise self._explained(error.code) from None
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or type(error).__name__
            raise InfrastructureError(
                f"image {self.name}: the registry {self.reference.host} does not answer ({why}); check the network, "
                "or load the image and launch where it is"
            ) from None

    def _authorize(self, challenge: str) -> str:
        """The Authorization header that answers a challenge: a login of docker's, or anybody's token."""
        login = _login(self.reference.host, self.environment)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() != "bearer":
            return f"Basic {login}" if login else ""
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = asked.pop("realm", "")
        asked.setdefault("scope", f"repository:{self.reference.repository}:pull")
        request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(asked)}")
        if login:
            request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            answer = _json(request)
        except urllib.error.HTTPError as error:
            raise self._explained(error.code) from None
        return f"Bearer {answer.get('token') or answer.get('access_token') or ''}"

    def _explained(self, code: int) -> BadInput | InfrastructureError:
        host = self.reference.host
        if code in (401, 403):
            return Closed(
                f"image {self.name}: {host} does not show it without a login, or has none; docker login {host}"
            )
        if code == 404:
            return BadInput(f"image {self.name}: {host} has no such image; push it, or give another --image")
        if code == 429:
            return InfrastructureError(
                f"image {self.name}: {host} answers no more today (too many pulls); docker login {host}"
            )
        return InfrastructureError(f"image {self.name}: {host} answered {code}; try again")


def _login(host: str, environment: Mapping[str, str]) -> str:
    """What docker keeps of a login (base64 of user:password); '' for none, or one in a credential helper."""
    folder = environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME", ""), ".docker")
    try:
        known = json.loads(Path(folder, "config.json").read_text()).get("auths", {})
    except (OSError, ValueError, AttributeError):
        return ""
    keys = ["https://index.docker.io/v1/", "docker.io"] if host == DOCKER_HUB else [host, f"https://{host}"]
    kept = next((str(known[key].get("auth") or "") for key in keys if isinstance(known.get(key), dict)), "")
    try:
        base64.b64decode(kept, validate=True)
    except ValueError:
        return ""
    return kept


def _json(request: urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        found = json.load(answer)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _size(manifest: Mapping[str, Any]) -> int:
    return sum(int(layer.get("size", 0)) for layer in manifest.get("layers", []))
