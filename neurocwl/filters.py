"""Which files of a dataset: conditions on entities, BIDS filter files, and sidecars by inheritance."""

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from neurocwl.bidsnames import DATATYPES, ENTITIES, SIDECARS, File, Shape
from neurocwl.errors import BadInput

Value = str | int | None
Where = Mapping[str, Value | list[Value]]

ANY: Final = "*"  # the entity is there, whatever its label

# fMRIPrep hands filters to pybids, which has names of its own for some entities (pybids, bids.json).
_ALIASES: Final = {"inv": "inversion", "mt": "mtransfer", "proc": "processing", "staining": "stain"}
_FIELDS: Final = frozenset({*ENTITIES.values(), "datatype", "suffix", "extension"})
# niworkflows.utils.bids.DEFAULT_BIDS_QUERIES; other BIDS Apps share the file format and add names.
QUERIES: Final = frozenset({"bold", "dwi", "flair", "fmap", "pet", "roi", "sbref", "t1w", "t2w", "asl"})
# pybids' Query enum as fMRIPrep writes it into its own configuration, and may be met in a saved filter.
_QUERY: Final[Mapping[str, Value]] = {
    "<Query.NONE: 1>": None,
    "<Query.ANY: 2>": ANY,
    "<Query.REQUIRED: 2>": ANY,
}
# Files that describe another one without sharing its suffix, and what they may say beyond its name
# (schema.meta.associations of BIDS 1.11, and the pages on physiological recordings, ASL and PET).
_ASSOCIATED: Final[Mapping[str, frozenset[str]]] = {
    "events": frozenset(),
    "channels": frozenset(),
    "coordsystem": frozenset({"space"}),
    "electrodes": frozenset({"space"}),
    "optodes": frozenset({"space"}),
    "aslcontext": frozenset(),
    "asllabeling": frozenset(),
    "blood": frozenset({"recording"}),
    "physio": frozenset({"recording"}),
    "physioevents": frozenset({"recording"}),
    "stim": frozenset({"recording"}),
}


def matches(file: File, where: Where) -> bool:
    """Whether the file meets every condition of `where`.

    Keys: long entity names, datatype, suffix, extension. Values: a string is the label itself ("run" by
    number: "1" is run-01); an int is a label by its number; None: the entity is absent; "*": it is there;
    a list: any of these, an empty one no condition. So pybids reads them.
    """
    return all(
        _is_one_of(key, _field(file, key), wanted if isinstance(wanted, list) else [wanted])
        for key, wanted in where.items()
    )


def selector(where: Where) -> Callable[[File], bool]:
    """`matches` for many files: a test that judges each kind of name once."""
    by_name = {key: value for key, value in where.items() if key not in ("subject", "session", "datatype")}
    by_place = {key: value for key, value in where.items() if key not in by_name}
    known: dict[Shape, bool] = {}

    def selects(file: File) -> bool:
        shape = file.shape
        verdict = known.get(shape)
        if verdict is None:
            verdict = known[shape] = matches(file, by_name)
        return verdict and (not by_place or matches(file, by_place))

    return selects


def _field(file: File, key: str) -> str | None:
    if key == "datatype":
        return file.datatype or None
    if key == "suffix":
        return file.suffix
    if key == "extension":
        return file.extension
    return file.entity(key)


def _is_one_of(key: str, label: str | None, wanted: Collection[Value]) -> bool:
    return not wanted or any(_is(key, label, value) for value in wanted)


def _is(key: str, label: str | None, value: Value) -> bool:
    if value is None or label is None:
        return label is value
    if value == ANY:
        return True
    if isinstance(value, int):
        return label.isdecimal() and int(label) == value
    if key == "run" and label.isdecimal() and value.isdecimal():
        return int(label) == int(value)
    return label == value


