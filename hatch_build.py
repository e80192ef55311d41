"""Carry the folders that are not Python in the wheel, below neurocwl/share (see neurocwl/assets.py)."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("cwl", "jobs", "provisioning", "toolwrappers")


class ShareHook(BuildHookInterface[Any]):  # type: ignore[misc]
    """Map each tracked file of FOLDERS to neurocwl/share/; an editable install reads the checkout itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to what the wheel holds."""
        if version == "editable":
            return
        root = Path(self.root)
        for file in sorted(found for folder in FOLDERS for found in (root / folder).rglob("*")):
            relative = file.relative_to(root).as_posix()
            if file.is_file() and not self.build_config.path_is_excluded(relative):
                build_data["force_include"][relative] = f"neurocwl/share/{relative}"
