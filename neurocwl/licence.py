"""The FreeSurfer licence: found and checked before launch, handed over as a file, kept nowhere."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurocwl.errors import BadInput
from neurocwl.parameters import path_object
from neurocwl.s3 import Access
from neurocwl.storage import open_location

MOST = 65536  # bytes; a licence has some 100
GET_ONE = "it is free of charge: https://surfer.nmr.mgh.harvard.edu/registration.html"


def find(given: str | None, environment: Mapping[str, str], access: Access) -> dict[str, Any]:
    """The licence as a CWL File: --fs-license-file, then $FS_LICENSE, then $FREESURFER_HOME/license.txt.

    Each may be a path; the first two also an s3:// URL, which the worker reads itself.
    Raises BadInput when there is none, or when it is not a licence.
    """
    home = environment.get("FREESURFER_HOME")
    candidates = [
        ("--fs-license-file", given),
        ("$FS_LICENSE", environment.get("FS_LICENSE")),
        ("$FREESURFER_HOME", f"{home}/license.txt" if home and Path(home, "license.txt").is_file() else None),
    ]
    for source, value in candidates:
        if value:
            _check(source, value, access)
            return path_object("File", value, source)
    raise BadInput(
        f"a FreeSurfer licence is needed: give --fs-license-file FILE or set FS_LICENSE; {GET_ONE}"
    )


def _check(source: str, value: str, access: Access) -> None:
    """Refuse what cannot be a licence, without ever showing its content."""
    if value.startswith("s3://"):
        parent, _, name = value.rpartition("/")
        data = open_location(parent, access).read(name)
    else:
        file = Path(os.path.expanduser(value))
        if file.exists() and not file.is_file():
            raise BadInput(f"{source} {value}: is not a file; {GET_ONE}")
        try:
            with file.open("rb") as found:
                data = found.read(MOST + 1)
        except FileNotFoundError:
            data = None
        except OSError as error:
            raise BadInput(
                f"{source} {value}: cannot be read ({error.strerror}); name a readable file"
            ) from error
    if data is None:
        raise BadInput(f"{source} {value}: there is no such file")
    if len(data) > MOST:
        raise BadInput(f"{source} {value}: not a FreeSurfer licence (more than {MOST} bytes); {GET_ONE}")
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if not 3 <= len(lines) <= 10 or "@" not in lines[0]:
        raise BadInput(
            f"{source} {value}: not a FreeSurfer licence (an e-mail address, a number and two or three keys, "
            f"one a line, are expected; this has {len(lines)} lines); {GET_ONE}"
        )
