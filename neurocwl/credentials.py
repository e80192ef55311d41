"""--credentials FILE: AWS keys from a file of the AWS console's. The parser is nipype_s3's, which needs no neurocwl."""

import runpy
from dataclasses import dataclass, field
from pathlib import Path

from neurocwl import assets
from neurocwl.errors import BadInput


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key. It does not show when it is printed."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)


def read(file: Path) -> Keys:
    """The keys in a file; raises BadInput, without any of its content, when there are none."""
    parser = runpy.run_path(str(assets.path("toolwrappers/nipype_s3/credentials.py")))
    try:
        found = parser["read"](file)
    except ValueError as error:
        raise BadInput(f"--credentials {file}: {error}") from None
    return Keys(found.key_id, found.secret)
