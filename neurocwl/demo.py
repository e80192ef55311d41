"""The demo: a small real dataset through everything on this machine, each command printed before it is run."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocwl import template
from neurocwl.errors import BadInput, InfrastructureError, NeurocwlError

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.text import Text

FOLDER = Path("neurocwl-demo")
MARKER = ".neurocwl-demo"
BUCKET, PREFIX = "lab", "ds"
DATASET = f"s3://{BUCKET}/{PREFIX}"
DERIVATIVES = f"s3://{BUCKET}/derivatives"
MOSAIC = "sub-01/figures/sub-01_T1w_mosaic.png"

WITH_DOCKER = "NEUROCWL_WITH_DOCKER"
"""Set by provisioning/machine/with-docker when the engine is its own: the command that brings it back."""

ELSEWHERE = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)  # fmt: skip
"""Variables of the caller that would lead to an S3 other than the demo's."""

SHADES = " .:-=+*#%@"
DARK = 40  # of 255: the ground of a mosaic
ROWS_PER_COLUMN = 0.5  # a character is about twice as high as wide


def run(folder: Path | None) -> int:
    """Run the demo below a folder (FOLDER unless told); returns 0 when everything held.

    Raises BadInput for a folder with other things in it, InfrastructureError when something is not installed.
    """
    from neurocwl import images, realdata, s3server

    started = time.monotonic()
    home = _emptied((folder or FOLDER).absolute())
    engine = images.engine()
    print(f"neurocwl demo in {home}")
    if engine is None:
        print("no docker engine answers here: the pipeline runs without containers")
    else:
        print(f"the pipeline runs in containers, by docker {engine}")

    _head("A small real BIDS dataset: T1w, BOLD and DWI of three participants")
    dataset = realdata.make(home / "dataset")
    files = sorted(file for file in dataset.rglob("*") if file.is_file())
    print(f"{dataset}: {len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB")

    keep = {"S3_PERSIST": "1", "S3_DATA_DIR": str(home / "s3")}
    log = home / "s3-server.log"
    reach = _past_proxies(os.environ)
    with _terminable(), _environment(keep | reach), s3server.running(log) as server, _environment(server):
        _head(f"An S3 server on this machine, with the dataset at {DATASET}")
        _tell_server(server | reach, keep)
        _upload(dataset)
        pipeline = _pipeline()
        output = f"{DERIVATIVES}/{pipeline}"
        _commands(pipeline, output, container=engine is not None)
        _head("The derivatives, copied from S3")
        derivatives = home / "derivatives" / pipeline
        _download(output, derivatives)
    _show(derivatives / MOSAIC)
    print(f"derivatives: {derivatives}")
    print(
        f"Everything held, {time.monotonic() - started:.0f} s. Nothing runs on; the objects are kept in {home / 's3'}."
    )
    print(
        "To type any of this again, start with the first $ lines (kill %1 ends the server); --rerun runs what is done."
    )
    return 0


