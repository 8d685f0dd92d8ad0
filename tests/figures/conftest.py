"""One variant of each kind, drawn once for all tests of this folder."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw
from tests import artefacts

CONFIG = FiguresConfig(dpi=60)
ITERATIONS = 4  # of Griffin-Lim
ODD = ["$cash$", "_hidden", "<b>", "waltz"]
PROBED, UNPROBED = {"probe_accuracy": 0.54, "chance": 0.1}, {"probe_accuracy": None}


def drawn(root: Path, variant: str, out: Path | None = None) -> list[dict[str, Any]]:
    """Draw a variant below `root`, into figures/<variant> there or into `out`."""
    out = out or root / "figures" / variant
    out.mkdir(parents=True, exist_ok=True)
    places = (root / name for name in ("models", "evaluation", "reference"))
    return draw(variant, *places, out, CONFIG, ITERATIONS)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/, evaluation/, reference/ and figures/: a mel of two seeds, a conditional waveform, codes, a hierarchy."""
    root = tmp_path_factory.mktemp("data")
    artefacts.make_variant(root, "mel_fake", "mel", seeds=(3, 1), labels=ODD, metrics=PROBED)
    artefacts.make_variant(root, "wave_fake", "waveform", labels=ODD, conditional=True, metrics=UNPROBED)
    artefacts.make_variant(root, "mel_codes", "mel", labels=ODD, codebook=True, metrics={"perplexity": 12.5})
    artefacts.make_variant(root, "wave_levels", "waveform", labels=ODD, levels=("z1", "z2"))
    for variant in ("mel_fake", "wave_fake", "mel_codes", "wave_levels"):
        drawn(root, variant)
    return root
