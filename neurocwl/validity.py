"""What is not valid BIDS by its name alone, as the official validator would see it.

The rules are data: the BIDS schema that bidsschematools carries. The way they are applied is that of the
official validator (bids-validator 3.0: src/validators/filenameIdentify.ts, filenameValidate.ts,
src/schema/walk.ts), quirks included, because its verdict is what a user will be asked about. A test compares
the two on real runs. Known differences: none in what is done; the validator's bundled schema may be a version
older or newer than the one here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

from neurocwl.bidsignore import matcher
from neurocwl.bidsnames import Problem, printable

DatasetType = Literal["raw", "derivative", "study"]

# What lies in these at the root is always ignored (bids-validator, src/files/ignore.ts).
_IGNORED: Final = frozenset({"sourcedata", "derivatives", "code", "stimuli", "log", "doc"})
_LABELLED: Final = re.compile(r"(?:sub|ses|tpl|cohort)-")
_FOLDER: Final = re.compile(r"(sub-[0-9A-Za-z+]+)/(?:(ses-[0-9A-Za-z+]+)/)?")
_SPLIT: Final = re.compile("-([^\n\r\u2028\u2029]+)")

Finding = tuple[str, str]  # code, message


def dataset_type(description: Mapping[str, Any]) -> DatasetType:
    """The type of a dataset by its dataset_description.json, as the validator takes it."""
    match description.get("DatasetType"):
        case "derivative":
            return "derivative"
        case "study":
            return "study"
        case None:
            return "derivative" if "GeneratedBy" in description else "raw"
        case _:
            return "raw"


def invalid_names(
    paths: Iterable[str], *, dataset_type: DatasetType = "raw", bidsignore: str = ""
) -> tuple[Problem, ...]:
    """The files and folders (these end in '/') whose names the official validator would call invalid.

    Paths are relative to the dataset's root, those of files; codes are the validator's. A folder that is
    wrong is reported itself, its files only if they are wrong by themselves, as the validator has it.
    """
    rules = _rules(dataset_type)
    ignored = matcher(bidsignore)
    problems: list[Problem] = []
    folders: dict[str, _Folder | None] = {"": _Folder("", "", "", "")}
    memo: dict[tuple[str, str], tuple[Finding, ...]] = {}

    def enter(path: str) -> _Folder | None:
        """The folder (path ends in '/'), judged when met first; None if the validator does not go in."""
        parent_path, name = _parent(path)
        parent = folders[parent_path] if parent_path in folders else enter(parent_path)
        folder = None if parent is None else judge(path, name, parent)
        folders[path] = folder
        return folder

    def judge(path: str, name: str, parent: _Folder) -> _Folder | None:
        if name.startswith("."):
            return None
        if ignored and ignored(path[:-1]):  # without '/': the validator asks so, and reports ignored "x/"
            return None
        pseudo = rules.is_recording(name)
        if pseudo:
            found = rules.file(path, name + "/", parent.name)
        else:
            found = () if rules.knows_folder(name) else (("NOT_INCLUDED", "no folder that BIDS knows"),)
        problems.extend(Problem(printable(path), *finding) for finding in found)
        opaque = pseudo or (parent.path == "" and (name in rules.opaque or name in _IGNORED))
        return None if opaque else _Folder.at(path, name)

    last_path, folder = "", folders[""]
    for path in paths:
        cut = path.rfind("/") + 1
        if path[:cut] != last_path:
            last_path = path[:cut]
            folder = folders[last_path] if last_path in folders else enter(last_path)
        if folder is None:
            continue
        name = path[cut:]
        if not name or name[0] == "." or (ignored and ignored(path)):
            continue
        text = name.removeprefix(folder.prefix)
        key = (folder.shape, text)
        found = memo.get(key) if text is not name else None
        if found is None:
            found = rules.file(path, name, folder.name)
            # With valid labels that agree with the folder's, which ones they are does not matter.
            if text is not name and folder.prefix and not _LABELLED.search(text):
                memo[key] = found
        for code, message in found:
            problems.append(Problem(printable(path), code, message))
    return tuple(sorted(problems))


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    name: str
    prefix: str  # of file names that agree with it, "" if its labels are not valid
    shape: str  # its path without the labels

    @classmethod
    def at(cls, path: str, name: str) -> "_Folder":
        found = _FOLDER.match(path)
        if not found:
            return cls(path, name, "", path)
        prefix = "_".join(filter(None, found.groups())) + "_"
        return cls(path, name, prefix, f"{'2' if found[2] else '1'}/{path[found.end() :]}")


def _parent(path: str) -> tuple[str, str]:
    cut = path.rfind("/", 0, -1) + 1
    return path[:cut], path[cut:-1]


@dataclass(frozen=True, slots=True)
class _Parts:
    entities: Mapping[str, str | None]  # None: no label
    suffix: str
    extension: str


@lru_cache(maxsize=65536)
def _read(name: str) -> _Parts:
    """A name's parts as the validator's readEntities sees them (src/schema/entities.ts)."""
    stem, dot, extension = name.partition(".")
    parts = stem.split("_")
    suffix = ""
    if len(parts) > 1 or re.fullmatch("[a-zA-Z0-9]+", parts[-1]):
        suffix = parts.pop()
    entities: dict[str, str | None] = {}
    for part in parts:
        key, *label = _SPLIT.split(part)
        entities[key] = label[0] if label else None
    return _Parts(entities, suffix, dot + extension)


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    path: str | None
    stem: re.Pattern[str] | None
    suffixes: frozenset[str] | None
    extensions: frozenset[str] | None
    datatypes: frozenset[str] | None
    entities: frozenset[str] | None  # short names
    required: tuple[str, ...]


class _Rules:
    """The schema's file and folder rules for one type of dataset, and what they say of a name."""

    def __init__(self, schema: Mapping[str, Any], dataset_type: DatasetType) -> None:
        self._schema = schema
        objects, rules = schema["objects"], schema["rules"]
        self.short = {name: entity["name"] for name, entity in objects["entities"].items()}
        self.formats = {
            entity["name"]: re.compile(objects["formats"][entity["format"]]["pattern"])
            for entity in objects["entities"].values()
        }
        self.order = [self.short[name] for name in rules["entities"]]
        self.datatypes = frozenset(objects["datatypes"])
        self.recordings = frozenset(
            extension["value"]
            for extension in objects["extensions"].values()
            if extension["value"].endswith("/")
        )
        folders = rules["directories"].get(dataset_type, {})
        self.opaque = frozenset(folder["name"] for folder in folders.values() if folder.get("opaque"))
        self.folder_names = {folder["name"] for folder in folders.values() if "name" in folder}
        if any(folder.get("value") == "datatype" for folder in folders.values()):
            self.folder_names |= self.datatypes
        self.folder_prefixes = tuple(
            self.short[folder["entity"]] + "-" for folder in folders.values() if "entity" in folder
        )
        self._derivative = dataset_type == "derivative"

    @cached_property
    def rules(self) -> Sequence[_Rule]:
        groups = self._schema["rules"]["files"]
        found: list[_Rule] = []
        for name, group in groups.items():
            if name != "deriv" or self._derivative:
                self._collect(f"rules.files.{name}", group, found)
        return found

    @cached_property
    def by_suffix(self) -> Mapping[str, Sequence[_Rule]]:
        table: dict[str, list[_Rule]] = {}
        for rule in self.rules:
            for suffix in rule.suffixes or ():
                table.setdefault(suffix, []).append(rule)
        return table

    @cached_property
    def by_stem(self) -> Sequence[_Rule]:
        return [rule for rule in self.rules if rule.path is not None or rule.stem is not None]

    def _collect(self, name: str, node: Mapping[str, Any], found: list[_Rule]) -> None:
        if not {"path", "stem", "suffixes"} & node.keys():
            for key, child in node.items():
                if isinstance(child, dict):
                    self._collect(f"{name}.{key}", child, found)
            return

        def names(key: str) -> frozenset[str] | None:
            return frozenset(node[key]) if key in node else None

        entities = node.get("entities")
        found.append(
            _Rule(
                name,
                node.get("path"),
                re.compile(re.escape(node["stem"]).replace(r"\*", ".*")) if "stem" in node else None,
                names("suffixes"),
                names("extensions"),
                names("datatypes"),
                None if entities is None else frozenset(self.short[entity] for entity in entities),
                tuple(
                    self.short[entity] for entity, level in (entities or {}).items() if level == "required"
                ),
            )
        )

    def is_recording(self, folder_name: str) -> bool:
        """Whether a folder counts as one file, whose content is not looked at."""
        parts = _read(folder_name)
        return parts.suffix != "" and bool(parts.entities) and f"{parts.extension}/" in self.recordings

    def knows_folder(self, name: str) -> bool:
        """Whether a folder of that name may be somewhere."""
        return name in self.folder_names or name.startswith(self.folder_prefixes)

    def file(self, path: str, name: str, folder_name: str) -> tuple[Finding, ...]:
        """What is wrong with the name of a file (or of a recording; then both end in '/')."""
        parts = _read(name)
        datatype = folder_name if folder_name in self.datatypes else ""
        candidates = self._candidates(path, name, parts, datatype)
        if not candidates:
            return (("NOT_INCLUDED", "no rule of BIDS matches this name"),)
        entities = parts.entities if any(rule.entities for rule in candidates) else {}
        extension = parts.extension if any(rule.extensions for rule in candidates) else ""
        suffix = parts.suffix if any(rule.suffixes for rule in candidates) else ""
        parts = _Parts(entities, suffix, extension)
        found = list(self._labels(parts, any(rule.suffixes is not None for rule in candidates)))
        verdicts = [list(_broken(rule, path, parts, datatype)) for rule in candidates]
        if len(candidates) == 1:
            found += verdicts[0]
        elif all(verdicts):
            tried = ", ".join(rule.name.removeprefix("rules.files.") for rule in candidates)
            found.append(("ALL_FILENAME_RULES_HAVE_ISSUES", f"none of these rules allows it: {tried}"))
        if parts.entities and name != self._rebuilt(parts):
            found.append(("FILENAME_MISMATCH", "entities out of order, repeated or unknown"))
        return tuple(found)

    def _candidates(self, path: str, name: str, parts: _Parts, datatype: str) -> Sequence[_Rule]:
        stem = name.partition(".")[0]
        found = [
            rule
            for rule in self.by_stem
            if rule.path == path
            or (
                rule.stem is not None
                and rule.stem.fullmatch(stem)
                and (rule.datatypes is None or datatype in rule.datatypes)
            )
        ]
        found += self.by_suffix.get(parts.suffix, ())
        if len(found) > 1:
            found = [rule for rule in found if rule.datatypes and datatype in rule.datatypes] or found
        if len(found) > 1:
            found = [rule for rule in found if _could_be(rule, parts)] or found
        return found

    def _labels(self, parts: _Parts, named_by_suffix: bool) -> Iterable[Finding]:
        bare = [entity for entity, label in parts.entities.items() if label is None]
        if bare and named_by_suffix:
            yield "ENTITY_WITH_NO_LABEL", f"without a label: {', '.join(bare)}"
        for entity, label in parts.entities.items():
            wanted = self.formats.get(entity)
            if wanted and not wanted.fullmatch("NOENTITY" if label is None else label):
                yield "INVALID_ENTITY_LABEL", f"{entity} takes {wanted.pattern}"

    def _rebuilt(self, parts: _Parts) -> str:
        known = [
            f"{entity}-{parts.entities[entity] or 'NOENTITY'}"
            for entity in self.order
            if entity in parts.entities
        ]
        return "_".join([*known, parts.suffix + parts.extension])


