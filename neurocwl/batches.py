"""Many small images in one job: which of them go together, so that a new one moves no other far.

A list that is too long is cut before the member whose path has the lowest hash (its first one aside), each part
again until none is too long. So cuts depend on the paths near them alone, not on how many images there are.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
FIRST = "batch-0"


def batches(
    items: Sequence[Item], path: Callable[[Item], str], most: int
) -> list[tuple[str, tuple[Item, ...]]]:
    """(name, members) of each batch, in the order of paths; none has more than `most` members.

    A batch is called after its first path, the very first always batch-0. After a path was added or removed all
    batches are as before but those next to it: the members of changed ones number at most twice `most`, and one.
    """
    ordered = sorted(items, key=path)
    marks = [hashlib.sha256(path(item).encode(errors="surrogateescape")).hexdigest() for item in ordered]
    starts: list[int] = []
    pending = [(0, len(ordered))] if ordered else []
    while pending:
        start, end = pending.pop()
        if end - start <= most:
            starts.append(start)
            continue
        cut = min(range(start + 1, end), key=marks.__getitem__)
        pending += [(cut, end), (start, cut)]
    ends = [*starts[1:], len(ordered)]
    return [
        (f"batch-{marks[start][:12]}" if start else FIRST, tuple(ordered[start:end]))
        for start, end in zip(starts, ends, strict=False)
    ]
