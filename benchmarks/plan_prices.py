"""A plan with prices: from a listing's entries to units, and from units to ranked node types."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from neurocwl import estimate, plan, prices, template
from neurocwl.bids import Entry, index
from neurocwl.plan import Request
from neurocwl.s3 import Access
from neurocwl.storage import open_location
from neurocwl.units import Selection

FILES = (
    "anat/{0}_T1w.nii.gz",
    "anat/{0}_T1w.json",
    "func/{0}_task-x_bold.nii.gz",
    "func/{0}_task-x_bold.json",
)


def entries(participants: int) -> list[Entry]:
    labels = [f"sub-{number:05}" for number in range(participants)]
    paths = [f"{label}/{file.format(label)}" for label in labels for file in FILES]
    return [Entry(path, 1000, f"etag-{path}") for path in paths]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--node-types", type=int, default=30, help="0: all")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args(argv)
    fmriprep = template.load("fmriprep")
    request = Request(fmriprep, Selection(), {}, fmriprep.image)
    listed = entries(chosen.units)
    names = list(prices.snapshot("us-east-1").nodes)[:: 5 if chosen.node_types else 1]
    wish = estimate.Wish("us-east-1", names[: chosen.node_types] if chosen.node_types else ())
    print(f"{chosen.units} units, {len(wish.node_types) or len(names)} node types")
    with tempfile.TemporaryDirectory() as empty:
        location = open_location(str(Path(empty)), Access())
        for _ in range(chosen.runs):
            begin = time.perf_counter()
            made = plan.make(index(listed), location, None, request, {})
            between = time.perf_counter()
            found = estimate.estimate(made, fmriprep, {}, {}, None, wish, Access())
            end = time.perf_counter()
            assert found is not None
            print(f"plan {between - begin:.2f} s, prices {end - between:.3f} s: {found.cheapest.node}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
