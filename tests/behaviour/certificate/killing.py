# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A run of the module in a process that is killed with SIGKILL at a step of one's choice.

A step is a moment right before a request to Vault, a word to the process that answers challenges, or a call that changes
something on disk: between two of them, nothing happens that another process could see.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_process import ChallengeProcess
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import VaultConnection

from .site import Site

_CALLS = ("open", "write", "fsync", "chmod", "chown", "link", "rename", "unlink", "mkdir", "rmdir", "ftruncate", "fork")
_LONGEST = 30.0
_write = os.write


def count_steps(site: Site, options: Mapping[str, Any]) -> list[str]:
    """Run to the end; the name of every step, in order."""
    reader, writer = os.pipe()
    child = _fork(site, options, lambda step, name: _tell(writer, name))
    os.close(writer)
    with os.fdopen(reader) as names:
        steps = names.read().split()
    assert os.waitpid(child, 0)[1] == 0
    return steps


def run_and_kill(site: Site, options: Mapping[str, Any], at: int) -> bool:
    """Run until right before step ``at``, and kill the process there; False if the run was over before (it polled less often)."""
    child = _fork(site, options, lambda step, name: os.kill(os.getpid(), signal.SIGKILL) if step == at else None)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


def run_and_kill_during_the_renames(site: Site, options: Mapping[str, Any], *, whom: str, after: int = 0) -> None:
    """Kill the task (``whom="task"``) while its files are being renamed, or the process that renames (``whom="renamer"``) after
    so many renames."""
    rename = os.rename
    renamed = 0

    def counting_rename(source: str, target: str) -> None:
        nonlocal renamed
        if renamed == after:
            os.kill(os.getppid() if whom == "task" else os.getpid(), signal.SIGKILL)
        renamed += 1
        rename(source, target)

    def arm(step: int, name: str) -> None:
        os.rename = counting_rename  # type: ignore[assignment]

    child = _fork(site, options, arm)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) == (whom == "task")


def wait_for_quiet(record: Path) -> None:
    """Until no process of an earlier run is at work on the files any more."""
    deadline = time.monotonic() + _LONGEST
    while record.exists():
        with record.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                assert time.monotonic() < deadline
                time.sleep(0.005)


def _tell(writer: int, name: str) -> None:
    _write(writer, f"{name}\n".encode())


def _fork(site: Site, options: Mapping[str, Any], step: Callable[[int, str], None]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _watch(step)
        result = site.run(options, fails=None)
        status = 0 if not result.get("failed") else 3
    finally:
        os._exit(status)


def _watch(step: Callable[[int, str], None]) -> None:
    """Have ``step`` called before each step of this process (not of its children)."""
    task, steps = os.getpid(), 0

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def before(*args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            if os.getpid() == task:
                steps += 1
                step(steps - 1, name)
            return call(*args, **kwargs)

        return before

    for name in _CALLS:
        setattr(os, name, watched(name, getattr(os, name)))
    tell = ChallengeProcess.tell

    def told(self: Any, message: Any) -> Any:
        return watched("stop" if message == "stop" else "publish", tell)(self, message)

    ChallengeProcess.tell = told  # type: ignore[method-assign]
    request = VaultConnection.request

    def named(self: Any, method: str, path: str, **kwargs: Any) -> Any:
        what = f"{method}:{path.rsplit('/', 1)[-1]}"
        return watched(what, request)(self, method, path, **kwargs)

    VaultConnection.request = named  # type: ignore[method-assign]
