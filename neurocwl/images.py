"""Container images that are built on this machine: which there are, and how one comes to be.

An image is a folder provisioning/images/NAME with a Dockerfile; its reference is
localhost/neurocwl/NAME:0.1.0, which no registry can serve, so it is built where it is used.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from neurocwl import assets, package
from neurocwl.errors import BadInput, InfrastructureError

PREFIX = "localhost/neurocwl/"
TAG = "0.1.0"
LABEL = "org.neurocwl.context"
STAGE_LABEL = "org.neurocwl.stage=build"

REGISTRY_BASE = "python:3.11-slim-bookworm"
LOCAL_BASE = f"{PREFIX}base:bookworm"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
"""What LOCAL_BASE has beyond Debian's minimum: Python 3.11, and venv with pip for build stages."""

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
SYSTEM_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
HANDED_OVER = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
               "http_proxy", "https_proxy", "no_proxy")  # fmt: skip
"""Variables of the caller that a build needs to reach a package index, where they are set."""

Say = Callable[[str], None]


def _say(line: str) -> None:
    print(line, flush=True)


def engine() -> str | None:
    """The version of the docker engine that answers here, or None."""
    if shutil.which("docker") is None:
        return None
    try:
        done = _docker("version", "--format", "{{.Server.Version}}", timeout=20)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def exists(reference: str) -> bool:
    """Whether the local engine has this image (no registry is asked)."""
    return _docker("image", "inspect", "--format", "{{.Id}}", reference).returncode == 0


def names() -> list[str]:
    """Names of the images that the project has a Dockerfile for."""
    return sorted(file.parent.name for file in assets.path("provisioning").glob("images/*/Dockerfile"))


def reference(name_or_reference: str) -> str:
    """The full reference of an image of ours: nifti-check -> localhost/neurocwl/nifti-check:0.1.0.

    Raises BadInput for a name that has no Dockerfile here.
    """
    name = _name(name_or_reference)
    return f"{PREFIX}{name}:{_tag(name)}"


def ensure(name_or_reference: str, *, say: Say = _say) -> str:
    """Make sure that an image is in the local engine, as its Dockerfile has it; returns the reference.

    An image of another origin is only looked for: fetching it is the user's decision.
    Raises BadInput for an unknown name, InfrastructureError without an engine or when a build fails.
    """
    if engine() is None:
        raise InfrastructureError(
            "No docker engine answers (docker version). Start it (dockerd, systemctl start docker) or set "
            "DOCKER_HOST; without an engine use --no-container."
        )
    if not _is_ours(name_or_reference):
        if exists(name_or_reference):
            return name_or_reference
        raise BadInput(
            f"Image {name_or_reference} is not in the local engine and is none that neurocwl builds "
            f"({', '.join(names())}). Fetch it first: docker pull {name_or_reference}"
        )
    name = _name(name_or_reference)
    wanted = reference(name)
    context = assets.path("provisioning") / "images" / name
    if (own := _own_base(context)) is not None:
        ensure(own, say=say)
    digest = context_digest(context)
    if _label(wanted) == digest:
        return wanted
    with _one_at_a_time():
        if _label(wanted) != digest:
            say(f"Building {wanted} from {context}/Dockerfile (once; a minute or two)")
            build(context, wanted, digest=digest, base=own or base_image(say=say))
    return wanted


def ensure_from(context: Path, tag: str, *, say: Say = _say) -> None:
    """Make sure that an image is in the local engine as a folder with a Dockerfile has it.

    Raises BadInput without the Dockerfile, InfrastructureError without an engine or when the build fails.
    """
    if not (context / "Dockerfile").is_file():
        raise BadInput(
            f"{context}/Dockerfile does not exist; write it, or fetch the image: docker pull {tag}"
        )
    if engine() is None:
        raise InfrastructureError("No docker engine answers (docker version). Start it (dockerd).")
    digest = context_digest(context)
    with _one_at_a_time():
        if _label(tag) != digest:
            say(f"Building {tag} from {context}/Dockerfile")
            build(context, tag, digest=digest, base=base_image(say=say))
    say(f"{tag} is there")


def pull(reference: str, *, say: Say = _say) -> None:
    """Fetch an image of another origin from its registry.

    Raises BadInput when the registry does not have it, or cannot be reached.
    """
    say(f"Pulling {reference} (large images take a while)")
    done = _docker("pull", "--quiet", reference)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BadInput(
            f"image {reference} is not here and cannot be pulled: {why}; load it, or give another --image"
        )


