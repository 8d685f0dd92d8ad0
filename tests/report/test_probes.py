"""What the latents know, beside PCA of the same size and the variant's input."""

from pathlib import Path

from pipeline.report import table
from pipeline.report.pca import find_baselines
from pipeline.report.probes import add_probes
from tests import artefacts
from tests.report import inputs
from tests.report.inputs import make_params
from tests.report.parsed import write


def test_probes_stand_beside_those_of_pca_and_of_the_true_windows(tmp_path: Path) -> None:
    known = {"probe_key_accuracy": 0.3, "probe_key_accuracy_low": 0.2, "probe_key_accuracy_high": 0.4}
    known |= {"chance_key": 0.1, "probe_tempo_r2": -0.25}
    artefacts.make_data(tmp_path, [], ["waltz"])
    artefacts.make_variant(tmp_path, "mel_pca", "mel", components=70)
    artefacts.make_variant(tmp_path, "mel_a", "mel", metrics=known)
    artefacts.make_variant(tmp_path, "mel_b", "mel", metrics={"latent_dims": 60, "probe_pooled": True})
    inputs.make_reference(tmp_path, probe_accuracy=0.72, probe_key_accuracy=0.41)
    params = make_params("mel_pca", "mel_a", "mel_b", "mel_absent")
    rows = {row.variant: row for row in table.read_rows(tmp_path, params)}
    add_probes(list(rows.values()), find_baselines(list(rows.values())))
    assert rows["mel_a"]["probe_accuracy_pca"] == 0.49 and rows["mel_b"]["probe_accuracy_pca"] is None
    assert rows["mel_a"]["probe_accuracy_statistics"] == rows["true mel"]["probe_accuracy"] == 0.72
    assert rows["mel_absent"].numbers == {"mel_mse_relative": None} and rows["true mel"]["probe_accuracy_pca"] is None
    page = write(tmp_path, params)
    assert "label 62.0 % 49.0 % 72.0 % 25.0 % key 30.0 % 20.0–40.0 – 41.0 % 10.0 % tempo, R² -0.250 – – –" in page.text
    assert page.text.count("What linear probes read out") == 3 and page.text.count("pooled over time") == 1
    card = (tmp_path / "report" / "cards" / "mel_a.md").read_text()
    assert "right for 62.0\N{NO-BREAK SPACE}% and 72.0\N{NO-BREAK SPACE}% of the windows" in card


def test_a_source_that_knows_only_the_label_has_no_other_probes(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [], ["waltz"])
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    page = write(tmp_path, make_params("mel_a"))
    assert "label 62.0 % – – 25.0 %" in page.text and "tempo, R²" not in page.text
