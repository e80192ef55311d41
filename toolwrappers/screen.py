"""A virtual screen of one's own: an Xvfb that picks its number itself, and a picture of what it shows."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

SIZE = "1280x1024x24"


class Display:
    """A running Xvfb."""

    def __init__(self, name: str, buffer: Path) -> None:
        self.name, self.buffer = name, buffer

    def picture(self, target: Path) -> Path | None:
        """Write what the screen shows as a PNG; None when it cannot be read."""
        try:
            target.write_bytes(png_of_xwd(self.buffer.read_bytes()))
        except (OSError, struct.error, ValueError):
            return None
        return target


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Display]:
    """A screen whose files lie in a folder of its own.

    Raises RuntimeError when Xvfb does not start.
    """
    ours, theirs = os.pipe()
    log = (folder / "xvfb.log").open("wb")
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", SIZE, "-nolisten", "tcp", "-noreset"]
    try:
        server = subprocess.Popen(
            [*command, "-fbdir", str(folder)], pass_fds=[theirs], stdout=log, stderr=log
        )
    except OSError as error:
        raise RuntimeError(f"Xvfb cannot be started ({error.strerror}); install it") from error
    finally:
        os.close(theirs)
        log.close()
    try:
        number = _number(ours)
        if not number:
            said = (folder / "xvfb.log").read_text(errors="replace").strip()
            raise RuntimeError(f"Xvfb did not start: {said}")
        yield Display(f":{number}", folder / "Xvfb_screen0")
    finally:
        server.terminate()
        server.wait()


def _number(pipe: int) -> str:
    """The number of the display, which Xvfb writes when it is ready; empty when it ended before that."""
    said = b""
    with os.fdopen(pipe, "rb", buffering=0) as source:
        while not said.endswith(b"\n"):
            more = source.read(16)
            if not more:
                return ""
            said += more
    return said.decode().strip()


def png_of_xwd(data: bytes) -> bytes:
    """The PNG of a screen that Xvfb keeps as an XWD file of 32 bits per pixel (X11's XWDFile.h)."""
    header = struct.unpack(">25I", data[:100])
    start = header[0] + header[19] * 12  # the header, then its table of colours
    width, height, little, bits, line = header[4], header[5], header[7] == 0, header[11], header[12]
    if bits != 32:
        raise ValueError(f"{bits} bits per pixel")
    red, green, blue = (2, 1, 0) if little else (1, 2, 3)
    rows = []
    for row in range(height):
        pixels = data[start + row * line : start + row * line + width * 4]
        colours = bytearray(width * 3)
        colours[0::3], colours[1::3], colours[2::3] = pixels[red::4], pixels[green::4], pixels[blue::4]
        rows.append(b"\0" + bytes(colours))
    parts = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(rows), 6)),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
