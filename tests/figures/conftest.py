"""One mel and one waveform variant, drawn once for all tests of this folder."""

from pathlib import Path

import pytest

from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw
from tests import artefacts

CONFIG = FiguresConfig(dpi=60, griffin_lim_iterations=4)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/, evaluation/ and figures/ of mel_fake (two seeds) and wave_fake."""
    root = tmp_path_factory.mktemp("data")
    artefacts.make_variant(root, "mel_fake", "mel", seeds=(3, 1))
    artefacts.make_variant(root, "wave_fake", "waveform", labels=["$cash$", "_hidden", "<b>", "waltz"])
    for variant in ("mel_fake", "wave_fake"):
        out = root / "figures" / variant
        out.mkdir(parents=True)
        draw(variant, root / "models", root / "evaluation", out, CONFIG)
    return root
