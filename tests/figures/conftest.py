"""One variant of each kind, drawn once for all tests of this folder."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipeline.figures import style
from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw_variant
from tests import artefacts

CONFIG = FiguresConfig(dpi=60)
ODD_LABELS = ["$cash$", "_hidden", "<b>", "waltz"]


def draw(root: Path, variant: str, out: Path | None = None) -> list[dict[str, Any]]:
    """Draw a variant below `root`, into `out` or figures/<variant>."""
    out = out or root / "figures" / variant
    out.mkdir(parents=True, exist_ok=True)
    return [asdict(entry) for entry in draw_variant(variant, root, out, CONFIG)]


@pytest.fixture(autouse=True)
def paper_style() -> Iterator[None]:
    with style.paper_style():
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/, evaluation/, reference/ and figures/: a mel of two seeds, a conditional waveform, codes, a hierarchy."""
    root = tmp_path_factory.mktemp("data")
    make = {
        "mel_fake": {"kind": "mel", "seeds": (3, 1), "metrics": {"probe_accuracy": 0.54, "chance": 0.1}},
        "wave_fake": {"kind": "waveform", "conditional": True, "metrics": {"probe_accuracy": None}},
        "mel_codes": {"kind": "mel", "codebook": True, "metrics": {"perplexity": 12.5}},
        "wave_levels": {"kind": "waveform", "levels": ("z1", "z2")},
    }
    for variant, settings in make.items():
        artefacts.make_variant(root, variant, labels=ODD_LABELS, **settings)  # type: ignore[arg-type]
        draw(root, variant)
    return root