def _emptied(home: Path) -> Path:
    """The demo's folder, new; an earlier demo's is replaced, anybody else's is refused."""
    if home.is_dir() and not any(home.iterdir()):
        home.rmdir()
    if home.exists():
        if not (home / MARKER).is_file():
            raise BadInput(
                f"--folder {home}: it is not a demo's and would be replaced; give one that does not exist"
            )
        shutil.rmtree(home)
    try:
        home.mkdir(parents=True)
        (home / MARKER).write_text("neurocwl demo replaces this folder.\n")
    except OSError as error:
        raise BadInput(f"--folder {home}: {error.strerror}; give one that can be written") from error
    return home


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables, without those that lead elsewhere, for this process and what it starts."""
    before = dict(os.environ)
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(variables)
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), before.get("PATH", os.defpath)))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep a proxy, where there is one, out of the way to this machine's loopback."""
    if not any(environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        return {}
    direct = ",".join(filter(None, (environ.get("NO_PROXY") or environ.get("no_proxy"), "127.0.0.1")))
    return {"NO_PROXY": direct, "no_proxy": direct}


def _head(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _tell_server(reach: Mapping[str, str], keep: Mapping[str, str]) -> None:
    """Print what brings the server back and leads to it: nobody has to run it now."""
    port = reach["AWS_ENDPOINT_URL"].rpartition(":")[2]
    server = {**keep, "SERVICES": "s3", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": port}
    print(f'$ export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    print(f"$ {_assignments(server)} ministack >/dev/null 2>&1 &")
    print(f"$ export {_assignments(reach)}")
    print(f"$ unset {' '.join(ELSEWHERE)}")


def _assignments(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


def _upload(dataset: Path) -> None:
    """Put the dataset into the bucket, as any S3 client would."""
    from neurocwl.s3 import Access, client

    s3 = client(Access())
    s3.create_bucket(Bucket=BUCKET)
    for file in sorted(dataset.rglob("*")):
        if file.is_file():
            s3.upload_file(str(file), BUCKET, f"{PREFIX}/{file.relative_to(dataset).as_posix()}")


def _pipeline() -> str:
    """The pipeline that runs on a small machine: the one that checks images."""
    return next(name for name in template.names() if template.load(name).findings)


def _commands(pipeline: str, output: str, *, container: bool) -> None:
    launch = ["neurocwl", "launch", "dataset", DATASET, "--pipeline", pipeline, "--output", output]
    if not container:
        launch.append("--no-container")
    elif own := os.environ.get(WITH_DOCKER):
        launch.insert(0, own)
    _head(f"{pipeline} on every participant, through Toil")
    _typed(launch)
    _head("What became of every participant")
    _typed(["neurocwl", "status", output])
    _head("The derivatives on S3, byte for byte against their receipts")
    _typed(["neurocwl", "verify", "--deep", output])


def _typed(words: list[str]) -> None:
    """Print a command as one types it and run it; raises DemoError when it fails."""
    line = shlex.join(words)
    print(f"$ {line}", flush=True)
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        code = process.wait()
    except BaseException as error:
        # Ctrl-C reaches the command by itself, which then ends in order; anything else is passed on.
        if not isinstance(error, KeyboardInterrupt) or isinstance(error, _Terminated):
            process.terminate()
        process.wait()
        raise
    if code != 0:
        raise DemoError(line, code)


class _Terminated(KeyboardInterrupt):
    """SIGTERM: to end as on Ctrl-C, so that the S3 server does not outlive the demo."""


@contextmanager
def _terminable() -> Iterator[None]:
    def handle(number: int, frame: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class DemoError(NeurocwlError):
    """A command of the demo did not end with 0."""

    def __init__(self, line: str, code: int) -> None:
        kept = os.environ.get("S3_DATA_DIR", "")
        super().__init__(
            f"the demo did not hold: exit code {code} from: {line}\nthe objects, with the logs, are kept in {kept}"
        )
        self.exit_code = code


def _download(output: str, derivatives: Path) -> None:
    from neurocwl.s3 import Access
    from neurocwl.storage import open_location

    there = open_location(output, Access())
    for entry in there.entries():
        if not entry.path.endswith("/"):
            file = derivatives / entry.path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as copy:
                copy.writelines(there.chunks(entry.path))


def _show(mosaic: Path) -> None:
    """Draw a PNG in the terminal: half blocks in colour, or shades of characters where there is no colour.

    Raises InfrastructureError when the file is not there.
    """
    from PIL import Image
    from rich.console import Console

    if not mosaic.is_file():
        raise InfrastructureError(f"the demo did not hold: it delivered no {mosaic}")
    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
    with Image.open(mosaic) as image:
        if console.is_terminal and console.color_system and not console.no_color:
            console.print(half_blocks(image.convert("RGB"), console.width))
        else:
            print(shades(image.convert("L"), 80))
    print(f"mosaic: {mosaic}")


def half_blocks(image: "Image", columns: int) -> "Text":
    """An RGB image as text: each character holds two pixels, the upper in the ink, the lower in the paper."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    small = image.resize((columns, _rows(image, columns) * 2))
    text = Text(no_wrap=True, end="")
    pixel: Any = small.getpixel
    for upper in range(0, small.height, 2):
        for column in range(columns):
            ink, paper = (Color.from_rgb(*pixel((column, upper + below))) for below in (0, 1))
            text.append("▀", Style(color=ink, bgcolor=paper))
        text.append("\n")
    return text


def shades(image: "Image", columns: int) -> str:
    """A grey image as lines of characters, the more ink the brighter."""
    rows = _rows(image, columns)
    small = image.resize((columns, rows)).tobytes()
    lines = (small[row * columns : (row + 1) * columns] for row in range(rows))
    return "\n".join(
        "".join(SHADES[max(0, value - DARK) * len(SHADES) // (256 - DARK)] for value in line).rstrip()
        for line in lines
    )


def _rows(image: "Image", columns: int) -> int:
    return max(1, round(image.height / image.width * columns * ROWS_PER_COLUMN))
