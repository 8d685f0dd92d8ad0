"""The order of the rows, which rows are one, and the CSV file."""

import csv
import io

from pipeline.board.table import BoardRow, merge, to_csv
from pipeline.report.results import Results
from tests.board.contents import content, row


def merged(**files: dict) -> list[BoardRow]:
    return merge({name: Results.model_validate(values) for name, values in files.items()})


def test_rows_are_ranked_by_the_common_error_and_only_rivals_have_a_place() -> None:
    rows = merged(
        a=content(row("b", 0.02), row("unscored", None), row("pca", 0.01, "baseline"), row("flat", 0.015, collapsed=1)),
        b=content(row("a", 0.03), row("c", 0.005), row("true mel128", 0.0, "ceiling")),
    )
    names = ["true mel128", "c", "pca", "flat", "b", "a", "unscored"]
    assert [r.variant for r in rows] == names
    assert [r.place for r in rows] == [None, 1, None, None, 2, 3, None]


def test_equal_rows_are_one_and_name_their_files() -> None:
    rows = merged(
        a=content(row("pca", 0.01, "baseline"), row("v", 0.02)),
        b=content(row("pca", 0.01 + 1e-10, "baseline"), row("v", 0.021)),
        c=content(row("pca", 0.01001, "baseline"), row("v", 0.02) | {"settings": {"network.type": "fc"}}),
    )
    assert [(r.variant, r.files) for r in rows] == [
        ("pca", ("a", "b")),
        ("pca", ("c",)),
        ("v", ("a",)),
        ("v", ("c",)),
        ("v", ("b",)),
    ]


def test_an_input_of_the_same_name_but_another_config_is_another_input() -> None:
    other = {"wave3k": {"kind": "waveform", "sample_rate": 4000}, "same": content()["representations"]["mel128"]}
    rows = merged(
        a=content(row("wave_a", 0.01), row("mel_a", 0.02)),
        b=content(row("wave_b", 0.03), row("mel_b", 0.04) | {"representation": "same"}, representations=other),
    )
    assert [r.representation for r in rows] == ["wave3k", "mel128", "wave3k (b)", "mel128"]


def test_shared_bands_are_left_out_if_builds_share_other_bands() -> None:
    def files(hertz: float) -> list[BoardRow]:
        shared = {"mel_mse_shared": 0.01, "shared_hz": 1500.0}
        return merged(a=content(row("a", 0.1, **shared)), b=content(row("b", 0.2, **shared | {"shared_hz": hertz})))

    assert [r["mel_mse_shared"] for r in files(1500.0)] == [0.01, 0.01]
    assert [r["mel_mse_shared"] for r in files(2000.0)] == [None, None]


def test_the_csv_has_all_numbers_and_no_formula() -> None:
    rows = merged(**{"=SUM(1)": content(row("@a", 0.02, unknown=-3.5, mse=1e-7)), "b": content(row("b", 0.01))})
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [(line["place"], line["variant"], line["from"]) for line in lines] == [
        ("1", "b", "b"),
        ("2", "'@a", "'=SUM(1)"),
    ]
    assert [lines[1][name] for name in ("unknown", "mse", "mel_mse", "kl")] == ["-3.5", "1e-07", "0.02", ""]
    assert lines[1]["input"] == "mel 128 × 216"
