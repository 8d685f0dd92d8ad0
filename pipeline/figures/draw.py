"""Draws all figures and renders all audio of a variant."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.core.artefacts import readable
from pipeline.core.process import cores
from pipeline.core.workspace import write_json
from pipeline.figures import style
from pipeline.figures.audio import start_clips, write_clips
from pipeline.figures.config import FiguresConfig
from pipeline.figures.registry import Entry, variant_figures
from pipeline.figures.variant_data import read_variant_data


def draw_variant(variant: str, data: Path, out: Path, config: FiguresConfig) -> list[Entry]:
    """Draw `variant` into the existing folder `out`: PNG and GIF files, audio/*.wav and figures.json.

    `data` has models/, vocoders/, evaluation/ and reference/. The result is the entries of figures.json.

    Raises:
        DataError: an artefact is missing, damaged or not finite.
    """
    variant_data = read_variant_data(variant, data)
    has_snapshots = any(w.kind == "original" for w in variant_data.snapshots)
    with readable(data / "evaluation" / variant / "examples.parquet"):
        if not variant_data.pairs or not variant_data.audio or not has_snapshots:
            raise ValueError("no examples or no snapshots to draw")
    entries = []
    # Audio is rendered while pictures are drawn. BLAS has one thread in all threads: see `griffin_lim`, whose own
    # limit would end with the first clip.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        clips = start_clips(variant_data, pool)
        with style.paper_style(variant_data.texts):
            for figure in variant_figures(variant_data):
                figure.write(out / figure.file, config.dpi)
                kind = "animation" if figure.file.endswith(".gif") else "image"
                entries.append(Entry(figure.file, figure.title, figure.caption, kind))
        entries += write_clips(clips, out)
    write_json(out / "figures.json", [asdict(entry) for entry in entries])
    return entries
