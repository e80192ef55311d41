"""AWS keys from the files that the AWS console has handed out over the years.

This file stands alone: neurocwl reads --credentials with it, and nipype_s3 its creds_path.
"""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

FORMS = (
    "a root account's file (AWSAccessKeyID=..., AWSSecretKey=...), or a CSV file with the columns "
    "'Access key ID' and 'Secret access key', with or without 'User Name'"
)


@dataclass(frozen=True)
class Keys:
    """An access key. It does not show when it is printed."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)


def read(path: str | Path) -> Keys:
    """The keys in a credentials file.

    Raises ValueError, with the path and never with content, for a file that is missing or has another form.
    """
    file = Path(path).expanduser()
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"credentials file {file}: there is no such file; check the path") from None
    except OSError as error:
        raise ValueError(
            f"credentials file {file}: cannot be read ({error.strerror}); make it a readable file"
        ) from None
    try:
        return parse(data)
    except ValueError as error:  # without its cause: a decoding error shows what it stumbled over
        raise ValueError(f"credentials file {file}: {error}; it must be {FORMS}") from None


def parse(data: bytes) -> Keys:
    """The keys in the bytes of a credentials file.

    Raises ValueError that says what is missing, without any of the content.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Windows' editors save
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is no text") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("it is empty")
    found = _rows(lines) if "," in lines[0] else _pairs(lines)
    key_id, secret = found.get("accesskeyid"), found.get("secretkey") or found.get("secretaccesskey")
    for name, value in (("access key id", key_id), ("secret key", secret)):
        if not value:
            raise ValueError(f"it has no {name}")
        if not value.isascii() or any(letter.isspace() or not letter.isprintable() for letter in value):
            raise ValueError(f"its {name} has letters that no key has")
    return Keys(str(key_id), str(secret))


def _pairs(lines: list[str]) -> dict[str, str]:
    """Lines of name=value; the value goes on to the end of the line, '=' included."""
    split = (line.partition("=") for line in lines)
    return {_plain(name).removeprefix("aws"): _unquoted(value) for name, _, value in split}


def _rows(lines: list[str]) -> dict[str, str]:
    """A CSV table with one row, by the names of its columns: their number and order have changed."""
    try:
        head, *rows = csv.reader(lines, skipinitialspace=True, strict=True)
    except csv.Error:
        raise ValueError("it is no CSV table") from None
    if len(rows) != 1:
        raise ValueError(f"it has {len(rows)} users, and one is needed")
    return {_plain(name): value.strip() for name, value in zip(head, rows[0], strict=False)}


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
