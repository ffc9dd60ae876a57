# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Debian's Chromium, steered through the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import ClientConnection, connect

_READY = re.compile(r"DevTools listening on (ws://\S+)")


class Browser:
    """A headless Chromium with one page; a context manager."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._stack = contextlib.ExitStack()
        self.complaints: list[str] = []
        # Where pages may load things from. (A theme's icons are data:.)
        self.sources: tuple[str, ...] = ("file:", "data:")

    def __enter__(self) -> Browser:
        program = shutil.which("chromium")
        assert program, "Chromium is not installed: make browser installs it"
        self._directory = tempfile.mkdtemp(prefix="extca-chromium-")
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=0",
            "--no-first-run",
        ]
        command += ["--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={self._directory}", "about:blank"]
        environment = {**os.environ, "HOME": self._directory}
        log = Path(self._directory) / "log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment
            )
        deadline = time.monotonic() + 60
        while not (ready := _READY.search(log.read_text(errors="replace"))):
            assert self._process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        self._socket: ClientConnection = self._stack.enter_context(connect(ready[1], max_size=None))
        target = self._call("Target.createTarget", {"url": "about:blank"}, "")["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True}, "")["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(15)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _call(self, method: str, params: dict[str, Any], session: str) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps({**message, "sessionId": session} if session else message))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._hear(answer)

    def _hear(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"):
            self.complaints.append(json.dumps(params))
        if event.get("method") == "Network.requestWillBeSent" and not params["request"]["url"].startswith(self.sources):
            self.complaints.append(params["request"]["url"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol to the page."""
        return self._call(method, params, self._session)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def size(self, width: int, height: int, *, dark: bool = False, media: str = "") -> None:
        """A window of this size, light or dark, or paper."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def open(self, path: Path | str) -> float:
        """Seconds until the page of that path or address is there, laid out and drawn."""
        began = time.monotonic()
        address = path.as_uri() if isinstance(path, Path) else path
        self.call("Page.navigate", url=address)
        while self.run("document.readyState") != "complete" or not self.run(
            f"location.href.endsWith({json.dumps(address.rsplit('/', 1)[-1])})"
        ):
            time.sleep(0.02)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.monotonic() - began

    def until(self, script: str, seconds: float = 15.0) -> None:
        """Wait for an expression in the page to become true; an AssertionError says that it did not."""
        deadline = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {script}"
            time.sleep(0.05)

    def picture(self, path: Path) -> None:
        """A screenshot."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
