"""Downloads are resumed, verified and kept; a mirror that fails is left for the next one."""

import gzip
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from urllib3.exceptions import MaxRetryError, NewConnectionError

from pipeline.core import progress
from pipeline.core.errors import DataError
from pipeline.core.imports import ROOT
from pipeline.sources.fetch import RETRIES, fetch
from tests.sources.datasets import checksum
from tests.sources.server import ServedFile

BODY = np.random.default_rng(0).bytes(500_000)
CHECKSUM = checksum(BODY)
NAME = f"{CHECKSUM[7:15]}-x.tar"


def get(server, *paths: str, checksum: str = CHECKSUM):
    return fetch([server.url(path) for path in paths], checksum, "x.tar", "source.x.archive")


def downloads(project) -> list[str]:
    """The names of the files, except the lock."""
    return sorted(p.name for p in (project / ".melisma/downloads").iterdir() if not p.name.endswith(".lock"))


def part_file(project, content: bytes | None = None):
    """The path of the partial download, which is written if there is `content`."""
    part = project / ".melisma/downloads" / f"{NAME}.part"
    if content is not None:
        part.parent.mkdir(parents=True)
        part.write_bytes(content)
    return part


def offsets(server) -> list[int]:
    """The first byte of each request."""
    return [int(requested[6:-1]) if requested else 0 for _, requested in server.requests]


@pytest.fixture
def pauses(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
@pytest.mark.parametrize("length", [True, False])
def test_a_file_is_downloaded_once_verified_and_kept(project, server, algorithm, length):
    server.files["/x"] = ServedFile(BODY, length=length)
    expected = checksum(BODY, algorithm)
    file = get(server, "/x", checksum=expected)
    name = f"{expected.partition(':')[2][:8]}-x.tar"
    assert file == project / ".melisma/downloads" / name and file.read_bytes() == BODY
    assert get(server, "/x", checksum=expected) == file
    assert server.requests == [("/x", None)]
    assert downloads(project) == [name]


def test_a_damaged_download_is_repeated(project, server, capsys):
    server.files["/x"] = ServedFile(BODY)
    file = get(server, "/x")
    file.write_bytes(BODY[:-1])
    assert get(server, "/x").read_bytes() == BODY
    assert len(server.requests) == 2 and "damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("size", "file", "expected"),  # size of the partial download, faults of the server, first byte of each request
    [
        (0, {"drop": [200_000, 150_000]}, [0, 200_000, 350_000]),
        (50_000, {"drop": [100_000]}, [50_000, 150_000]),
        (0, {"drop": [300_000], "ranges": False}, [0, 300_000]),  # the second response has the whole file
    ],
)
def test_a_dropped_transfer_resumes_if_the_server_can(project, server, size, file, expected):
    server.files["/x"] = ServedFile(BODY, **file)
    part_file(project, BODY[:size])
    assert get(server, "/x").read_bytes() == BODY
    # The last chunk before the end may be lost.
    assert offsets(server) == pytest.approx(expected, abs=130_000) and offsets(server)[0] == size


def test_the_next_run_resumes_also_from_another_mirror(project, server):
    server.files["/x"] = ServedFile(BODY, drop=[200_000], drop_always=0)
    with pytest.raises(DataError, match="no mirror gave"):
        get(server, "/x")
    assert downloads(project) == [f"{NAME}.part"]
    size = part_file(project).stat().st_size
    server.requests.clear()
    server.files["/y"] = ServedFile(BODY)
    assert get(server, "/gone", "/y").read_bytes() == BODY
    assert size > 100_000 and server.requests == [("/gone", f"bytes={size}-"), ("/y", f"bytes={size}-")]


@pytest.mark.parametrize(("asked", "expected"), [(7, 7), (9999, 120)])
def test_a_server_that_asks_for_a_pause_gets_it(project, server, pauses, asked, expected):
    server.files["/x"] = ServedFile(BODY, refuse=[429, 503], headers={"Retry-After": str(asked)})
    get(server, "/x")
    assert pauses == [expected, expected]


def test_a_server_with_a_fault_is_asked_again(project, server):
    server.files["/x"] = ServedFile(BODY, refuse=[408, 500, 502])
    get(server, "/x")
    server.files["/y"] = ServedFile(b"y", refuse=[503] * 6)
    with pytest.raises(DataError, match="/y: HTTP 503 Service Unavailable;"):
        get(server, "/y", checksum=checksum(b"y"))
    assert [path for path, _ in server.requests] == ["/x"] * 4 + ["/y"] * 6


def test_mirrors_that_fail_are_asked_once_and_then_the_next_is_used(project, server):
    gone = {f"/{status}": ServedFile(b"", refuse=[status]) for status in (403, 404, 410)}
    server.files |= gone | {"/old": ServedFile(b"old edition" * 10_000), "/x": ServedFile(BODY)}
    urls = ["http://no-such-host.invalid/x", *map(server.url, server.files)]
    assert fetch(urls, CHECKSUM, "x.tar", "source.x.archive").read_bytes() == BODY
    assert server.requests == [(path, None) for path in server.files]


