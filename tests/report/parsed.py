"""The report of a folder of artefacts, as its HTML parses."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pipeline.report.build import build


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style and script."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.tags if found == tag and name in attributes]


def write(data: Path, settings: dict[str, Any], name: str = "report") -> Page:
    """Build the report of `data` in its folder `name`."""
    out = data / name
    out.mkdir()
    build(data, settings, out)
    return Page((out / "index.html").read_text(encoding="utf-8"))
