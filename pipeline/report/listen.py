"""The Listen section: the same excerpt as original, as ceilings and from every variant, at one gain."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline.core.artefacts import read_json, read_table, readable
from pipeline.core.workspace import CHOICE_FILE
from pipeline.report.figures import Clip
from pipeline.report.formatting import digits
from pipeline.report.table import Row


def find_examples(rows: list[Row], clips: dict[str, list[Clip]], reference: Path) -> list[dict[str, Any]]:
    """Every excerpt that was drawn: the original, one ceiling per input, and the variants in the order of `rows`.

    `reference` holds examples.parquet with the track and the start in seconds; DataError if it is damaged.
    """
    drawn = [row for row in rows if row.variant in clips]
    numbers = sorted({clip.example for row in drawn for clip in clips[row.variant] if clip.role == "original"})
    if not numbers:
        return []
    path = reference / "examples.parquet"
    table = read_table(path, ["example", "track_id", "start_seconds"])
    with readable(path):
        origins = {number: table[table["example"] == number].iloc[0] for number in numbers}
    examples = []
    for number in numbers:
        by_role = [(row, {clip.role: clip for clip in clips[row.variant] if clip.example == number}) for row in drawn]
        by_role = [(row, roles) for row, roles in by_role if "original" in roles]
        label, origin, versions = by_role[0][1]["original"].label, origins[number], _versions(by_role)
        examples.append({"label": label, "track": origin.track_id, "start": origin.start_seconds, "versions": versions})
    return examples


def describe_inversions(rows: list[Row], vocoders: Path) -> list[str]:
    """A sentence for each mel representation: what turns it into audio, and why."""
    sentences = []
    for name in dict.fromkeys(row.representation for row in rows if row.kind == "mel"):
        path = vocoders / name / CHOICE_FILE
        if not path.is_file():
            continue
        choice = read_json(path)
        with readable(path):
            griffin_lim = f"Griffin-Lim with {choice['iterations']} iterations"
            ways = {"vocoder": "a vocoder", "griffin_lim": griffin_lim}
            used = ways.pop(choice["uses"])
            sentence = f"Mels of {name} become audio by {used}"
            if choice.get("scores"):
                scores = {way: _distances(of) for way, of in choice["scores"].items()}
                sentence += f": on validation windows it has {scores.pop(choice['uses'])}"
                sentence += "".join(f"; {ways[way]} has {text}" for way, text in scores.items())
        sentences.append(f"{sentence}.")
    return sentences


def _distances(scores: dict[str, float]) -> str:
    mel, stft = (digits(scores[f"audio_{kind}_distance"]) for kind in ("mel", "stft"))
    return f"a mel distance of {mel} and an STFT distance of {stft}"


def _versions(by_role: list[tuple[Row, dict[str, Clip]]]) -> list[dict[str, Any]]:
    """The buttons: name, small print, sound, and the gain that matches it to the others."""
    first, first_roles = by_role[0]
    # The files of a variant share one gain, which is lower if one of them would clip: match all to the quietest.
    gains = {row.variant: _gain(roles["original"], first_roles["original"]) for row, roles in by_role}
    quietest = min(gains.values())

    def version(name: str, detail: str, clip: Clip, row: Row, role: str) -> dict[str, Any]:
        gain = round(quietest / gains[row.variant], 4)
        return {"name": name, "detail": detail, "clip": clip, "gain": gain, "role": role}

    versions = [version("original", "", first_roles["original"], first, "original")]
    ceilings: dict[str, tuple[Row, Clip]] = {}
    for row, roles in by_role:
        if "ceiling" in roles:
            ceilings.setdefault(row.representation, (row, roles["ceiling"]))
    versions += [version("ceiling", name, clip, row, "ceiling") for name, (row, clip) in ceilings.items()]
    for row, roles in by_role:
        if "reconstruction" in roles:
            error = digits(row["mel_mse"]) if row["mel_mse"] is not None else ""
            versions.append(version(row.variant, error, roles["reconstruction"], row, row.role))
    return versions


def _gain(clip: Clip, base: Clip) -> float:
    """The gain of `clip` relative to `base`, which contains the same audio."""
    if clip.sound == base.sound:
        return 1.0
    a, b = (soundfile.read(one.path, dtype="float32")[0] for one in (clip, base))
    if a.shape != b.shape:  # different sample rates
        return 1.0
    energy = float(np.dot(b, b))
    gain = float(np.dot(a, b)) / energy if energy else 1.0
    return gain if gain > 0 else 1.0