def digest(reference: str) -> str | None:
    """The identity of an image in the local engine: its registry digest, else its id. None without either."""
    if shutil.which("docker") is None:
        return None
    done = _docker(
        "image",
        "inspect",
        "--format",
        "{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}",
        reference,
    )
    return done.stdout.strip() or None if done.returncode == 0 else None


def content(reference: str) -> dict[str, str]:
    """What an image of ours is made of, by its reference: a name that stays says nothing. Others have none."""
    if not reference.startswith(PREFIX) or not _is_ours(reference):
        return {}
    try:
        context = assets.path("provisioning/images") / _name(reference)
    except BadInput:
        return {}
    return {reference: context_digest(context)}


def context_digest(context: Path) -> str:
    """sha256 over relative path, executable bit and bytes of every file that a build sees."""
    digest = hashlib.sha256()
    for inside, file in _context_files(context):
        mode = b"x" if os.access(file, os.X_OK) else b"-"
        digest.update(inside.as_posix().encode() + b"\0" + mode)
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    if _asks_for(context, "requirements.txt"):
        digest.update(package.requirements().encode())
    if (own := _own_base(context)) is not None:
        digest.update(context_digest(context.parent / _name(own)).encode())
    return digest.hexdigest()


def build(context: Path, tag: str, *, digest: str, base: str) -> None:
    """Build one Dockerfile with the caller's certificates and package index.

    The classic builder with the host's network: it reaches what the caller reaches, and needs no plug-in.
    Raises InfrastructureError with the end of the build's output.
    """
    with tempfile.TemporaryDirectory(prefix="neurocwl-image-") as scratch:
        staged = Path(scratch)
        for inside, file in _context_files(context):
            copy = staged / inside
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        bundle = ca_bundle(os.environ)
        (staged / "ca-bundle.crt").write_bytes(bundle.read_bytes() if bundle else b"")
        if _asks_for(context, "requirements.txt"):
            (staged / "requirements.txt").write_text(package.requirements())
            (staged / "constraints.txt").write_text(package.constraints())
        arguments = ["build", "--network=host", "--tag", tag, "--label", f"{LABEL}={digest}"]
        for variable in ("BASE", *(v for v in HANDED_OVER if os.environ.get(v))):
            # Without "=value" docker takes the value from the environment: no process list shows it.
            arguments += ["--build-arg", variable]
        env = {**os.environ, "BASE": base, "DOCKER_BUILDKIT": "0"}
        done = _docker(*arguments, str(staged), env=env)
    # Build stages (with the certificates in them) and replaced images stay behind nameless: ours are removed.
    for label in (STAGE_LABEL, LABEL):
        _docker("image", "prune", "--force", "--filter", f"label={label}")
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise InfrastructureError(
            f"docker build of {tag} failed; its last lines:\n{tail}\n"
            "The build needs the Python package index: behind a proxy set HTTPS_PROXY, with certificates of "
            "your own SSL_CERT_FILE, with a mirror PIP_INDEX_URL, and run again."
        )


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """The file of certificates that the caller trusts: from CA_VARIABLES, else the system's, else None."""
    named = [Path(environ[variable]) for variable in CA_VARIABLES if environ.get(variable)]
    return next((path for path in [*named, SYSTEM_CA_BUNDLE] if path.is_file()), None)


def base_image(*, say: Say = _say) -> str:
    """A local image with Python 3.11 to build on: the official one, else one made from Debian packages."""
    for candidate in (REGISTRY_BASE, LOCAL_BASE):
        if exists(candidate):
            return candidate
    if _pulled():
        return REGISTRY_BASE
    say(f"{REGISTRY_BASE} cannot be pulled here: making {LOCAL_BASE} from Debian packages (about a minute)")
    make_local_base(debian_mirror())
    return LOCAL_BASE


def debian_mirror(apt: Path = Path("/etc/apt")) -> str:
    """The mirror of Debian bookworm that this machine's apt uses, else deb.debian.org.

    Reads sources.list (one line each) and *.sources (deb822) and passes over other vendors' repositories
    and the security archive, which has no base system.
    """
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in filter(Path.is_file, files):
        for stanza in file.read_text(errors="replace").split("\n\n"):
            uri = _deb822_uri(stanza) or _one_line_uri(stanza)
            if uri:
                return uri
    return DEFAULT_MIRROR


