# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What a run that is cut short leaves behind for the next one: a hidden file beside the certificate's first file.

It holds the key that an order was made for, the order's id, and the renames that were under way. It is written line by
line, so that a run that dies while it writes loses its last line and nothing else; and it is the lock that makes of two runs
at once one after the other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from typing import Any, Dict, Optional

from .polling import Clock, Patience, Schedule, SystemClock
from .vault_errors import ExtcaError, InvalidInput

SUFFIX = ".vault_extca"


class Busy(ExtcaError):
    """Another run has been at work on the same files for longer than this one may wait."""


def record_path(path: str) -> str:
    """Where the record of the work on this file is."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}{SUFFIX}")


class UnfinishedWork:
    """The record, locked. ``values`` is what it holds; a key noted twice has its last value."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.values: Dict[str, Any] = _read(descriptor)

    def note(self, **values: Any) -> None:
        """Add to the record, on disk before this returns."""
        self.values.update(values)
        line = json.dumps(values).encode() + b"\n"
        try:
            # A line before this one may have been cut short.
            text = line if _ends_a_line(self._descriptor) else b"\n" + line
            if os.write(self._descriptor, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)
        except OSError as error:
            raise ExtcaError(
                f"{self.path}, which the next run needs, cannot be written: {error.strerror}. Make room, and run the task again."
            ) from None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that the next run could need."""
        return not any(self.values.values())

    def start_anew(self) -> None:
        """Forget what is recorded, and keep the lock."""
        os.ftruncate(self._descriptor, 0)
        self.values = {}

    def forget(self) -> None:
        """The work is done: remove the record, or where the directory does not allow that any more, leave it empty."""
        self.start_anew()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def close(self) -> None:
        """Let the next one go on; the record stays unless it was forgotten."""
        os.close(self._descriptor)


def recorded(path: str) -> Dict[str, Any]:
    """What the record holds at this moment, whoever is at work; {} where there is none of this user's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return {}
    try:
        return _read(descriptor) if _is_ours(descriptor) else {}
    finally:
        os.close(descriptor)


def open_work(path: str, patience: Optional[Patience], clock: Clock = SystemClock()) -> Optional[UnfinishedWork]:
    """Open (or create) and lock the record, once nobody else holds it.

    None where somebody does and there is no patience to wait. Raises Busy when patience ends.
    """
    start = clock.monotonic()
    schedule = Schedule()
    while True:
        work = _try_to_open(path)
        if work is not None or patience is None:
            return work
        elapsed = clock.monotonic() - start
        if elapsed >= patience.timeout:
            raise Busy(
                f"Another task has been at work on the same files for {elapsed:.0f} s, and holds {path}. "
                "Look for an ansible-playbook that hangs, or set a longer wait_timeout."
            )
        clock.sleep(min(schedule.pause(elapsed), max(patience.timeout - elapsed, 0.01)))


def _try_to_open(path: str) -> Optional[UnfinishedWork]:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise InvalidInput(
                f"{path} cannot be written: {error.strerror}. The directory must exist and be writable for the user that runs "
                "the task."
            ) from None
        try:
            if not _is_ours(descriptor):
                raise InvalidInput(
                    f"{path} belongs to another user or is no plain file. Look who put it there, and remove it."
                )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError:
                pass  # Some network file systems have no locks; there, runs at once are the user's to avoid.
            if _is_still_there(path, descriptor):
                return UnfinishedWork(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        # Who held it has finished and removed it in the meantime.
        os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _is_still_there(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _ends_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _read(descriptor: int) -> Dict[str, Any]:
    content = b""
    while True:
        block = os.pread(descriptor, 65536, len(content))
        if not block:
            break
        content += block
    values: Dict[str, Any] = {}
    for line in content.split(b"\n"):
        try:
            row = json.loads(line) if line else {}
        except ValueError:
            continue  # cut short
        if isinstance(row, dict):
            values.update(row)
    return values