def _could_be(rule: _Rule, parts: _Parts) -> bool:
    return (rule.extensions is None or parts.extension in rule.extensions) and (
        rule.entities is None or parts.entities.keys() <= rule.entities
    )


def _broken(rule: _Rule, path: str, parts: _Parts, datatype: str) -> Iterable[Finding]:
    """How the name breaks one rule."""
    if rule.entities is not None:
        missing = [entity for entity in rule.required if entity not in parts.entities]
        if missing and "/" in path:  # what lies at the root is inherited, and need not say all
            yield "MISSING_REQUIRED_ENTITY", f"lacks {', '.join(missing)}"
        extra = [entity for entity in parts.entities if entity not in rule.entities]
        if extra:
            yield "ENTITY_NOT_IN_RULE", f"not allowed with {parts.suffix}: {', '.join(extra)}"
    if datatype and rule.datatypes is not None and datatype not in rule.datatypes:
        yield "DATATYPE_MISMATCH", f"{parts.suffix} does not belong into {datatype}"
    if rule.extensions is not None and parts.extension not in rule.extensions:
        yield (
            "EXTENSION_MISMATCH",
            f"{parts.extension or 'no extension'} is not among {', '.join(sorted(rule.extensions))}",
        )
    if not parts.entities.get("tpl"):
        yield from _misplaced(path, parts, "sub", "ses")
    if not parts.entities.get("sub"):
        yield from _misplaced(path, parts, "tpl", "cohort")


def _misplaced(path: str, parts: _Parts, top: str, below: str) -> Iterable[Finding]:
    label, under = (
        parts.entities[entity] or "NOENTITY" if entity in parts.entities else None for entity in (top, below)
    )
    if label and not path.startswith(f"{top}-{label}/" + (f"{below}-{under}/" if under else "")):
        yield "INVALID_LOCATION", f"does not lie in the folder of its {top} and {below}"
    if not label and path.startswith(f"{top}-"):
        yield "INVALID_LOCATION", f"lies in a {top} folder, and has no {top} in its name"
    if not under and f"/{below}-" in f"/{path}":
        yield "INVALID_LOCATION", f"lies in a {below} folder, and has no {below} in its name"


@lru_cache(maxsize=3)
def _rules(dataset_type: DatasetType) -> _Rules:
    from importlib.resources import files

    text = files("bidsschematools").joinpath("data/schema.json").read_text(encoding="utf-8")
    return _Rules(json.loads(text), dataset_type)
