"""Files as other programs leave them: what is read of them, and what is missing."""

import io
import struct
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from pipeline.audio.recording import MissingSound, Recording, UndecodableError
from tests.recordings import chord, encode_with_ffmpeg, tone


def read(path: Path, content: bytes) -> tuple[float, MissingSound | None]:
    """Seconds that are decoded, and what is missing."""
    path.write_bytes(content)
    with Recording(path) as recording:
        return sum(map(len, recording.blocks())) / recording.rate, recording.missing


def encode(kind: str, subtype: str, seconds: float = 4.0, rate: int = 16000, seed: int = 0) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, chord(seed, seconds, rate), rate, format=kind, subtype=subtype)
    return content.getvalue()


def with_sizes(wav: bytes, riff: int, data: int) -> bytes:
    """A WAV with other sizes in its header."""
    at = wav.index(b"data") + 4
    return wav[:4] + struct.pack("<I", riff) + wav[8:at] + struct.pack("<I", data) + wav[at + 4 :]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("m4a", "aac"),
        ("m4a", "alac"),
        ("adts", "aac"),
        ("wma", "wmav2"),
        ("mp2", "mp2"),
        ("wv", "wavpack"),
        ("tta", "tta"),
        ("mka", "libopus"),
        ("webm", "libopus"),
        ("mp4", "aac"),
        ("avi", "mp2"),
        ("ac3", "ac3"),
        ("caf", "alac"),
    ],
)
def test_the_formats_of_music_folders_are_read(tmp_path, suffix, codec):
    rate = {"libopus": 48000, "ac3": 48000, "wmav2": 44100}.get(codec, 16000)
    content = encode_with_ffmpeg(suffix, codec, chord(0, 20.0, rate), rate)
    seconds, missing = read(tmp_path / f"a.{suffix}", content)
    assert seconds == pytest.approx(20.0, abs=0.2) and missing is None
    half = len(content) // 2
    if suffix not in ("m4a", "mp4", "caf"):  # their index is at the end, so nothing can be read
        seconds, missing = read(tmp_path / f"a.{suffix}", content[:half] + bytes(half))
        assert seconds == pytest.approx(10.0, abs=2.5) and missing.seconds == pytest.approx(20.0 - seconds, abs=0.5)


