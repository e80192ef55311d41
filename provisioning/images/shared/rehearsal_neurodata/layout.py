"""A stand-in for pybids' BIDSLayout, as far as m2g 0.3.0 (pybids 0.9) and ndmg 0.2.1 (pybids 0.6) ask.

Entities come from the whole path, files in the order of their paths.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ENTITIES = {"subject": "sub", "session": "ses", "task": "task", "run": "run"}
Wanted = str | list[str] | None


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a dataset, with the names that pybids has given to what it knows of it."""

    filename: str
    entities: dict[str, str]
    suffix: str
    extension: str
    modality: str


class BIDSLayout:
    """The files of a dataset."""

    validate = True

    def __init__(self, root: str) -> None:
        folder = Path(root)
        if not folder.is_dir():
            raise ValueError(f"BIDS root does not exist: {root}")
        if not (folder / "dataset_description.json").is_file():
            raise ValueError(
                "'dataset_description.json' is missing from project root. Every valid BIDS dataset must have this file."
            )
        self.files = [_found(path, folder) for path in sorted(folder.glob("sub-*/**/*")) if path.is_file()]

    def get(
        self,
        return_type: str = "object",
        suffix: str | None = None,
        type: str | None = None,  # pybids' own word
        modality: str | None = None,
        extensions: str | list[str] | None = None,
        **entities: Wanted,
    ) -> list[Found] | list[str]:
        """The files that match everything that is given."""
        endings = extensions.split("|") if isinstance(extensions, str) else extensions
        kept = [
            file
            for file in self.files
            if (suffix or type) in (None, file.suffix)
            and modality in (None, file.modality)
            and (endings is None or file.extension in endings)
            and all(_is(file.entities.get(name), wanted) for name, wanted in entities.items())
        ]
        return [file.filename for file in kept] if return_type == "filename" else kept

    def get_subjects(self) -> list[str]:
        """Labels of participants."""
        return self._labels("subject", None)

    def get_sessions(self, subject: Wanted = None) -> list[str]:
        """Labels of sessions."""
        return self._labels("session", subject)

    def get_tasks(self, subject: Wanted = None) -> list[str]:
        """Labels of tasks."""
        return self._labels("task", subject)

    def get_runs(self, subject: Wanted = None) -> list[str]:
        """Labels of runs."""
        return self._labels("run", subject)

    def _labels(self, entity: str, subject: Wanted) -> list[str]:
        files = [file for file in self.files if _is(file.entities.get("subject"), subject)]
        return sorted({file.entities[entity] for file in files if entity in file.entities})


def _is(label: str | None, wanted: Wanted) -> bool:
    return wanted is None or (label in wanted if isinstance(wanted, list) else label == wanted)


def _found(path: Path, root: Path) -> Found:
    below = path.relative_to(root).as_posix()
    entities = {
        name: labels[-1]
        for name, short in ENTITIES.items()
        if (labels := re.findall(rf"(?:^|[/_]){short}-([A-Za-z0-9]+)", below))
    }
    stem, _, extension = path.name.partition(".")
    return Found(str(path), entities, stem.rpartition("_")[2], extension, path.parent.name)
