# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Child processes that start for sure or fail with their own words, and stop for sure."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PORT_TAKEN = re.compile("address (already )?in use", re.IGNORECASE)

_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _unmeasured() -> dict[str, str]:
    """The environment without what has coverage measure a process: no service is part of the collection, and it costs time."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


class ServiceError(Exception):
    """A service did not start, or ended on its own; the text ends with the last lines that it wrote."""


def program(name: str) -> str:
    """Full path of a program.

    :raises ServiceError: it is not installed; says how to change that.
    """
    path = shutil.which(name, path=_SYSTEM_PATH)
    if path is None:
        raise ServiceError(f"{name} is not installed: run 'make apt'")
    return path


def _die_with_parent(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            # The parent may have died before the line above.
            if os.getppid() != parent:
                os._exit(1)

    return before_exec


def answers(port: int) -> bool:
    """Whether something accepts TCP connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Service:
    """One child process with its own temporary directory and log; subclasses say what to run and when it is ready."""

    name = "service"
    ready_timeout = 20.0  # seconds
    stop_timeout = 8.0  # seconds from SIGTERM to SIGKILL

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    # What subclasses say.

    def prepare(self) -> None:
        """Choose ports and write configuration files into :attr:`directory`; called before each attempt to start."""

    def command(self) -> Sequence[str]:
        """The command line; it must stay in the foreground."""
        raise ServiceError(f"{self.name} has no command")

    def environment(self) -> Mapping[str, str]:
        """Variables to add to the environment."""
        return {}

    def is_ready(self) -> bool:
        """Whether the service answers."""
        return True

    # What they get.

    @property
    def directory(self) -> Path:
        """The service's own directory, removed after it stopped."""
        if self._directory is None:
            raise ServiceError(f"{self.name} is not running")
        return Path(self._directory.name)

    @property
    def log(self) -> Path:
        """Everything that the service wrote to stdout and stderr."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise ServiceError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it is ready.

        :raises ServiceError: it ended, or was not ready in time.
        """
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix=f"testbed-{self.name}-")
        try:
            for attempt in (1, 2, 3):
                self.prepare()
                try:
                    self._start_once()
                    return
                except ServiceError as error:
                    # Another process on this machine was quicker to take the port.
                    if attempt == 3 or not _PORT_TAKEN.search(str(error)):
                        raise
        except BaseException:
            self.close()
            raise

    def _start_once(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_unmeasured(), **self.environment()},
                # Safe as long as no thread is started before the services.
                preexec_fn=_die_with_parent(os.getpid()),
            )
        deadline = time.monotonic() + self.ready_timeout
        while True:
            if self._process.poll() is not None:
                raise ServiceError(f"{self.name} ended with status {self._process.returncode}:\n{self.last_words()}")
            if self.is_ready():
                return
            if time.monotonic() > deadline:
                self.stop()
                raise ServiceError(
                    f"{self.name} was not ready after {self.ready_timeout:.0f} seconds:\n{self.last_words()}"
                )
            time.sleep(0.02)

    def last_words(self, lines: int = 20) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """SIGTERM, wait, SIGKILL; keeps the directory, so that :meth:`start` can follow."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """SIGKILL, as a crash; keeps the directory."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop and remove the directory."""
        try:
            self.stop()
        finally:
            if self._directory is not None:
                self._directory.cleanup()
                self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
