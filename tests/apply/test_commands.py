"""The commands that apply a variant: what they write and print, and their errors."""

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
from pipeline.cli.apply import show_progress
from pipeline.core import arrays
from tests.apply.variants import DENSE, GAUSSIAN, describe, save
from tests.recordings import chord


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "models"
    save(folder, "wave", describe("waveform", GAUSSIAN, DENSE))
    save(folder, "mel", describe("mel", GAUSSIAN, DENSE))
    save(folder, "same", describe("waveform"))
    save(folder, "mean", describe("waveform", {"type": "linear", "latent": 0}))
    save(folder, "labelled", describe("waveform", GAUSSIAN, DENSE, labels=("jazz", "rock")))
    for seed in (3, 12):
        save(folder, "several", describe("waveform", GAUSSIAN, DENSE), seed)
    (folder / "mel" / "seed-0.partial").mkdir()  # left by a killed training
    (folder / "mel" / "seed-0.partial" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two recordings in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MELISMA_DEBUG", raising=False)
    for number, name in enumerate(("a.wav", "b.wav")):
        soundfile.write(name, chord(number, 1.2, 8000), 8000)
    return tmp_path


@pytest.fixture
def melisma(models, folder):
    def run(command):
        return CliRunner().invoke(app, [*command.split(), "--models", str(models), "--device", "cpu"])

    return run


def test_reconstruct(melisma):
    result = melisma("reconstruct a.wav --variant same -o out.wav")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "out.wav: 1.20 s at 8000 Hz (same, seed 0, cpu)\nnothing above 2000 Hz: the input of same has 4000 Hz\n"
    )
    before, after = (soundfile.read(name, dtype="float32")[0] for name in ("a.wav", "out.wav"))
    assert len(before) == len(after) and np.corrcoef(before, after)[0, 1] > 0.99


def test_json_and_quiet(melisma):
    values = json.loads(melisma("reconstruct a.wav --variant mel -o out.wav --json").stdout)
    assert (values["variant"], values["seed"], values["device"]) == ("mel", 0, "cpu")
    expected = {"path": "out.wav", "seconds": 1.2, "rate": 8000, "bandwidth_hz": 2000, "notes": []}
    assert values["files"] == [expected | {"gain_db": values["files"][0]["gain_db"]}]
    assert melisma("encode a.wav --variant mel -o o.parquet --quiet").output == ""


@pytest.mark.parametrize(
    "command",
    [
        "perturb a.wav --variant wave --scale 0.5",
        "transfer a.wav --variant labelled --to rock",
        "interpolate a.wav b.wav --variant mel --steps 3 --mode slerp --at 0 0.5",
        "interpolate a.wav b.wav --variant labelled --from jazz --to rock",
    ],
)
def test_commands_that_write_a_wav_file(melisma, command):
    result = melisma(f"{command} -o out.wav")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("out.wav: ")
    assert soundfile.info("out.wav").samplerate == 8000


def test_sample_and_encode(melisma, folder):
    first, *_, last = melisma("sample --variant mel -n 2 -o drawn").stdout.splitlines()
    assert first.startswith("drawn: 2 files of 0.50 s at 8000 Hz")
    assert last == "peak of the mels: 25.0 dB (typical of music; the training data are not here)"
    assert sorted(file.name for file in (folder / "drawn").iterdir()) == ["sample-0.wav", "sample-1.wav"]
    result = melisma("encode a.wav b.wav --variant wave -o latents.parquet --json")
    assert json.loads(result.stdout)["windows"] == len(arrays.read(folder / "latents.parquet")) == 6


def test_clipping_is_reported(melisma, monkeypatch):
    monkeypatch.setattr(convert, "reconstruct", lambda variant, label: lambda x: 8 * x)
    assert "turned down so that nothing clips: -" in melisma("reconstruct a.wav --variant same -o out.wav").stdout


def test_a_truncated_recording_is_reported(melisma, folder):
    (folder / "a.wav").write_bytes((folder / "a.wav").read_bytes()[:10_000])
    for command, output in (("reconstruct", "out.wav"), ("encode", "out.parquet")):
        printed = melisma(f"{command} a.wav --variant wave -o {output}").stdout
        assert "a.wav: ends after 0.62 s, its header says 1.20 s" in printed
    assert soundfile.info("out.wav").frames == (10_000 - 44) // 2


def test_what_stage_windows_would_reject_is_reported_in_its_words(melisma, folder):
    audio = chord(0, 12.0, 8000)
    nan, opposite = audio.copy(), np.stack([audio, -audio], 1)
    nan[50_000] = np.nan
    for sound, words in (
        (nan, "1 of 24 windows of 0.5 s are non_finite, the first at 6 s: NaN or infinite in 1 of 4,000 samples"),
        (32768 * audio, "24 of 24 windows of 0.5 s are out_of_range, the first at 0 s: "),
        (opposite, "24 of 24 windows of 0.5 s are silent, the first at 0 s: every sample is 0"),
    ):
        soundfile.write("a.wav", sound, 8000, subtype="FLOAT")
        for command in ("reconstruct a.wav", "interpolate a.wav b.wav", "encode a.wav"):
            output = "out.parquet" if command.startswith("encode") else "out.wav"
            result = melisma(f"{command} --variant wave -o {output}")
            assert result.exit_code == 0
            assert f"a.wav: {words}" in result.stdout, result.stdout
    soundfile.write("a.wav", np.zeros(9600), 8000)
    printed = melisma("reconstruct a.wav --variant wave -o out.wav").stdout
    assert "a.wav: 3 of 3 windows of 0.5 s are silent" in printed  # also the short one at the end
    soundfile.write("a.wav", opposite[:2000], 8000)
    printed = melisma("interpolate a.wav b.wav --variant wave -o o.wav").stdout
    assert "a.wav: 1 of 1 windows of 0.5 s are silent" in printed


