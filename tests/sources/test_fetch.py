"""Downloads: whole, resumed, verified, from the mirror that has it."""

import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.sources import fetch as module
from pipeline.sources import progress
from pipeline.sources.fetch import fetch
from pipeline.sources.files import audio_files
from tests.sources.server import Served

BODY = np.random.default_rng(0).bytes(500_000)
SUM = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
KEPT = f"{SUM[7:15]}-x.tar"  # the first digits tell apart files that mirrors call the same


def get(server, *paths: str, checksum: str = SUM):
    return fetch([server.url(p) for p in paths], checksum, "x.tar", "source.x.archive")


def downloads(project) -> list[str]:
    """What lies there, but for the lock."""
    return sorted(p.name for p in (project / ".melisma/downloads").iterdir() if not p.name.endswith(".lock"))


def offsets(server) -> list[int]:
    """The byte from which each request wanted the file."""
    return [int(asked[6:-1]) if asked else 0 for _, asked in server.asked]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
@pytest.mark.parametrize("length", [True, False])
def test_a_file_is_downloaded_verified_and_kept(project, server, kind, length):
    server.files["/x"] = Served(BODY, length=length)
    checksum = f"{kind}:{hashlib.new(kind, BODY).hexdigest()}"
    file = get(server, "/x", checksum=checksum)
    name = f"{checksum.partition(':')[2][:8]}-x.tar"
    assert file == project / ".melisma/downloads" / name and file.read_bytes() == BODY
    assert get(server, "/x", checksum=checksum) == file
    assert server.asked == [("/x", None)]  # once: the second time it was there
    assert downloads(project) == [name]


def test_a_kept_file_that_was_damaged_is_downloaded_again(project, server, capsys):
    server.files["/x"] = Served(BODY)
    file = get(server, "/x")
    file.write_bytes(BODY[:-1])
    assert get(server, "/x").read_bytes() == BODY
    assert len(server.asked) == 2 and "damaged" in capsys.readouterr().out


def test_a_dropped_transfer_goes_on_by_range(project, server):
    server.files["/x"] = Served(BODY, drop=[200_000, 150_000])
    assert get(server, "/x").read_bytes() == BODY
    first, second, third = offsets(server)
    assert first == 0 and 100_000 < second <= 200_000 and second < third <= second + 150_000


def test_what_an_earlier_run_left_is_resumed_also_from_another_mirror(project, server):
    server.files["/x"] = Served(BODY, drop=[200_000], drop_always=0)
    with pytest.raises(DataError, match="no mirror gave"):
        get(server, "/x")
    assert downloads(project) == [f"{KEPT}.part"]
    left = (project / ".melisma/downloads" / f"{KEPT}.part").stat().st_size
    server.asked.clear()
    server.files["/y"] = Served(BODY)
    assert get(server, "/gone", "/y").read_bytes() == BODY
    assert left > 100_000 and server.asked == [("/gone", f"bytes={left}-"), ("/y", f"bytes={left}-")]


def test_a_resumed_transfer_without_a_length_is_still_known_to_be_incomplete(project, server):
    """The range of the answer says how long the whole is."""
    server.files["/x"] = Served(BODY, length=False, drop=[100_000])
    (project / ".melisma/downloads").mkdir(parents=True)
    (project / ".melisma/downloads" / f"{KEPT}.part").write_bytes(BODY[:50_000])
    assert get(server, "/x").read_bytes() == BODY
    assert offsets(server) == [50_000, 150_000]


