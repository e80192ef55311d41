"""A receipt is believed only when it can be: a damaged one is one unit's trouble, and none reaches outside the output."""

import json
from pathlib import Path
from typing import Any

import pytest

from neurocwl import receipts
from neurocwl.errors import InfrastructureError
from neurocwl.storage import Folder

GOOD: dict[str, Any] = {
    "receipt": 1,
    "unit": "sub-01",
    "participant": "01",
    "session": None,
    "status": "done",
    "reason": "",
    "task_key": "k",
    "run": "r",
    "attempt": "a",
    "pipeline": "p",
    "rehearsal": False,
    "exit_code": 0,
    "committed": "2026-01-01T00:00:00+00:00",
    "manifest": [{"path": "sub-01/x", "size": 1, "sha256": "0", "etag": "0"}],
    "shared": [],
    "earlier": None,
    "attempts": [{"attempt": "a", "run": "r", "status": "done", "exit_code": 0, "reason": "", "logs": []}],
}


def test_a_whole_receipt_is_read() -> None:
    assert receipts.parse(json.dumps(GOOD).encode(), "t", "here").manifest[0].path == "sub-01/x"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "great"},
        {"manifest": [{"path": "sub-01/x", "size": "1", "sha256": "0", "etag": "0"}]},
        {"manifest": [{"path": "../victim", "size": 1, "sha256": "0", "etag": "0"}]},
        {"manifest": [{"path": "/etc/victim", "size": 1, "sha256": "0", "etag": "0"}]},
        {"shared": [{"path": "a/../../victim"}]},
        {"attempts": [{}]},
        {"receipt": 2},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_a_receipt_with_a_wrong_value_is_refused_and_named(change: dict[str, Any]) -> None:
    with pytest.raises(InfrastructureError, match="here"):
        receipts.parse(json.dumps({**GOOD, **change}).encode(), "t", "here")


def test_a_damaged_receipt_hides_no_other_unit(tmp_path: Path) -> None:
    for unit, text in (("sub-01", "{"), ("sub-02", json.dumps({**GOOD, "unit": "sub-02"}))):
        folder = tmp_path / ".neurocwl" / "units" / unit
        folder.mkdir(parents=True)
        (folder / "receipt.json").write_text(text)
    states = receipts.read_states(Folder(tmp_path))
    assert "sub-01/receipt.json is damaged" in states["sub-01"].damaged
    assert states["sub-02"].receipt
