"""Controls a headless Chromium through the DevTools protocol over a pipe.

It uses only the standard library; see https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), "")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
PATIENCE_SECONDS = 60.0


class Browser:
    """One page in one Chromium process; a context manager."""

    def __init__(self, profile: Path) -> None:
        to_browser, self._from_us = os.pipe()
        self._to_us, from_browser = os.pipe()
        command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # Chromium reads commands from descriptor 3 and answers on 4. `sh` can redirect descriptors
        # above 9 only through their files in /proc.
        ends = f"3</proc/self/fd/{to_browser} 4>/proc/self/fd/{from_browser}"
        self._process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {ends}', "sh", *command],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session: str | None = None
        self.complaints: list[str] = []
        """Errors and warnings on the console, and uncaught exceptions."""
        self.requests: list[str] = []
        """URLs that the page requested."""

    def __enter__(self) -> "Browser":
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        self.send("Browser.close")
        self._process.wait(PATIENCE_SECONDS)
        os.close(self._from_us)
        os.close(self._to_us)

    def open(self, page: Path) -> None:
        """Load a page and wait until it is complete."""
        self.send("Page.navigate", url=page.absolute().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def look(self, *, width: int = 1400, height: int = 900, scheme: str = "light") -> None:
        """Set the window size and the preferred colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=wanted)

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page and return its value."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.send("Runtime.evaluate", expression=script, **options)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.run(condition):
            assert time.monotonic() < end, f"timed out waiting for {condition}; {self.complaints}"
            time.sleep(0.05)

    def mouse(self, kind: str, x: float, y: float, buttons: int = 0, clicks: int = 1) -> None:
        """Send ``mouseMoved``, ``mousePressed`` or ``mouseReleased`` at a point of the window."""
        button = "left" if buttons or kind == "mouseReleased" else "none"
        press = {"button": button, "buttons": buttons, "clickCount": clicks}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **press)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at ``start``, move and release at ``end``."""
        self.mouse("mousePressed", *start, buttons=1)
        self.mouse("mouseMoved", *end, buttons=1)
        self.mouse("mouseReleased", *end)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; record events that arrive in the meantime."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._from_us, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])
            self._record(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._to_us], [], [], PATIENCE_SECONDS)
            assert ready, "Chromium does not answer"
            received = os.read(self._to_us, 1 << 20)
            assert received, "Chromium has exited"
            self._buffer += received
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))

    def _record(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(json.dumps(params["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
