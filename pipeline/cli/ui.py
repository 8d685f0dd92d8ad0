"""Command `ui`: the MLflow server and its processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.base import app
from pipeline.core import workspace
from pipeline.core.errors import MelismaError

HOST = "127.0.0.1"
PORT = 5000  # MLflow's usual one
PATIENCE = 180.0  # seconds that the MLflow server may take to answer


@app.command()
def ui(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"Port to listen on; {PORT}, or a free one, by default.")
    ] = None,
) -> None:
    """Serve the MLflow UI until Ctrl-C, and print its address.

    It listens on 127.0.0.1 only. Where MLFLOW_TRACKING_URI names a server, that one's address is printed instead.
    """
    from pipeline.tracking import search, store

    os.chdir(workspace.root())
    uri = store.tracking_uri()
    if store.is_server():
        with search.connected() as client:
            address = f"{store.without_password(uri).rstrip('/')}{store.runs_page(client)}"
        typer.echo(f"MLflow UI: {address} (MLFLOW_TRACKING_URI)")
        return
    port = _port(port)
    typer.echo("starting MLflow, which takes some seconds ...")
    store.prepare()
    address = f"http://{HOST}:{port}"
    try:
        with _server(port, uri, store.artifact_root()) as (server, log):
            _await(server, address, log)
            typer.echo(f"MLflow UI: {address}{store.runs_page(store.client())} (Ctrl-C stops it)")
            server.wait()
            raise MelismaError(f"the MLflow server ended by itself; {log} says why")
    except KeyboardInterrupt:
        typer.echo("stopped")


def _port(asked: int | None) -> int:
    """The port to serve on: the one asked for, else the usual one, else any that is free."""
    port = asked or PORT
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((HOST, port)) == 0
    if taken and asked:
        raise MelismaError(f"port {port} of {HOST} is taken by another program; choose another one with --port")
    if taken:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def _server(port: int, uri: str, artifacts: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """An MLflow server and the file it logs to; no process of the server outlives the block, which Ctrl-C ends."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", artifacts, "--artifacts-destination", artifacts]
    # A database's address may hold a password, which a command line would show to every user of the machine.
    environment = os.environ | {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = workspace.state() / "ui.log"
    # All end it as Ctrl-C does, also where a script started it in the background, which lets Ctrl-C be ignored.
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # a closed terminal; under nohup it goes on
        ends.append(signal.SIGHUP)
    for name in ends:
        signal.signal(name, signal.default_int_handler)
    with log.open("wb") as file:
        # In a group of its own, so that its workers can be ended with it, and Ctrl-C reaches it once, from here.
        server = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield server, log
    finally:
        for name in ends:
            signal.signal(name, signal.SIG_IGN)  # a second Ctrl-C must not leave the job half done
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End every process of the server's group, in peace if it can be done in 10 seconds."""
    gone = (ProcessLookupError, PermissionError)  # macOS gives the second for a group of zombies
    with contextlib.suppress(*gone, subprocess.TimeoutExpired):
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=10)
    with contextlib.suppress(*gone):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _await(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the server answers.

    Raises:
        MelismaError: it ended, or did not answer in time.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            lines = log.read_text(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
            raise MelismaError(f"the MLflow server did not start: {last}; {log} says more")
        with contextlib.suppress(OSError), opener.open(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)
    raise MelismaError(f"the MLflow server did not answer within {PATIENCE:.0f} s; {log} may say why")
