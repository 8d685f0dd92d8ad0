"""Command `ui`: an MLflow server on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import typer

from pipeline.cli.base import app
from pipeline.core import workspace
from pipeline.core.errors import MelismaError

HOST = "127.0.0.1"
DEFAULT_PORT = 5000  # as MLflow's
START_SECONDS = 180.0  # the server must answer by then
STOP_SECONDS = 10.0


@app.command()
def ui(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"Port to listen on; by default {DEFAULT_PORT}, or a free one.")
    ] = None,
) -> None:
    """Serve the MLflow UI until Ctrl-C, and print its address.

    It listens on 127.0.0.1 only. If MLFLOW_TRACKING_URI names a server, print the address of that one instead.
    """
    from pipeline.tracking import search, store

    os.chdir(workspace.root())
    if store.is_server():
        with search.connected() as client:
            address = store.without_password(store.tracking_uri()).rstrip("/") + store.runs_page(client)
        typer.echo(f"MLflow UI: {address} (MLFLOW_TRACKING_URI)")
        return
    port = choose_port(port)
    typer.echo("starting MLflow, which takes some seconds ...")
    with search.connected():
        store.prepare()
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)  # a closed terminal is as Ctrl-C
    log = workspace.state_folder() / "ui.log"
    server = start_server(port, store.tracking_uri(), store.artifact_root(), log)
    try:
        wait_for_server(server, port, log)
        typer.echo(f"MLflow UI: http://{HOST}:{port}{store.runs_page(store.client())} (Ctrl-C stops it)")
        server.wait()
        raise MelismaError(f"the MLflow server ended by itself; {log} says why")
    except KeyboardInterrupt:
        typer.echo("stopped")
    finally:
        stop_server(server)


def choose_port(port: int | None) -> int:
    """`port` (MelismaError if it is taken), or else the default port, or a free one if the default port is taken."""
    if not is_open(port or DEFAULT_PORT):
        return port or DEFAULT_PORT
    if port:
        raise MelismaError(f"port {port} of {HOST} is taken by another program; choose another one with --port")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether a program listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def start_server(port: int, uri: str, artifacts: str, log: Path) -> subprocess.Popen[bytes]:
    """Start an MLflow server that writes to the file `log`. It leads a new process group."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", artifacts, "--artifacts-destination", artifacts]
    # The command line is public on this machine, and the URI may hold a password.
    environment = os.environ | {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("wb") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def wait_for_server(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the server answers; MelismaError if it ended, or did not answer in time."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        if server.poll() is not None:  # first: another program may answer on its port
            lines = [line for line in log.read_text(errors="replace").split("\n") if line.strip()]
            raise MelismaError(f"the MLflow server did not start: {[*lines, ''][-1]}; {log} says more")
        if time.monotonic() > deadline:
            raise MelismaError(f"the MLflow server did not answer within {START_SECONDS:.0f} s; {log} may say why")
        with suppress(OSError), urlopen(f"http://{HOST}:{port}/health", timeout=1):
            return
        time.sleep(0.2)


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers; kill them after some seconds, or at a second Ctrl-C."""
    gone = (ProcessLookupError, PermissionError)  # macOS raises the second for a group of zombies
    try:
        with suppress(*gone, subprocess.TimeoutExpired):
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=STOP_SECONDS)
    finally:
        with suppress(*gone):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
