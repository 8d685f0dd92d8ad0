"""The commands: what they write and print, and in how few words they refuse."""

import io
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from pipeline.apply import convert
from pipeline.cli import app
from pipeline.cli.progress import progress
from pipeline.core import arrays
from tests.apply.variants import DENSE, GAUSSIAN, described, save
from tests.recordings import chord

KINDS = {"wave": "waveform", "mel": "mel"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "models"
    for name, kind in KINDS.items():
        save(folder, name, described(kind, GAUSSIAN, DENSE))
    save(folder, "same", described("waveform"))
    save(folder, "mean", described("waveform", {"type": "linear", "latent": 0}))
    save(folder, "labelled", described("waveform", GAUSSIAN, DENSE, labels=("jazz", "rock")))
    for seed in (3, 12):
        save(folder, "several", described("waveform", GAUSSIAN, DENSE), seed)
    (folder / "mel" / "seed-0.partial").mkdir()  # what a training that was killed leaves
    (folder / "mel" / "seed-0.partial" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with two recordings in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MELISMA_DEBUG", raising=False)
    for number, name in enumerate(("a.wav", "b.wav")):
        soundfile.write(name, chord(number, 1.2, 8000), 8000)
    return tmp_path


@pytest.fixture
def melisma(models, here):
    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--models", str(models), "--device", "cpu"])

    return run


def test_reconstruct(melisma, here):
    result = melisma("reconstruct", "a.wav", "--variant", "same", "-o", "out.wav")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "out.wav: 1.20 s at 8000 Hz (same, seed 0, cpu)\nnothing above 2000 Hz: same hears 4000 samples a second\n"
    )
    own, found = (soundfile.read(name, dtype="float32")[0] for name in ("a.wav", "out.wav"))
    assert len(own) == len(found) and np.corrcoef(own, found)[0, 1] > 0.99


def test_json_and_quiet(melisma, here):
    result = melisma("reconstruct", "a.wav", "--variant", "mel", "-o", "out.wav", "--json")
    printed = json.loads(result.stdout)
    assert (printed["variant"], printed["seed"], printed["device"]) == ("mel", 0, "cpu")
    file = printed["files"][0]
    assert file == {
        "path": "out.wav",
        "seconds": 1.2,
        "rate": 8000,
        "reach_hz": 2000,
        "gain_db": file["gain_db"],
        "notes": [],
    }
    assert melisma("encode", "a.wav", "--variant", "mel", "-o", "o.parquet", "--quiet").output == ""


def test_every_command_writes_what_it_says(melisma, here):
    for arguments in (
        ("perturb", "a.wav", "--variant", "wave", "--scale", 0.5, "-o", "perturbed.wav"),
        ("transfer", "a.wav", "--variant", "labelled", "--to", "rock", "-o", "transferred.wav"),
        (
            "interpolate",
            "a.wav",
            "b.wav",
            "--variant",
            "mel",
            "--steps",
            3,
            "--mode",
            "slerp",
            "--at",
            0,
            0.5,
            "-o",
            "walk.wav",
        ),
        ("interpolate", "a.wav", "b.wav", "--variant", "labelled", "--from", "jazz", "--to", "rock", "-o", "other.wav"),
    ):
        result = melisma(*arguments)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith(f"{arguments[-1]}: ")
        assert soundfile.info(arguments[-1]).samplerate == 8000
    result = melisma("sample", "--variant", "mel", "-n", 2, "-o", "drawn")
    first, *_, last = result.stdout.splitlines()
    assert first.startswith("drawn: 2 files of 0.50 s at 8000 Hz")
    assert last == "level of the mels' peaks: 25.0 dB (usual for music; no data to ask)"
    assert sorted(file.name for file in (here / "drawn").iterdir()) == ["sample-0.wav", "sample-1.wav"]
    result = melisma("encode", "a.wav", "b.wav", "--variant", "wave", "-o", "latents.parquet", "--json")
    assert json.loads(result.stdout)["windows"] == len(arrays.read(here / "latents.parquet")) == 6


def test_what_would_clip_is_said(melisma, monkeypatch):
    monkeypatch.setattr(convert, "reconstruct", lambda trained, label: lambda x: 8 * x)
    result = melisma("reconstruct", "a.wav", "--variant", "same", "-o", "out.wav")
    assert "turned down so that nothing clips: -" in result.stdout


def test_a_recording_that_was_cut_short_is_said(melisma, here):
    (here / "a.wav").write_bytes((here / "a.wav").read_bytes()[:10_000])
    for command, output in (("reconstruct", "out.wav"), ("encode", "out.parquet")):
        printed = melisma(command, "a.wav", "--variant", "wave", "-o", output).stdout
        assert "a.wav ends after 0.62 s, though its header says 1.20 s" in printed
    assert soundfile.info("out.wav").frames == (10_000 - 44) // 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch, capsys):
    with progress(False) as on_read:
        on_read(Path("song.wav"), 1.0, 2.0)
    assert capsys.readouterr().err == ""  # the minute is not over
    monkeypatch.setattr("pipeline.cli.progress.SAID", 0.0)
    for quiet, said in ((False, "  song.wav: 1 of 2 s\n"), (True, "")):
        with progress(quiet) as on_read:
            on_read(Path("folder/song.wav"), 1.0, 2.0)
        assert capsys.readouterr().err == said
    monkeypatch.setattr("sys.stderr", Terminal())
    with progress(False) as on_read:
        on_read(Path("song.wav"), 1.0, 2.0)
        on_read(Path("song.wav"), 3.0, 2.0)  # longer than its header says
        assert "song.wav: 1 of 2 s |" in sys.stderr.getvalue() and "song.wav: 3 of 3 s |" in sys.stderr.getvalue()


def test_seeds(melisma):
    for arguments, said in (((), "several, seed 3"), (("--seed", 12), "several, seed 12")):
        assert said in melisma("reconstruct", "a.wav", "--variant", "several", "-o", "out.wav", *arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (
            ("reconstruct", "a.wav", "--variant", "wav"),
            2,
            "did you mean 'wave'? trained are: labelled, mean, mel, same",
        ),
        (("reconstruct", "a.wav", "--variant", "../models/mel"), 2, "not trained in"),
        (("reconstruct", "a.wav", "--variant", "several", "--seed", 4), 2, "has the seeds 3, 12"),
        (("reconstruct", "a.wav", "--variant", "mel", "--label", "jazz"), 2, "variant mel knows no labels"),
        (("reconstruct", "none.wav", "--variant", "mel"), 2, "none.wav: no such file"),
        (("reconstruct", ".", "--variant", "mel"), 2, "name the audio files in it"),
        (("reconstruct", "broken.wav", "--variant", "mel"), 1, "broken.wav: undecodable: Format not recognised."),
        (("perturb", "a.wav", "--variant", "mean", "--scale", 1), 2, "variant mean has no latent"),
        (("perturb", "a.wav", "--variant", "mel", "--scale", "nan"), 2, "--scale"),
        (("transfer", "a.wav", "--variant", "mel", "--to", "rock"), 2, "variant mel knows no labels"),
        (
            ("transfer", "a.wav", "--variant", "labelled", "--to", "jaz"),
            2,
            "did you mean 'jazz'? known are: jazz, rock",
        ),
        (("transfer", "a.wav", "--variant", "labelled", "--to", "rock", "--from", "x"), 2, "--from x: no label of"),
        (("interpolate", "a.wav", "b.wav", "--variant", "mel", "--at", 0, 9), 2, "b.wav ends after 1.20 s"),
        (("interpolate", "a.wav", "b.wav", "--variant", "mel", "--mode", "cubic"), 2, "--mode"),
        (("interpolate", "a.wav", "b.wav", "--variant", "mel", "--steps", 1), 2, "--steps"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(melisma, here, arguments, code, reason):
    (here / "broken.wav").write_bytes(b"nothing")
    result = melisma(*arguments, "-o", "out.wav")
    assert result.exit_code == code, result.output
    assert reason in result.stderr and "Traceback" not in result.output
    assert [
        line for line in result.stderr.splitlines() if line.lower().startswith("error: ")
    ] == result.stderr.splitlines()[-1:]
    assert {file.name for file in here.iterdir()} == {"a.wav", "b.wav", "broken.wav"}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a.wav", "that is the input"),
        ("out.mp3", "end its name so"),
        ("none/out.wav", "there is no folder none"),
    ],
)
def test_outputs_that_cannot_be(melisma, here, output, reason):
    before = (here / "a.wav").read_bytes()
    result = melisma("reconstruct", "a.wav", "--variant", "mel", "-o", output)
    assert result.exit_code == 2 and reason in result.stderr
    assert (here / "a.wav").read_bytes() == before


def test_a_device_that_is_not_there(models, here):
    arguments = ["reconstruct", "a.wav", "--variant", "mel", "-o", "out.wav", "--models", str(models), "--device"]
    for device in ("cuda:99", "nonsense"):
        result = CliRunner().invoke(app, [*arguments, device])
        assert result.exit_code == 2 and f"--device {device}" in result.stderr


def test_without_models_the_project_is_asked(here):
    result = CliRunner().invoke(app, ["sample", "--variant", "mel", "-o", "out"])
    assert result.exit_code == 1 and "go to the project's folder" in result.stderr
    for name in ("params.yaml", "dvc.yaml"):
        (here / name).touch()
    result = CliRunner().invoke(app, ["sample", "--variant", "mel", "-o", "out"])
    assert result.exit_code == 2 and "no trained variant; `dvc repro` trains" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_written(melisma, here, monkeypatch, number, code):
    def interrupted(trained, label):
        def change(x):
            signal.raise_signal(number)

        return change

    monkeypatch.setattr(convert, "reconstruct", interrupted)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert melisma("reconstruct", "a.wav", "--variant", "mel", "-o", "out.wav").exit_code == code
    assert {file.name for file in here.iterdir()} == {"a.wav", "b.wav"}
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