PCM = [
    *(("wav", "WAV", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT", "IMA_ADPCM", "ULAW")),
    *(("w64", "W64", "PCM_16"), ("wav", "RF64", "PCM_16"), ("aiff", "AIFF", "PCM_16"), ("au", "AU", "PCM_16")),
]


@pytest.mark.parametrize(("suffix", "kind", "subtype"), [*PCM, ("flac", "FLAC", "PCM_16"), ("caf", "CAF", "ALAC_16"),
                                                         ("mp3", "MP3", "MPEG_LAYER_III")])  # fmt: skip
def test_a_file_that_was_cut_off_is_read_up_to_its_end_and_the_rest_is_missing(tmp_path, suffix, kind, subtype):
    content = encode(kind, subtype)
    seconds, missing = read(tmp_path / f"a.{suffix}", content[: len(content) // 2])
    assert seconds == pytest.approx(2.0, abs=0.4)
    assert missing.seconds == pytest.approx(4.0 - seconds, abs=0.15)
    assert missing.detail.startswith(f"ends after {seconds:.2f} s, its header says ")


UNKNOWN = [0, 2**31, 2**31 - 1, 2**31 - 4096, 2**31 - 44, 2**32 - 1, 2**32 - 2, 2**32 - 4096]


@pytest.mark.parametrize("data", UNKNOWN)
@pytest.mark.parametrize("riff", [None, 0, 36, 2**32 - 1])  # None: 36 more than the samples
def test_a_size_that_stands_for_unknown_is_no_promise(tmp_path, data, riff):
    wav = with_sizes(encode("WAV", "PCM_16"), min(data + 36, 2**32 - 1) if riff is None else riff, data)
    assert read(tmp_path / "a.wav", wav) == (4.0, None)


class Pipe:
    """A file in which nothing can be written twice."""

    name = "a"

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, part: bytes) -> int:
        self.content += part
        return len(part)


@pytest.mark.parametrize("kind", ["wav", "aiff", "au", "w64", "caf", "flac", "ogg", "mp3", "matroska", "tta"])
def test_what_ffmpeg_writes_to_a_pipe_is_read(tmp_path, kind):
    pipe, codec = Pipe(), {"flac": "flac", "ogg": "flac", "mp3": "libmp3lame", "tta": "tta"}.get(kind)
    codec = codec or ("pcm_s16be" if kind in ("aiff", "au", "caf") else "pcm_s16le")
    encode_with_ffmpeg(kind, codec, chord(0, 4.0, 16000), 16000, pipe)
    seconds, missing = read(tmp_path / f"a.{kind}", bytes(pipe.content))
    assert seconds == pytest.approx(4.0, abs=0.15) and missing is None


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**32 - 1, 0x7F000008])
def test_an_aiff_without_a_length_is_read(tmp_path, size):
    aiff = bytearray(encode("AIFF", "PCM_16"))
    for at in (4, aiff.index(b"SSND") + 4, aiff.index(b"COMM") + 10):
        aiff[at : at + 4] = struct.pack(">I", size)
    assert read(tmp_path / "a.aiff", bytes(aiff)) == (4.0, None)


@pytest.mark.parametrize("next_samples", [None, bytes(4000), b"abcdefgh"])
@pytest.mark.parametrize("claimed", [32_000, 100])
def test_a_wav_header_that_was_never_updated_loses_nothing(tmp_path, claimed, next_samples):
    wav = encode("WAV", "PCM_16")
    start = 44 + claimed
    wav = wav[:start] + (next_samples or wav[start : start + 8]) + wav[start + len(next_samples or bytes(8)) :]
    assert read(tmp_path / "a.wav", with_sizes(wav, claimed + 36, claimed)) == (4.0, None)


def test_a_read_error_costs_only_what_follows_it(tmp_path, monkeypatch):
    path = tmp_path / "a.flac"
    path.write_bytes(encode("FLAC", "PCM_16"))
    with Recording(path) as recording:
        packets = recording._container.demux()

        def fail():
            for number, packet in enumerate(packets):
                if number == 8:
                    raise OSError(5, "Input/output error")
                yield packet

        monkeypatch.setattr(recording, "_container", SimpleNamespace(demux=fail))
        recording._arrays = map(recording._to_array, recording._decode())
        assert sum(map(len, recording.blocks())) == pytest.approx(32_000, abs=4096)
        assert recording.missing.detail.startswith("cannot be read (Input/output error) after ")


@pytest.mark.parametrize("name", [b"LIST", b"id3 ", b"bext"])
def test_a_cover_after_the_samples_is_no_sound_and_not_missing(tmp_path, name):
    cover = np.random.default_rng(0).bytes(1_000_000)
    for kind, order in (("WAV", "<"), ("AIFF", ">")):
        content = encode(kind, "PCM_16")
        chunk = name + struct.pack(f"{order}I", len(cover)) + cover
        whole = content[:4] + struct.pack(f"{order}I", len(content) - 8 + len(chunk)) + content[8:] + chunk
        for case in (content + chunk, whole, whole[: len(content)]):  # the cover may be gone, but not its size
            assert read(tmp_path / f"a.{kind.lower()}", case) == (4.0, None)


def id3(size: int) -> bytes:
    """A tag with a cover of this size."""
    digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + digits + np.random.default_rng(0).bytes(size)


@pytest.mark.parametrize("has_xing", [True, False])
def test_tags_of_an_mp3_are_no_sound_and_not_missing(tmp_path, has_xing):
    mp3 = encode("MP3", "MPEG_LAYER_III")
    if not has_xing:  # the first frame holds it
        mp3 = mp3[mp3.index(mp3[:2], 100) :]
    plain, cover = read(tmp_path / "a.mp3", mp3)[0], np.random.default_rng(0).bytes(800_000)
    ape = b"APETAGEX" + struct.pack("<4I", 2000, len(cover), 1, 0xA0000000) + bytes(8) + cover
    for content in (id3(800_000) + mp3, mp3 + b"TAG" + bytes(125), mp3 + ape, mp3 + ape + b"TAG" + bytes(125)):
        seconds, missing = read(tmp_path / "a.mp3", content)
        assert seconds == pytest.approx(plain, abs=0.08) and missing is None
    seconds, missing = read(tmp_path / "a.mp3", id3(50_000) + mp3 + id3(50_000) + mp3)
    assert seconds == pytest.approx(2 * plain, abs=0.2) and missing is None


def test_a_flac_stream_without_a_length_is_read(tmp_path):
    flac = bytearray(encode("FLAC", "PCM_16"))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert read(tmp_path / "a.flac", bytes(flac)) == (4.0, None)


@pytest.mark.parametrize(
    ("suffix", "kind", "subtype"),
    [("mp3", "MP3", "MPEG_LAYER_III"), ("ogg", "OGG", "VORBIS"), ("opus", "OGG", "OPUS"), ("flac", "FLAC", "PCM_16")],
)  # fmt: skip
def test_joined_streams_are_read_to_their_end(tmp_path, suffix, kind, subtype):
    content = encode(kind, subtype, 2.0) + encode(kind, subtype, 4.0, seed=1)
    seconds, missing = read(tmp_path / f"a.{suffix}", content)
    assert seconds == pytest.approx(6.0, abs=0.2) and missing is None


@pytest.mark.parametrize(("suffix", "kind"), [("wav", "WAV"), ("aiff", "AIFF"), ("au", "AU")])
def test_a_second_file_that_cannot_be_read_is_missing(tmp_path, suffix, kind):
    second = encode(kind, "PCM_16", 4.0, seed=1)
    seconds, missing = read(tmp_path / f"a.{suffix}", encode(kind, "PCM_16", 2.0) + second)
    assert seconds == 2.0 and missing.seconds == pytest.approx(4.0, abs=0.01)
    assert missing.detail == f"{len(second):,} bytes more than the 2.00 s that can be read"


def test_a_chained_stream_with_another_sample_rate_is_read_up_to_there(tmp_path):
    content = encode("OGG", "VORBIS", 2.0) + encode("OGG", "VORBIS", 4.0, rate=44100)
    seconds, missing = read(tmp_path / "a.ogg", content)
    assert seconds == pytest.approx(2.0, abs=0.1) and missing.detail.endswith("after 2.00 s") and missing.seconds > 1


@pytest.mark.parametrize(
    ("suffix", "kind", "subtype", "detail"),
    [
        ("flac", "FLAC", "PCM_16", "has a gap of "),
        ("ogg", "OGG", "VORBIS", "has a gap of "),
        ("opus", "OGG", "OPUS", "has a gap of "),
        ("caf", "CAF", "ALAC_16", "has a gap of "),
    ],
)
def test_bad_bytes_cost_only_what_follows_them(tmp_path, suffix, kind, subtype, detail):
    content = bytearray(encode(kind, subtype, 20.0))
    start = len(content) * 7 // 10
    content[start : start + 3] = b"\xff\0\xaa"
    seconds, missing = read(tmp_path / f"a.{suffix}", bytes(content))
    assert 11 < seconds < 15 and missing.seconds == pytest.approx(20.0 - seconds, abs=1.0)
    assert missing.detail.startswith(detail) and missing.detail.endswith(f" after {seconds:.2f} s")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_a_big_endian_wav_is_no_noise(tmp_path, subtype):
    audio = chord(0, 4.0, 16000)
    soundfile.write(tmp_path / "a.wav", audio, 16000, subtype=subtype, endian="BIG")
    with Recording(tmp_path / "a.wav") as recording:
        np.testing.assert_allclose(np.concatenate(list(recording.blocks())), audio, atol=1e-4)


@pytest.mark.parametrize(("valid", "container"), [(16, 32), (20, 32), (24, 32), (16, 24)])
def test_a_wav_with_fewer_valid_bits_than_its_container_is_no_noise(tmp_path, valid, container):
    audio, size = chord(0, 4.0, 16000), container // 8
    samples = np.round(audio * 2 ** (valid - 1)).astype("<i8") << (container - valid)
    data = samples.view("u1").reshape(-1, 8)[:, :size].tobytes()
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16000, 16000 * size, size, container, 22, valid, 4) + guid
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with Recording(tmp_path / "a.wav") as recording:
        np.testing.assert_allclose(np.concatenate(list(recording.blocks())), audio, atol=1e-4)


