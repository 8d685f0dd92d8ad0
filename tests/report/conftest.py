"""One data folder and its report, for all tests that only read them."""

from pathlib import Path

import pytest

from tests import artefacts
from tests.report import inputs
from tests.report.parsed import Page, write

HTML_LABEL = '<b>"&'
LONG_NAME = "wave_collapsed_of_a_very_long_name_without_a_space"
NAMES = ("mel_mean", "mel_a", "mel_b", LONG_NAME, "wave_c", "mel_absent")
REJECTED = [
    {"path": "jig/<i>.wav", "start_seconds": None, "reason": "unreadable", "detail": "not a recording"},
    {"path": "waltz/0.wav", "start_seconds": 10.0, "reason": "silent", "detail": "RMS -71 dB", "seconds": 5.0},
    {"path": "waltz/1.wav", "start_seconds": 15.0, "reason": "silent", "detail": None, "seconds": 5.0},
    {"path": "waltz/1.wav", "start_seconds": 20.0, "reason": "truncated", "detail": "ends", "seconds": 90.0},
]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline, four variants, one of them collapsed, and rows of stage reference; `mel_absent` has no results."""
    data = tmp_path_factory.mktemp("data")
    artefacts.make_data(data, REJECTED, [HTML_LABEL, "waltz"])
    artefacts.make_variant(data, "mel_mean", "mel", components=0, metrics={"mel_mse": 0.03})
    artefacts.make_variant(data, "mel_a", "mel", amount=0.1, epochs=20, seeds=(0, 1))
    artefacts.make_variant(data, "mel_b", "mel", amount=0.15, epochs=100)
    collapsed = {"collapsed": True, "collapse_reason": "active units under 5 %", "elbo": None, "kl": None}
    artefacts.make_variant(data, LONG_NAME, "waveform", amount=0.9, metrics=collapsed)
    artefacts.make_variant(data, "wave_c", "waveform", metrics={"bandwidth_hz": 1500.0, "probe_accuracy": 0.3})
    for name, error in (("mel_a", 0.006), ("mel_b", 0.014), (LONG_NAME, 0.03), ("wave_c", 0.02)):
        inputs.make_windows(data, name, error)
    for name in ("mel_a", LONG_NAME, "wave_c"):
        inputs.make_figures(data, name, transfers=True)
    inputs.make_reference(data)
    inputs.make_others(data)
    inputs.make_vocoder(data, "vocoder", vocoder=0.5, griffin_lim=0.75)
    return data


@pytest.fixture(scope="session")
def page(data: Path) -> Page:
    return write(data, inputs.make_params(*NAMES))