def test_pauses_grow_while_nothing_comes_and_start_again_after_progress(project, server, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    server.files["/x"] = Served(BODY, refuse=[500, 503, 408], drop=[200_000, 0])
    assert get(server, "/x").read_bytes() == BODY
    assert np.array(pauses) / module.PAUSE == pytest.approx([1, 2, 4, 1, 2])


def test_a_server_that_asks_for_a_pause_gets_it(project, server, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    server.files["/x"] = Served(BODY, refuse=[429, 429], headers={"Retry-After": "7"})
    get(server, "/x")
    assert pauses == [7, 7]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_mirror_without_the_file_is_left_at_once_for_the_next(project, server, status):
    server.files |= {"/old": Served(b"", refuse=[status]), "/x": Served(BODY)}
    assert get(server, "/old", "/x").read_bytes() == BODY
    assert [path for path, _ in server.asked] == ["/old", "/x"]


def test_a_page_in_place_of_the_file_leaves_what_is_here(project, server):
    part = project / ".melisma/downloads" / f"{KEPT}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:50_000])
    server.files["/x"] = Served(b"<html>Log in</html>", ranges=False, headers={"Content-Type": "text/html"})
    with pytest.raises(DataError, match="it sends a page, not the file"):
        get(server, "/x")
    assert part.read_bytes() == BODY[:50_000]


def test_a_server_that_ignores_range_makes_it_start_again(project, server):
    server.files["/x"] = Served(BODY, ranges=False, drop=[300_000])
    assert get(server, "/x").read_bytes() == BODY
    assert [first > 0 for first in offsets(server)] == [False, True]


def test_a_server_that_ignores_range_and_always_drops_is_given_up(project, server):
    server.files["/x"] = Served(BODY, ranges=False, drop_always=300_000)
    with pytest.raises(DataError, match=f"{module.TRIES} times in a row"):
        get(server, "/x")
    assert len(server.asked) <= 2 * module.TRIES


def test_a_range_that_starts_elsewhere_is_not_appended(project, server):
    server.files["/x"] = Served(BODY, shift=1000, drop=[300_000])
    assert get(server, "/x").read_bytes() == BODY
    assert offsets(server)[-1] == 0


@pytest.mark.parametrize(("left", "requests"), [(BODY, 1), (BODY + b"more", 2), (b"?" * len(BODY), 2)])
def test_a_part_that_is_already_whole_too_long_or_wrong(project, server, left, requests):
    """Killed after the last byte; or left by another file of that name. The server answers 416 for all of them."""
    server.files["/x"] = Served(BODY)
    (project / ".melisma/downloads").mkdir(parents=True)
    (project / ".melisma/downloads" / f"{KEPT}.part").write_bytes(left)
    assert get(server, "/x").read_bytes() == BODY
    assert offsets(server) == [len(left), 0][:requests]


def test_a_wrong_checksum_leaves_nothing_but_the_message(project, server):
    server.files |= {"/a": Served(BODY + b"!"), "/b": Served(b"<html>moved</html>")}
    with pytest.raises(DataError) as caught:
        get(server, "/a", "/b")
    message = str(caught.value)
    for body in (BODY + b"!", b"<html>moved</html>"):
        assert f"its checksum is sha256:{hashlib.sha256(body).hexdigest()}, expected {SUM}" in message
    assert "source.x.archive" in message and "\n" not in message
    assert downloads(project) == []


def test_the_right_mirror_is_used_after_one_with_a_wrong_file(project, server):
    server.files |= {"/a": Served(b"old edition" * 10_000), "/b": Served(BODY)}
    assert get(server, "/a", "/b").read_bytes() == BODY
    assert server.asked == [("/a", None), ("/b", None)]


def test_an_archive_that_the_server_calls_compressed_is_not_undone(project, server):
    packed = gzip.compress(BODY)
    server.files["/x"] = Served(packed, headers={"Content-Encoding": "x-gzip"})
    checksum = f"md5:{hashlib.md5(packed).hexdigest()}"
    assert get(server, "/x", checksum=checksum).read_bytes() == packed


def test_the_message_names_what_each_mirror_did(project, server):
    urls = [server.url("/gone"), "http://127.0.0.1:9/x", "nonsense"]
    with pytest.raises(DataError) as caught:
        fetch(urls, SUM, "x.tar", "source.x.archive")
    message = str(caught.value)
    assert "/gone: HTTP 404" in message and "http://127.0.0.1:9/x: Connection refused" in message
    assert "nonsense: Invalid URL" in message and "\n" not in message


def test_the_disk_is_looked_at_before_the_first_byte(project, server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1e9, 1e9, 123_000))
    server.files["/x"] = Served(BODY)
    with pytest.raises(DataError, match=r"needs 500kB more, but 123kB are free"):
        get(server, "/x")
    assert downloads(project) == []


def test_without_a_terminal_there_is_a_line_now_and_then(project, server, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.05)
    server.files["/x"] = Served(BODY, delay=0.01)
    get(server, "/x")
    lines = [line for line in capsys.readouterr().out.splitlines() if f"downloading {KEPT}: " in line]
    assert 2 <= len(lines) <= 12 and all("of 500kB" in line and "/s" in line and "left" in line for line in lines)


def test_two_at_once_download_once(project, server, capsys):
    server.files["/x"] = Served(BODY, delay=0.02)
    found = []
    threads = [threading.Thread(target=lambda: found.append(get(server, "/x"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [f.read_bytes() for f in found] == [BODY, BODY] and len(server.asked) == 1
    assert f"another process is downloading {KEPT}" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_download_is_resumed_by_the_next(project, server, number):
    server.files["/x"] = Served(BODY, delay=0.05)  # 1.5 s
    code = (
        "import sys; from pipeline import workspace; from pipeline.sources.fetch import fetch\n"
        f"def main(): fetch([{server.url('/x')!r}], {SUM!r}, 'x.tar', 'k')\n"
        "import pipeline.schema; pipeline.schema.load = lambda: None\n"
        "workspace.run(main)"
    )
    root = os.fspath(module.__file__).split("/pipeline/")[0]
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": root}, stdout=-1, stderr=-1
    )
    part = project / ".melisma/downloads" / f"{KEPT}.part"
    for _ in range(600):
        if part.exists() and part.stat().st_size > 100_000:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    printed = b"".join(process.communicate(timeout=30)).decode()
    assert "Traceback" not in printed
    if number != signal.SIGKILL:
        assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
        assert "kept; the next run goes on from there" in printed
    left = part.stat().st_size
    assert 100_000 < left < len(BODY) and not (project / ".melisma/downloads" / KEPT).exists()
    server.files["/x"].delay = 0.0
    assert get(server, "/x").read_bytes() == BODY
    assert offsets(server) == [0, left]


def test_an_unknown_host_is_not_asked_again(project, server, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    server.files["/x"] = Served(BODY)
    file = fetch(["http://no-such-host.invalid/x", server.url("/x")], SUM, "x.tar", "source.x.archive")
    assert file.read_bytes() == BODY and pauses == []


def test_recordings_in_formats_that_are_not_read_are_said(tmp_path, capsys):
    for name in ("a.wav", "b.M4A", "c.txt", "sub/d.wma"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    assert audio_files(tmp_path) == ["a.wav"]
    said = capsys.readouterr().out
    assert "not used: 2 files, such as b.M4A" in said and "not followed: 1, such as linked" in said
