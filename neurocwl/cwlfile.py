"""CWL and YAML files, read as plain data and written for people or for engines."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load(file: Path) -> dict[str, Any]:
    """Read a CWL, YAML or JSON file as plain data; $include is left as it stands."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    text = file.read_text(encoding="utf-8")
    try:
        return dict(YAML(typ="safe").load(text))
    except YAMLError:  # libyaml refuses {type: int?}, which is YAML, and which cwltool reads
        return dict(YAML(typ="safe", pure=True).load(text))


def as_yaml(document: Mapping[str, Any]) -> str:
    """Readable YAML with literal blocks for long text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def readable(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: readable(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [readable(item) for item in value]
        return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value

    yaml, out = YAML(), io.StringIO()
    yaml.width = 110
    yaml.dump(readable(document), out)
    return out.getvalue()


def as_json(document: Mapping[str, Any]) -> str:
    """The document as JSON, which is YAML: every CWL engine takes it."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
