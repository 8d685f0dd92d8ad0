"""A model card of each variant in Markdown, after Mitchell et al., "Model Cards for Model Reporting" (2019)."""

from pathlib import Path
from typing import Any

from jinja2 import Template

from pipeline.report.formatting import digits, hertz, percent
from pipeline.report.table import Row


def write_model_cards(
    out: Path, template: Template, sections: list[dict[str, Any]], rows: list[Row], **content: Any
) -> None:
    """Write <out>/<variant>.md, and put its text into the section as "model_card"; `rows` has the ceilings."""
    out.mkdir()
    ceilings = {row.representation: row for row in rows if row.role == "ceiling"}
    for section in sections:
        row = section["row"]
        limits = find_limits(row, ceilings.get(row.representation))
        section["model_card"] = template.render(section=section, row=row, limits=limits, **content)
        (out / f"{row.variant}.md").write_text(section["model_card"], encoding="utf-8")


def find_limits(row: Row, ceiling: Row | None) -> list[str]:
    """Sentences on the limits that the metrics of a variant show."""
    limits = []
    if row.collapsed:
        limits.append(f"It has collapsed: {row.collapse_reason or 'the evaluation gives no reason'}.")
    if row["reach_hz"] is not None:
        limits.append(f"Its output has no frequencies above {hertz(row['reach_hz'])}, because its input has none.")
    if ceiling is not None and ceiling["mel_mse"]:
        error = digits(ceiling["mel_mse"])
        limits.append(f"Its input loses information: the true windows have an MSE of {error} on the common log-mel.")
    if row.kind == "mel":
        distance = ceiling["audio_stft_distance"] if ceiling is not None else None
        limits.append("It has no phase: an inversion turns its spectrograms into audio and adds audible artefacts.")
        if distance is not None:
            limits[-1] += f" The audio of the true spectrograms has an STFT distance of {digits(distance)}."
    limits += [f"{note}." for note in row.generation]
    if row["mel_mse_relative"] is not None and row["mel_mse_relative"] >= 1:
        limits.append("It is not better than predicting the mean of the training windows.")
    accuracy, chance = row["probe_accuracy"], row["chance"]
    if accuracy is not None and chance is not None and accuracy < 2 * chance:
        limits.append(
            f"Its latent contains little information about the label: a linear probe is right for {percent(accuracy)} "
            f"of the windows (chance {percent(chance)})."
        )
    limits += [f"Its decoder has another input besides the latent: {name}." for name in row.extra_inputs]
    return limits
