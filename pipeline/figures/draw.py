"""All figures and audio of one variant, and the list of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.core.errors import DataError
from pipeline.core.process import cores
from pipeline.core.workspace import write_json
from pipeline.figures import clips, registry, style
from pipeline.figures.config import FiguresConfig
from pipeline.figures.entries import entry
from pipeline.figures.registry import Picture
from pipeline.figures.variant_data import AGAIN, load


def draw(
    variant: str, models: Path, evaluation: Path, reference: Path, out: Path, config: FiguresConfig, iterations: int
) -> list[dict[str, Any]]:
    """Draw `variant` into the folder `out`: PNG and GIF files, audio/*.wav and figures.json.

    Args:
        variant: its name below `models` and `evaluation`, the folders of all variants.
        models: holds <variant>/seed-<n>/history.csv and snapshots.parquet.
        evaluation: holds <variant>/config.json, metrics.json, latents.parquet, examples.parquet and audio.parquet, and
            of some variants sizes.parquet, dimensions.parquet or codes.parquet.
        reference: holds reference.json, examples.parquet and ceiling/<representation>/examples.parquet.
        out: an existing folder.
        config: resolution.
        iterations: of Griffin-Lim, for what was not heard in evaluation.

    Returns:
        What figures.json holds, an `entry` for each file.

    Raises:
        DataError: an input is missing, damaged or not finite.
    """
    inputs = load(variant, models, evaluation, reference)
    if not inputs.pairs or not inputs.heard or not any(w.kind == "original" for w in inputs.snapshots):
        raise DataError(f"{evaluation / variant}: there are no examples or no snapshots to draw; {AGAIN}")
    entries = []
    # Audio is rendered while pictures are drawn. Each thread's products run alone: `mel_to_audio` says why, and its own
    # limit would end with the first of them.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        heard = clips.begin(inputs, pool, iterations)
        with style.look():
            for picture in registry.of(inputs):
                if isinstance(picture, Picture):
                    style.save(picture.draw(), out / picture.file, config.dpi, picture.has_spectra)
                else:
                    picture.write(out / picture.file, config.dpi)
                kind = "image" if isinstance(picture, Picture) else "animation"
                entries.append(entry(picture.file, picture.title, picture.caption, kind))
        entries += clips.write(heard, out)
    write_json(out / "figures.json", entries)
    return entries