def read_filter_file(path: Path) -> dict[str, dict[str, Value | list[Value]]]:
    """The queries of a BIDS filter file as fMRIPrep's --bids-filter-file takes it.

    {"t1w": {"session": "01", "acquisition": null}, "bold": {...}}; see `matches` for the values.
    fMRIPrep skips what it does not know in silence; here each such thing raises BadInput.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}): name an existing BIDS filter file"
        ) from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not UTF-8: save it as JSON in UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: is not JSON: {error}: correct it there") from None
    return parse_filters(content, str(path))


def parse_filters(content: object, source: str) -> dict[str, dict[str, Value | list[Value]]]:
    """As `read_filter_file`, from the JSON value; `source` names it in messages."""
    example = 'write {"bold": {"session": "01"}}'
    if not isinstance(content, dict):
        raise BadInput(f"{source}: holds {_show(content)}, not an object of queries: {example}")
    filters = {}
    for query, conditions in content.items():
        if query not in QUERIES:
            raise BadInput(f"{source}: no query is named {_show(query)}: {_suggest(query, QUERIES)}")
        if not isinstance(conditions, dict):
            raise BadInput(f"{source}: {query} is {_show(conditions)}, not an object of entities: {example}")
        filters[query] = {
            _key(key, f"{source}: {query}"): _value(value, f"{source}: {query}.{key}")
            for key, value in conditions.items()
        }
        _check(filters[query], f"{source}: {query}")
    return filters


def _key(key: str, where: str) -> str:
    name = _ALIASES.get(key, key)
    if name in _FIELDS:
        return name
    if key in ENTITIES:
        raise BadInput(f"{where}: the entity {key}- is written by its long name: {ENTITIES[key]}")
    raise BadInput(f"{where}: no entity is named {_show(key)}: {_suggest(key, _FIELDS)}")


def _value(value: Any, where: str) -> Value | list[Value]:
    if isinstance(value, list):
        return [_single(item, where) for item in value]
    return _single(value, where)


def _single(value: Any, where: str) -> Value:
    if isinstance(value, str):
        if value in _QUERY:
            return _QUERY[value]
        if "Query" in value:
            raise BadInput(
                f'{where}: {_show(value)} is not known: write null (entity absent) or "*" (entity there)'
            )
        return value
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise BadInput(f"{where}: {_show(value)} is no label: write a string, a number, null, or a list of these")


def _check(conditions: Mapping[str, Value | list[Value]], where: str) -> None:
    """Refuse what can never match: the prefix given with the label, an extension without its dot."""
    for key, value in conditions.items():
        for label in value if isinstance(value, list) else [value]:
            if not isinstance(label, str) or label == ANY:
                continue
            prefix = next((short for short, name in ENTITIES.items() if name == key), None)
            if prefix and label.startswith(f"{prefix}-"):
                fixed = label.removeprefix(f"{prefix}-")
                raise BadInput(f"{where}.{key}: {_show(label)} has its prefix: write {_show(fixed)}")
            if key == "extension" and not label.startswith("."):
                raise BadInput(f"{where}.extension: {_show(label)} lacks its dot: write {_show('.' + label)}")
            if key == "datatype" and label not in DATATYPES:
                raise BadInput(f"{where}.datatype: {_show(label)}: {_suggest(label, DATATYPES)}")


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean {close[0]}?" if close else f"choose from {', '.join(sorted(known))}"


def sidecars(file: File, candidates: Iterable[File]) -> tuple[File, ...]:
    """The candidates that say something about `file` by the inheritance principle, widest first.

    .json, .tsv, .bval and .bvec in the file's own folder or one above it, whose entities are among the
    file's own: of the same suffix, or of one that accompanies it (events, channels, physio, aslcontext...;
    their .json and .tsv.gz as well). All levels are returned: nearer ones override wider ones, key by key.
    Folder-like recordings count as one file, beside which the sidecars lie.
    """
    home = _folder(file)
    entities = file.entities
    found = []
    for other in candidates:
        if other.extension not in SIDECARS and other.extension != ".tsv.gz":
            continue
        if other.path == file.path or not home.startswith(_folder(other)) or not other.fits:
            continue
        extra = _ASSOCIATED.get(other.suffix)
        if other.suffix == file.suffix:
            extra = frozenset()
        if extra is None or (other.extension == ".tsv.gz" and other.suffix not in _ASSOCIATED):
            continue
        if all(
            entities.get(key) == label or (key in extra and key not in entities)
            for key, label in other.entities.items()
        ):
            found.append(other)
    return tuple(sorted(found, key=lambda other: (other.path.count("/"), other.path)))


def _folder(file: File) -> str:
    path = file.recording or file.path
    return path[: path.rfind("/") + 1]
