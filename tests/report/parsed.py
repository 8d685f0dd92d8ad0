"""Build the report of a data folder and parse its HTML."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pipeline.report.build import build


class Page(HTMLParser):
    """The tags with their attributes, and the text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(re.sub("</?bdi>", "", html))  # within words, such as the parts of a path

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for other, attributes in self.tags if other == tag and name in attributes]


def write(data: Path, params: dict[str, Any], name: str = "report") -> Page:
    """Build the report of `data` in its subfolder `name`."""
    out = data / name
    out.mkdir()
    build(data, params, out)
    return Page((out / "index.html").read_text(encoding="utf-8"))
