"""Contents of results.json."""

import copy
import json
from pathlib import Path
from typing import Any

SETTINGS = {"network.type": "conv2d", "bottleneck.type": "gaussian"}
FILE: dict[str, Any] = {
    "format": 1,
    "melisma": "0.1.0",
    "commit": "0123abc",
    "source": "gtzan",
    "seeds": [0],
    "protocol": {"version": 1, "windows.seconds": 5.0, "common log-mel.bands": 128, "evaluate.audio_windows": 12},
    "test": {"fingerprint": "t", "windows": 108, "recordings": 18},
    "training": {"fingerprint": "v", "windows": 612, "recordings": 102},
    "representations": {
        "mel128": {"kind": "mel", "sample_rate": 22050, "bands": 128},
        "wave3k": {"kind": "waveform", "sample_rate": 3000},
    },
    "rows": [],
}


def row(variant: str, error: float | None, role: str = "variant", **numbers: float) -> dict[str, Any]:
    """A row with the error `mel_mse`; its input is a waveform if its name says so."""
    representation, kind = ("wave3k", "waveform") if "wave" in variant else ("mel128", "mel")
    errors = {} if error is None else {"mel_mse": error, "mel_mse_low": 0.9 * error, "mel_mse_high": 1.1 * error}
    return {
        "variant": variant,
        "role": role,
        "representation": representation,
        "kind": kind,
        "input": "128 × 216",
        "seeds": [0],
        "settings": {} if role == "ceiling" else SETTINGS,
        "numbers": errors | numbers,
    }


def content(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A file with these rows; a change such as `protocol={"evaluate.audio_windows": 24}` is merged into the section."""
    values = copy.deepcopy(FILE) | {"rows": list(rows)}
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    return values


def write(path: Path, *rows: dict[str, Any], **changes: Any) -> Path:
    """Write such a file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content(*rows, **changes)), encoding="utf-8")
    return path
