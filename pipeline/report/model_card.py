"""A model card of each variant in Markdown, after Mitchell et al., "Model Cards for Model Reporting" (2019)."""

from pathlib import Path

from pipeline.report.data_card import Card
from pipeline.report.page import environment
from pipeline.report.table import Row
from pipeline.report.text import digits, hertz, percent
from pipeline.report.variant_section import Part


def write(parts: list[Part], rows: list[Row], data: Card, commit: str | None, out: Path) -> dict[str, str]:
    """Write <out>/<variant>.md for each of `parts`, and return the texts by variant.

    Args:
        parts: what is known of each variant.
        rows: of the comparison, for the ceilings.
        data: what it was trained and scored on.
        commit: of the code, None where it is not known.
        out: folder to make.
    """
    out.mkdir()
    template = environment().get_template("model_card.md.j2")
    texts = {}
    for part in parts:
        ceiling = next((r for r in rows if r.role == "ceiling" and r.representation == part.row.representation), None)
        text = template.render(part=part, row=part.row, data=data, commit=commit, limits=limits(part.row, ceiling))
        texts[part.row.variant] = text
        (out / f"{part.row.variant}.md").write_text(text, encoding="utf-8")
    return texts


def limits(row: Row, ceiling: Row | None) -> list[str]:
    """What the variant cannot do, as far as its numbers tell."""
    found = []
    if row.collapsed:
        found.append(f"It has collapsed: {row.collapse_reason or 'the evaluation gives no reason'}.")
    if row["reach_hz"] is not None:
        found.append(f"It has nothing above {hertz(row['reach_hz'])}, where its input ends.")
    if ceiling is not None and ceiling["mel_mse"]:
        found.append(
            f"Its input itself loses something: the true windows have an error of {digits(ceiling['mel_mse'])} on the "
            "common log-mel."
        )
    if row.kind == "mel":
        heard = ceiling["audio_stft_distance"] if ceiling is not None else None
        bound = f": the true spectrograms then have an STFT distance of {digits(heard)}" if heard is not None else ""
        found.append(f"It has no phase; sound is made of its spectrograms by an inversion, which one hears{bound}.")
    found += [f"{said}." for said in row.generation]
    if row["mel_mse_relative"] is not None and row["mel_mse_relative"] >= 1:
        found.append("It does no better than the mean of the training windows.")
    if row["probe_accuracy"] is not None and row["chance"] is not None and row["probe_accuracy"] < 2 * row["chance"]:
        found.append(
            f"Its latent says little about the label: a linear probe names {percent(row['probe_accuracy'])} rightly, "
            f"chance {percent(row['chance'])}."
        )
    found += [f"Beside the latent its decoder is given more: {said}." for said in row.remarks]
    return found