def make_local_base(mirror: str) -> None:
    """Make LOCAL_BASE with debootstrap; raises InfrastructureError with the fix when that cannot work."""
    fix = f"With a registry at hand `docker pull {REGISTRY_BASE}` does instead."
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise InfrastructureError(
            f"No base image: {REGISTRY_BASE} cannot be pulled, and making one needs root and debootstrap. "
            f"Run `apt-get install debootstrap` and this command as root (sudo). {fix}"
        )
    with tempfile.TemporaryDirectory(prefix="neurocwl-base-", dir="/var/tmp") as scratch:
        root = Path(scratch) / "root"
        done = _run(["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm",
                     str(root), mirror])  # fmt: skip
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise InfrastructureError(f"debootstrap from {mirror} failed:\n{tail}\n{fix}")
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man",
                      "usr/share/locale"):  # fmt: skip
            shutil.rmtree(root / waste, ignore_errors=True)
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
            command = ["docker", "import", "--change", "ENV LANG=C.UTF-8", "--change", 'CMD ["python3"]',
                       "-", LOCAL_BASE]  # fmt: skip
            imported = subprocess.run(command, stdin=tar.stdout, capture_output=True, text=True, check=False)
        if imported.returncode != 0 or tar.returncode != 0:
            why = imported.stderr.strip()
            raise InfrastructureError(f"docker import of {LOCAL_BASE} failed: {why}. {fix}")


def _deb822_uri(stanza: str) -> str | None:
    fields = dict(line.split(":", 1) for line in stanza.splitlines() if ":" in line and line[0] not in "# ")
    uris, suites = fields.get("URIs", "").split(), fields.get("Suites", "").split()
    enabled = fields.get("Enabled", "yes").strip() != "no"
    return uris[0] if uris and enabled and "bookworm" in suites else None


def _one_line_uri(stanza: str) -> str | None:
    for line in stanza.splitlines():
        words = [word for word in line.split() if not (word.startswith("[") or word.endswith("]"))]
        if words[:1] == ["deb"] and words[2:3] == ["bookworm"] and "main" in words[3:]:
            return words[1]
    return None


def _is_ours(name_or_reference: str) -> bool:
    return name_or_reference.startswith(PREFIX) or name_or_reference in names()


def _name(name_or_reference: str) -> str:
    name, _, tag = name_or_reference.removeprefix(PREFIX).partition(":")
    if name not in names() or (tag and tag != _tag(name)):
        raise BadInput(
            f"neurocwl builds no image {name_or_reference}; it builds "
            f"{', '.join(f'{PREFIX}{known}:{_tag(known)}' for known in names())}"
        )
    return name


def _tag(name: str) -> str:
    """Toil runs its workers in images alone whose name holds its commit."""
    context = assets.path("provisioning") / "images" / name
    return f"{TAG}-{package.toil_commit()}" if _asks_for(context, "package/") else TAG


def _own_base(context: Path) -> str | None:
    """The image of ours that a Dockerfile builds on."""
    found = re.search(rf"^ARG BASE=({PREFIX}\S+)$", (context / "Dockerfile").read_text(), re.MULTILINE)
    return found.group(1) if found else None


def _asks_for(context: Path, what: str) -> bool:
    """Whether a Dockerfile copies something that the build lays beside it."""
    copied = re.findall(r"^COPY (.*) \S+$", (context / "Dockerfile").read_text(), re.MULTILINE)
    return any(word.startswith(what) for words in copied for word in words.split())


def _context_files(context: Path) -> list[tuple[Path, Path]]:
    """(place in the build, file) of all that a build sees: the image's folder, and what its Dockerfile asks for."""
    roots = [(Path(), context)]
    if _asks_for(context, "shared/"):
        roots.append((Path("shared"), context.parent / "shared"))
    ours = package.files() if _asks_for(context, "package/") else []
    return [(Path("package/neurocwl") / inside, file) for inside, file in ours] + [
        (inside / file.relative_to(root), file)
        for inside, root in roots
        for file in sorted(root.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    ]


def _label(image: str) -> str | None:
    done = _docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image)
    return done.stdout.strip() if done.returncode == 0 else None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep other processes of this user from building: one's clearing up would take another's build stage."""
    lock = Path(tempfile.gettempdir()) / f"neurocwl-images-{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@cache
def _pulled() -> bool:
    """Try the registry once per process: where there is none, asking again only costs time."""
    try:
        return _docker("pull", "--quiet", REGISTRY_BASE, timeout=180).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker(
    *arguments: str, timeout: float | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return _run(["docker", *arguments], timeout=timeout, env=env)


def _run(
    command: Sequence[str], *, timeout: float | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout, env=env
    )