def test_an_unknown_host_is_given_up_soon(pauses):
    retry = RETRIES
    with pytest.raises(MaxRetryError):
        while True:
            retry = retry.increment("GET", "/x", error=NewConnectionError(None, "x"))
            retry.sleep()
    assert pauses == [2]


@pytest.mark.parametrize("ranges", [False, True])
def test_a_page_does_not_replace_a_partial_download(project, server, ranges):
    part = part_file(project, BODY[:50_000])
    page = b"<html>Log in</html>" * 10_000
    server.files["/x"] = ServedFile(page, ranges=ranges, headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(DataError, match="it sends a page, not the file"):
        get(server, "/x")
    assert part.read_bytes() == BODY[:50_000]


def test_a_server_without_range_that_always_drops_is_given_up(project, server):
    server.files["/x"] = ServedFile(BODY, ranges=False, drop_always=300_000)
    with pytest.raises(DataError, match="IncompleteRead"):
        get(server, "/x")
    assert len(server.requests) == 2


@pytest.mark.parametrize(("content", "requests"), [(BODY, 1), (BODY + b"more", 2), (b"?" * len(BODY), 2)])
def test_a_partial_download_that_is_complete_too_long_or_wrong(project, server, content, requests):
    """After a kill behind the last byte, or of another file with this name. The server answers 416 to all of them."""
    server.files["/x"] = ServedFile(BODY)
    part_file(project, content)
    assert get(server, "/x").read_bytes() == BODY
    assert offsets(server) == [len(content), 0][:requests]


def test_an_archive_with_content_encoding_stays_compressed(project, server):
    packed = gzip.compress(BODY)
    server.files["/x"] = ServedFile(packed, headers={"Content-Encoding": "x-gzip"})
    assert get(server, "/x", checksum=checksum(packed, "md5")).read_bytes() == packed


def test_the_error_names_the_failure_of_each_mirror(project, server):
    bodies = {"/a": BODY + b"!", "/b": b"<html>moved</html>"}
    server.files |= {path: ServedFile(body) for path, body in bodies.items()}
    urls = [*map(server.url, [*bodies, "/gone"]), "http://127.0.0.1:9/x", "nonsense"]
    with pytest.raises(DataError) as caught:
        fetch(urls, CHECKSUM, "x.tar", "source.x.archive")
    expected = [f"its checksum is {checksum(body)}, expected {CHECKSUM}" for body in bodies.values()]
    expected += ["/gone: HTTP 404 Not Found", "Connection refused", "nonsense: Invalid URL"]
    assert all(part in str(caught.value) for part in expected) and "\n" not in str(caught.value)
    assert downloads(project) == []


def test_an_error_of_the_disk_is_not_a_lost_connection(project, server):
    server.files["/x"] = ServedFile(BODY)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(DataError, match="File too large; kept 200kB; the next run resumes here"):
            get(server, "/x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(server.requests) == 1 and part_file(project).stat().st_size == 200_000


def test_without_a_terminal_progress_is_printed_in_lines(project, server, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    server.files["/x"] = ServedFile(BODY, delay=0.01)
    get(server, "/x")
    lines = [line for line in capsys.readouterr().out.splitlines() if f"downloading {NAME}: " in line]
    assert 2 <= len(lines) <= 12 and all("/500k [" in line and "B/s]" in line and "<" in line for line in lines)


def test_two_processes_download_once(project, server, capsys):
    server.files["/x"] = ServedFile(BODY, delay=0.02)
    files = []
    threads = [threading.Thread(target=lambda: files.append(get(server, "/x"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [file.read_bytes() for file in files] == [BODY, BODY] and len(server.requests) == 1
    assert f"another process is downloading {NAME}" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_next_run_resumes_a_killed_download(project, server, number, code):
    server.files["/x"] = ServedFile(BODY, delay=0.05)  # 1.5 s
    script = (
        "from pipeline.core.process import clean_exit; from pipeline.sources.fetch import fetch\n"
        f"with clean_exit(): fetch([{server.url('/x')!r}], {CHECKSUM!r}, 'x.tar', 'k')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=-1, stderr=-1)
    part = part_file(project)
    for _ in range(600):
        if part.exists() and part.stat().st_size > 100_000:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    output = b"".join(process.communicate(timeout=30)).decode()
    assert "Traceback" not in output and process.returncode == code
    assert number == signal.SIGKILL or "; the next run resumes here" in output
    size = part.stat().st_size
    assert 100_000 < size < len(BODY) and downloads(project) == [f"{NAME}.part"]
    server.files["/x"].delay = 0.0
    assert get(server, "/x").read_bytes() == BODY
    assert offsets(server) == [0, size]
