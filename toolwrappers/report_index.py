"""One page that leads to every participant's report.

Usage: report_index.py RESULTS OUT. RESULTS holds the reports (.html) at their paths; OUT/reports.html links to
them by the same relative paths, so that it works wherever it lies beside them. Needs Python 3 alone.
"""

from __future__ import annotations

import html
import re
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

UNLINKED = ("http:", "https:", "data:", "mailto:", "javascript:")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:sans-serif;margin:2em}}td,th{{padding:.2em 1em;text-align:left}}</style></head>
<body><h1>{title}</h1>
<table><thead><tr><th>report</th><th>title</th><th>figures</th></tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


class Report(HTMLParser):
    """A report's title, and the files that it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.figures: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a figure."""
        self._in_title = tag == "title" and not self.title
        known = dict(attrs)
        shown = (
            known.get("data") if tag == "object" else known.get("src") if tag in ("img", "iframe") else None
        )
        if shown and not shown.startswith(("#", "/", *UNLINKED)):
            self.figures.append(shown)

    def handle_data(self, data: str) -> None:
        """Note the title."""
        if self._in_title:
            self.title, self._in_title = " ".join(data.split()), False


def natural(path: str) -> list[tuple[int, str]]:
    """A key that sorts sub-2 before sub-10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"(\d+)", path)]


def index(results: Path) -> str:
    """The page for all reports below a folder."""
    rows = []
    for path in sorted((f.relative_to(results).as_posix() for f in results.rglob("*.html")), key=natural):
        report = Report()
        report.feed((results / path).read_text(encoding="utf-8", errors="replace"))
        link = urllib.parse.quote(path)
        cells = (
            f'<a href="{link}">{html.escape(path)}</a>',
            html.escape(report.title),
            str(len(report.figures)),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return PAGE.format(title=f"{len(rows)} reports", rows="\n".join(rows))


def main() -> int:
    """Write the page."""
    results, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    (out / "reports.html").write_text(index(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
