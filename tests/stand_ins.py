"""The arrays of a stand-in variant: what `tests/artefacts.py` writes of examples, audio, snapshots and reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soxr

from pipeline.audio.inversion import mel_to_audio
from pipeline.audio.representation import MelConfig, WaveformConfig, sample_count
from pipeline.core import arrays
from pipeline.core.workspace import write_json
from tests import artefacts

COMMON = MelConfig(sample_rate=22050, n_fft=2048, hop_length=512, bands=128)
STEPS = 5  # of a walk
SCALES = (0.0, 0.25, 0.5, 1.0)


class Arrays:
    """Windows of `seconds`, one of each of the first four labels, and what a model that blurs makes of them."""

    def __init__(
        self, config: MelConfig | WaveformConfig, seconds: float, labels: list[str], amount: float, conditional: bool
    ) -> None:
        self.config, self.seconds, self.labels, self.conditional = config, seconds, labels, conditional
        self.amount = amount
        self.originals = [self.window(i) for i in range(min(4, len(labels)))]

    def window(self, number: int) -> tuple[np.ndarray, float]:
        """The array that a model would see of the music with this number, and its peak in dB (0 for a waveform)."""
        return artefacts.unit(artefacts.music(number, self.config.sample_rate, self.seconds), self.config)

    def made(self, number: int) -> np.ndarray:
        """The reconstruction of an original."""
        return artefacts.blur(self.originals[number][0], self.amount)

    def examples(self, folder: Path, seeds: tuple[int, ...], has_latent: bool) -> None:
        """Write examples.parquet and audio.parquet."""
        rows: list[dict[str, Any]] = []
        stack: list[np.ndarray] = []

        def add(kind: str, array: np.ndarray, example: int, source: int | None = None, **more: Any) -> None:
            known = {} if source is None else {"window_id": source, "track_id": self.track(source)}
            peak = self.originals[source or 0][1] if isinstance(self.config, MelConfig) else np.nan
            plain = {"window_id": -1, "track_id": "", "label": "", "step": 0, "scale": np.nan}
            label = {} if source is None else {"label": self.labels[source]}
            rows.append({"kind": kind, "example": example, **plain, **known, **label, "peak_db": peak, **more})
            stack.append(array)

        many = len(self.originals)
        for i in range(many):
            add("original", self.originals[i][0], i, i)
            add("reconstruction", self.made(i), i, i)
        for step in range(3):
            worse = artefacts.blur(self.originals[step % many][0], 0.2 * step)
            add("extreme_original", self.originals[step % many][0], 0, step % many, step=step, scale=0.01 * step)
            add("extreme_reconstruction", worse, 0, step % many, step=step, scale=0.01 * step)
        if has_latent:
            for mode in ("linear", "slerp"):
                for step, share in enumerate(np.linspace(0, 1, STEPS)):
                    way = (1 - share) * self.made(0) + share * self.made(many - 1)
                    add(mode, way.astype(np.float32), 0, step=step, scale=share)
            for step, scale in enumerate(SCALES):
                moved = self.made(0) + 0.1 * scale * self.made(many - 1)
                add("perturbed", moved.astype(np.float32), 0, 0, step=step, scale=scale)
            for i in range(len(self.labels) if self.conditional else 4):
                drawn = artefacts.blur(self.window(9 + i)[0], 0.5)
                add("sample", drawn, i, label=self.labels[i] if self.conditional else "")
        if self.conditional:
            for step, label in enumerate(self.labels):
                add("transfer", artefacts.blur(self.originals[0][0], 0.1 * step % 1), 0, 0, step=step, label=label)
            for i in range(1, many):
                add("transfer", artefacts.blur(self.originals[i][0], 0.5), i, i, step=0, label=self.labels[0])
        table = pd.DataFrame(rows).assign(seed=seeds[0])
        arrays.write(folder / "examples.parquet", table.to_dict("list"), {"array": np.stack(stack)})
        heard = np.stack([self.heard(self.made(i), i) for i in range(many)])
        said = {"example": [*range(many)], "kind": ["reconstruction"] * many, "window_id": [*range(many)]}
        arrays.write(folder / "audio.parquet", said, {"audio": heard})

    def track(self, number: int) -> str:
        """Name of an original's recording."""
        return f"{self.labels[number]}/{self.labels[number]}-0{number}-1"

    def heard(self, array: np.ndarray, number: int) -> np.ndarray:
        """Audio at the common rate of an array on the variant's scale."""
        if isinstance(self.config, MelConfig):
            length = sample_count(self.seconds, COMMON.sample_rate)
            return mel_to_audio(array, self.originals[number][1], self.config, length, 1)
        return np.asarray(soxr.resample(array, self.config.sample_rate, COMMON.sample_rate), np.float32)

    def reference(self, folder: Path, representation: str) -> None:
        """Write reference/, or add the ceiling of a representation to it."""
        many, rate = len(self.originals), COMMON.sample_rate
        ids = [*range(many)]
        ceiling = folder / "ceiling" / representation
        if not ceiling.is_dir():
            ceiling.mkdir(parents=True)
            through = np.stack([self.heard(array, i) for i, (array, _) in enumerate(self.originals)])
            arrays.write(ceiling / "examples.parquet", {"example": ids, "window_id": ids}, {"audio": through})
        if (folder / "reference.json").is_file():
            return
        shown = {"example": [*ids, -1], "window_id": [*ids, many], "track_id": [*map(self.track, ids), self.track(0)]}
        shown |= {"label": [*self.labels[:many], self.labels[0]], "start_seconds": [5.0 * i for i in range(many + 1)]}
        audio = np.stack([artefacts.music(i, rate, self.seconds) for i in range(many + 1)])
        arrays.write(folder / "examples.parquet", shown, {"audio": audio})
        mels = np.stack([80 * (artefacts.unit(wave, COMMON)[0] - 1) for wave in audio]).astype(np.float16)
        plain = {name: values for name, values in shown.items() if name not in ("example", "start_seconds")}
        plain |= {"group": plain["track_id"], "peak_db": [0.0] * (many + 1)}
        arrays.write(folder / "windows.parquet", plain, {"mel": mels})
        described = {name: getattr(COMMON, name) for name in ("sample_rate", "n_fft", "hop_length", "bands")}
        more = {"examples": ids, "heard": [*ids, many], "labels": self.labels}
        write_json(folder / "reference.json", {"mel": described, "seconds": self.seconds, **more})

    def snapshots(self, path: Path, epochs: int) -> None:
        """Write snapshots.parquet: as float16, two fixed windows and nine samples at up to four epochs."""
        drawn = [self.window(20 + i)[0] for i in range(9)]
        fixed = [self.originals[i % len(self.originals)][0] for i in range(2)]
        rows: list[dict[str, Any]] = [{"kind": "original", "epoch": 0, "index": i} for i in range(2)]
        stack = [*fixed]
        for epoch in sorted({1, max(1, epochs // 4), max(1, epochs // 2), epochs}):
            rows += [{"kind": "reconstruction", "epoch": epoch, "index": i} for i in range(2)]
            rows += [{"kind": "sample", "epoch": epoch, "index": i} for i in range(9)]
            stack += [artefacts.blur(array, 1 - epoch / (1.2 * epochs)) for array in fixed]
            stack += [artefacts.blur(array, 1 - epoch / (1.5 * epochs)) for array in drawn]
        columns = pd.DataFrame(rows).to_dict("list")
        arrays.write(path, columns, {"array": np.stack(stack).astype(np.float16)})


def dimensions(path: Path, seeds: tuple[int, ...], dims: int, levels: tuple[str, ...]) -> None:
    """Write dimensions.parquet: in each level half of the dimensions are used, ever less, and half are not."""
    rows = []
    for seed in seeds:
        for level in levels:
            for i in range(dims // len(levels)):
                used = i % 2 == 0
                nats = 3 * np.exp(-i / 20) if used else 0.001
                rows.append({"seed": seed, "level": level, "dimension": i, "kl": nats, "active": used})
    pd.DataFrame(rows).assign(variance=lambda table: np.where(table["active"], 0.8, 0.0)).to_parquet(path, index=False)


def codes(path: Path, seeds: tuple[int, ...], number: int = 40) -> None:
    """Write codes.parquet: a codebook of which a quarter is never used."""
    code = np.arange(number)
    count = np.where(code % 4 == 0, 0, 1000 // (1 + code))
    tables = [pd.DataFrame({"seed": seed, "code": code, "count": count}) for seed in seeds]
    pd.concat(tables).to_parquet(path, index=False)
