"""Headless Chromium over the pipe of its DevTools protocol: JSON messages that end with a zero byte."""

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-extensions", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required",
         "--hide-scrollbars", "--remote-debugging-pipe")  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


def installed() -> str | None:
    """The path of a browser on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser with one page. `errors` collects the errors of its console, `requests` the URLs that it loads."""

    def __init__(self, profile: Path) -> None:
        commands, answers = os.pipe(), os.pipe()

        def connect() -> None:
            """The browser reads commands from descriptor 3 and writes answers to 4."""
            ends = os.dup(commands[0]), os.dup(answers[1])  # the originals may be 3 and 4 themselves
            for end, descriptor in zip(ends, (3, 4), strict=True):
                os.dup2(end, descriptor)
                os.set_inheritable(descriptor, True)

        command = [installed() or "chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(commands[0])
        os.close(answers[1])
        self._commands, self._answers = commands[1], answers[0]
        self._received, self._last_id, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._last_id += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._last_id, "method": method, "params": params, **session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._received:
                assert select.select([self._answers], [], [], 60)[0], "the browser does not answer"
                self._received += os.read(self._answers, 1 << 20)
            line, _, self._received = self._received.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])
            self._collect(answer.get("method", ""), answer.get("params", {}))

    def _collect(self, event: str, params: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description") or details["text"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(str(params["args"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file at a window size in pixels and in a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression, or the result of a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < deadline, f"still false: {script}"
            time.sleep(0.03)

    def press(self, key: str) -> None:
        """Press a key on the focused element."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)
