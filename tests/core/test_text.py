"""Names that look the same are the same, in whatever characters a system writes them."""

import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.apply.variant import TrainedVariant
from pipeline.core.errors import ParamsError
from pipeline.core.params import suggest
from pipeline.core.text import normalise, normalise_path, printable
from pipeline.windows.table import select_labels

LINUX, MACOS = (unicodedata.normalize(form, "Música") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MACOS, LINUX),
        ("ガ", unicodedata.normalize("NFC", "ガ")),
        (" New\u00a0 Age\t", "New Age"),
        ("\ufeffjazz\u200b", "jazz"),
        ("\u202aja\u00adzz\u202c", "jazz"),
        ("two\nlines", "two lines"),
        (".38 Special", ".38 Special"),
        ("👩\u200d🎤", "👩\u200d🎤"),  # one emoji with the joiner, two without
        ("\u00a0", ""),
    ],
)
def test_normal_form(text, expected):
    assert normalise(text) == expected


def test_the_parts_of_a_path_are_normalised_each():
    assert normalise_path(f"{MACOS} /a\u00a0b/c.wav") == f"{LINUX}/a b/c.wav"


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text())
def test_normal_form_is_stable_and_messages_are_one_line(text):
    assert normalise(normalise(text)) == normalise(text)
    assert len(printable(text).splitlines()) <= 1 and printable(printable(text)) == printable(text)


def test_messages_escape_what_cannot_be_seen():
    assert printable("a\nb\x1b[31m\udcff Música") == "a\\nb\\x1b[31m\\udcff Música"


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("splits", ["split", "label"], "did you mean 'split'?"),
        ("LABEL", ["split", "label"], "did you mean 'label'?"),
        (unicodedata.normalize("NFD", "Músca"), [LINUX], f"did you mean '{LINUX}'?"),
        (MACOS, [LINUX, "rock"], f"'{LINUX}' only looks the same: copy its characters"),
        ("polka", ["rock", "jazz"], "known are: jazz, rock"),
        ("polka", [], "known are: none"),
    ],
)
def test_a_suggestion_compares_normal_forms(name, known, expected):
    assert suggest(name, known) == expected


@pytest.mark.parametrize(("stored", "typed"), [(LINUX, MACOS), (MACOS, LINUX), ("New\u00a0Age", "New Age")])
def test_labels_that_people_type_are_compared_in_normal_form(stored, typed):
    tracks = pd.DataFrame({"label": [stored, "rock"]})
    assert select_labels(tracks, [typed])["label"].tolist() == [stored]
    with pytest.raises(ParamsError, match="no recording has 'x'"):
        select_labels(tracks, ["x"])
    model = SimpleNamespace(labels=("a", stored), condition=object(), parameters=list, buffers=list)
    variant = TrainedVariant("v", 0, model, None, None, 1.0, Path())
    assert variant.label_index(typed, "--to").tolist() == [1]
