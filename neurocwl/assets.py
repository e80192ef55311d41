"""Where the files that are not Python lie: cwl/, jobs/, toolwrappers/, provisioning/."""

from pathlib import Path

FOLDERS = ("cwl", "jobs", "provisioning", "toolwrappers")


def path(name: str) -> Path:
    """The absolute path of one of FOLDERS, or of a file below it.

    An installed wheel carries them in neurocwl/share; a checkout has them beside the package.
    """
    package = Path(__file__).resolve().parent
    share = package / "share"
    return (share if share.is_dir() else package.parent) / name