def test_nan_at_the_very_end_is_reported_but_not_a_quiet_end(melisma, folder):
    audio = chord(0, 1.2, 8000)
    for value, is_reported in ((np.nan, True), (0.0, False)):
        audio[-800:] = value
        soundfile.write("a.wav", audio, 8000, subtype="FLOAT")
        result = melisma("reconstruct a.wav --variant wave -o out.wav")
        assert ("a.wav: 1 of 3 windows of 0.5 s are non_finite, the first at 1 s" in result.stdout) is is_reported
        assert "silent" not in result.stdout


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch, capsys):
    with show_progress(False) as on_progress:
        on_progress(Path("song.wav"), 1.0, 2.0)
    assert capsys.readouterr().err == ""  # a minute has not passed
    monkeypatch.setattr("pipeline.cli.apply.PROGRESS_INTERVAL", 0.0)
    for quiet, printed in ((False, "  song.wav: 1 of 2 s\n"), (True, "")):
        with show_progress(quiet) as on_progress:
            on_progress(Path("folder/song.wav"), 1.0, 2.0)
        assert capsys.readouterr().err == printed
    monkeypatch.setattr("sys.stderr", Terminal())
    with show_progress(False) as on_progress:
        on_progress(Path("song.wav"), 1.0, 2.0)
        on_progress(Path("song.wav"), 3.0, 2.0)  # longer than its header says
        assert "song.wav: 1 of 2 s |" in sys.stderr.getvalue() and "song.wav: 3 of 3 s |" in sys.stderr.getvalue()


def test_the_lowest_seed_is_the_default(melisma):
    for option, printed in (("", "several, seed 3"), (" --seed 12", "several, seed 12")):
        assert printed in melisma(f"reconstruct a.wav --variant several -o out.wav{option}").stdout


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("reconstruct a.wav --variant wav", 2, "did you mean 'wave'?"),
        ("reconstruct a.wav --variant ../models/mel", 2, "not trained in"),
        ("reconstruct a.wav --variant several --seed 4", 2, "has the seeds 3, 12"),
        ("reconstruct a.wav --variant mel --label jazz", 2, "variant mel has no labels"),
        ("reconstruct none.wav --variant mel", 2, "none.wav: no such file"),
        ("reconstruct . --variant mel", 2, "name the audio files in it"),
        ("reconstruct broken.wav --variant mel", 1, "broken.wav: undecodable: Invalid data found"),
        ("perturb a.wav --variant mean --scale 1", 2, "variant mean has no latent"),
        ("perturb a.wav --variant mel --scale nan", 2, "--scale"),
        ("transfer a.wav --variant labelled --to jaz", 2, "did you mean 'jazz'?"),
        ("transfer a.wav --variant labelled --to rock --from x", 2, "--from x: no label of"),
        ("interpolate a.wav b.wav --variant mel --at 0 9", 2, "b.wav ends after 1.20 s"),
        ("interpolate a.wav b.wav --variant mel --mode cubic", 2, "--mode"),
        ("interpolate a.wav b.wav --variant mel --steps 1", 2, "--steps"),
    ],
)
def test_errors_are_one_line_and_leave_no_file(melisma, folder, command, code, reason):
    (folder / "broken.wav").write_bytes(b"nothing")
    result = melisma(f"{command} -o out.wav")
    assert result.exit_code == code, result.output
    assert reason in result.stderr and "Traceback" not in result.output
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.lower().startswith("error: ")] == lines[-1:]
    assert {file.name for file in folder.iterdir()} == {"a.wav", "b.wav", "broken.wav"}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a.wav", "that is the input"),
        ("out.mp3", "end its name with .wav"),
        ("none/out.wav", "there is no folder none"),
    ],
)
def test_invalid_outputs(melisma, folder, output, reason):
    before = (folder / "a.wav").read_bytes()
    result = melisma(f"reconstruct a.wav --variant mel -o {output}")
    assert result.exit_code == 2 and reason in result.stderr
    assert (folder / "a.wav").read_bytes() == before


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_missing_device(models, folder, device):
    arguments = ["reconstruct", "a.wav", "--variant", "mel", "-o", "out.wav", "--models", str(models)]
    result = CliRunner().invoke(app, [*arguments, "--device", device])
    assert result.exit_code == 2 and f"--device {device}" in result.stderr


def test_the_default_models_are_those_of_the_project(folder):
    result = CliRunner().invoke(app, ["sample", "--variant", "mel", "-o", "out"])
    assert result.exit_code == 1 and "go to the project's folder" in result.stderr
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).touch()
    result = CliRunner().invoke(app, ["sample", "--variant", "mel", "-o", "out"])
    assert result.exit_code == 2 and "no trained variant; `dvc repro` trains" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_file(melisma, folder, monkeypatch, number, code):
    def interrupted(variant, label):
        return lambda x: signal.raise_signal(number)

    monkeypatch.setattr(convert, "reconstruct", interrupted)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert melisma("reconstruct a.wav --variant mel -o out.wav").exit_code == code
    assert {file.name for file in folder.iterdir()} == {"a.wav", "b.wav"}
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