def test_a_pause_between_timestamps_is_not_missing(tmp_path):
    with av.open(str(tmp_path / "a.mka"), "w") as container:
        stream = container.add_stream("flac", rate=16000)
        stream.layout = "mono"
        samples = (chord(0, 8.0, 16000) * 2**15).astype(np.int16)
        for number, start in enumerate(range(0, len(samples), 4000)):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 4000], "s16", "mono")
            frame.sample_rate, frame.pts = 16000, start + 16000 * (number >= 8)  # one second
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Recording(tmp_path / "a.mka") as recording:
        audio = np.concatenate(list(recording.blocks()))
        assert len(audio) >= len(samples) and (recording.missing is None or recording.missing.seconds < 1.1)


def test_a_matroska_that_was_cut_off_loses_the_rest(tmp_path):
    content = encode_with_ffmpeg("mka", "libopus", chord(0, 20.0, 48000), 48000)
    seconds, missing = read(tmp_path / "a.mka", content[: len(content) // 2])
    assert seconds == pytest.approx(10.0, abs=1.0) and missing.seconds == pytest.approx(20.0 - seconds, abs=0.5)


@pytest.mark.parametrize("filler", [0, 255])
def test_the_last_pages_of_an_ogg_are_missed(tmp_path, filler):
    content = encode_with_ffmpeg("ogg", "libopus", chord(0, 30.0, 48000), 48000)
    half = len(content) // 2
    seconds, missing = read(tmp_path / "a.ogg", content[:half] + bytes([filler]) * (len(content) - half))
    assert seconds == pytest.approx(15.0, abs=2.0) and missing.seconds == pytest.approx(30.0 - seconds, abs=3.0)


def test_a_bad_frame_of_an_mp3_is_skipped_as_players_do(tmp_path):
    content = bytearray(encode("MP3", "MPEG_LAYER_III", 20.0))
    start = len(content) * 7 // 10
    content[start : start + 300] = bytes(300)
    seconds, missing = read(tmp_path / "a.mp3", bytes(content))
    assert seconds == pytest.approx(20.0, abs=0.2) and (missing is None or missing.seconds < 0.3)


def test_a_playlist_opens_no_other_file(tmp_path):
    soundfile.write(tmp_path / "good.wav", tone(1.0), 22050)
    for content in (
        f"ffconcat version 1.0\nfile {tmp_path}/good.wav\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/good.wav\n#EXT-X-ENDLIST\n",
    ):
        (tmp_path / "a.wav").write_text(content)
        with pytest.raises(UndecodableError) as caught:
            Recording(tmp_path / "a.wav")
        assert caught.value.reason == "undecodable"


def test_names_are_no_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.wav", "pipe:0.wav", "http:__x.wav", "%03d.wav", "a?b#c.wav", " .wav", "-.wav"):
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(encode("WAV", "PCM_16"))
        with Recording(Path(name)) as recording:
            assert sum(map(len, recording.blocks())) == 64_000, name
