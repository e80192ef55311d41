"""DataSink's rules as a command: `python3 -m nipype_s3 --base-directory s3://LAB/OUT --put motion.@par par.txt`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from . import delivery
from .destinations import Layout


def parser() -> argparse.ArgumentParser:
    """DataSink's inputs as options."""
    made = argparse.ArgumentParser(prog="nipype_s3", description=__doc__, allow_abbrev=False)
    made.add_argument("--base-directory", required=True, metavar="URL", help="s3://BUCKET/PREFIX or a folder")
    made.add_argument("--container", default="", help="a folder below it for everything, such as sub-01")
    made.add_argument(
        "--put", nargs="+", action="append", default=[], metavar=("ATTRIBUTE", "FILE"),
        help="files or folders of one attribute: a.b goes to a/b, a.@b to a; may be repeated",
    )  # fmt: skip
    for option, text in (("substitution", "a string and its replacement"), ("regexp-substitution", "the same for a regular expression, afterwards")):  # fmt: skip
        made.add_argument(
            f"--{option}", nargs=2, action="append", default=[], metavar=("OLD", "NEW"), help=text
        )
    made.add_argument(
        "--no-parameterization",
        action="store_true",
        help="leave out the folders above a file that begin with _",
    )
    made.add_argument(
        "--strip-dir", default="", help="what of a file's path is not looked at for such folders"
    )
    made.add_argument("--local-copy", metavar="DIR", help="a folder for a copy of everything")
    made.add_argument(
        "--creds-path", metavar="FILE", help="a credentials file, where the environment has no keys"
    )
    made.add_argument("--encrypt", action="store_true", help="have S3 encrypt with keys of its own (AES256)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Deliver; prints the destinations as a JSON list."""
    asked = parser().parse_args(argv)
    attributes: dict[str, list[str]] = {}
    for attribute, *files in asked.put:
        attributes.setdefault(attribute, []).extend(files)
    layout = Layout(
        asked.base_directory,
        asked.container,
        not asked.no_parameterization,
        asked.strip_dir,
        tuple((old, new) for old, new in asked.substitution),
        tuple((old, new) for old, new in asked.regexp_substitution),
    )
    try:
        out = delivery.sink(
            layout,
            attributes,
            local_copy=asked.local_copy,
            creds_path=asked.creds_path,
            encrypt=asked.encrypt,
        )
    except ValueError as error:  # Refused among them
        print(f"nipype_s3: {error}", file=sys.stderr)
        return 2
    print(json.dumps(out, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
