# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Several files replaced as one: all or none, whatever fails, and whoever is killed.

The new files are complete, beside the old ones, before the first is renamed. The renames follow one another in a process of
their own that outlives this one; what even that could not finish (the machine lost power), the next run does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from typing import Callable, List, NamedTuple, Optional, Sequence

from .vault_errors import ExtcaError, InvalidInput

NEW = ".vault_extca-new"
OLD = ".vault_extca-old"


class NewFile(NamedTuple):
    """A file that is to have this content."""

    path: str
    content: bytes


class Move(NamedTuple):
    """A complete new file, where it belongs, and the old file's second name (None: there was no old file)."""

    staged: str
    path: str
    old: Optional[str]


def check_place(path: str) -> None:
    """Raise InvalidInput where no file could be written to this path."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise InvalidInput(f"The directory {folder} does not exist; create it before this task.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InvalidInput(f"{path} exists and is not a file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"The directory {folder} is not writable for the user that runs the task.")


def replace_files(
    files: Sequence[NewFile], dress: Callable[[str, str], None], note: Callable[[Optional[List[Move]]], None]
) -> None:
    """Replace (or create) all of these files. Raises ExtcaError, with the old files in place, if that cannot be done.

    ``dress(staged, path)`` gives a new file owner, mode and the like before it is seen under its name. ``note(moves)`` records
    what :func:`finish_moves` needs if this is cut short; it is told an empty list when all is done, and None when nothing was.
    """
    moves: List[Move] = []
    path = ""
    try:
        for file in files:
            path = file.path
            moves.append(_stage(file, dress))
        moves = [move._replace(old=_keep_old(move.path)) for move in moves]
        note(moves)
    except OSError as error:
        _clean_up(moves)
        # Of a disk that is full, the system names no file.
        raise ExtcaError(
            f"{error.filename or path} cannot be written: {error.strerror}. No file was changed."
        ) from None
    except BaseException:
        _clean_up(moves)
        raise
    failure = _in_a_process_of_its_own(lambda: rename_all(moves))
    # What is recorded must not be done once more with files of a later run.
    note(None if failure else [])
    _clean_up(moves)
    if failure:
        raise ExtcaError(f"{failure}. The files are as they were before.")


def finish_moves(moves: Sequence[Move]) -> None:
    """Do what a run that was cut short has recorded and not done."""
    for move in moves:
        if os.path.exists(move.staged):
            os.rename(move.staged, move.path)
            _sync_folder(move.path)
    _clean_up(moves)


def discard_leftovers(paths: Sequence[str]) -> None:
    """Remove new files that a run was killed over before it recorded them, and second names of old ones."""
    for path in paths:
        for suffix in (NEW, OLD):
            _remove(_beside(path, suffix))


def rename_all(moves: Sequence[Move]) -> Optional[str]:
    """Rename every new file to its name; if one fails, restore those before it and say what failed."""
    done: List[Move] = []
    for move in moves:
        try:
            os.rename(move.staged, move.path)
        except OSError as error:
            for one in reversed(done):
                if one.old is None:
                    os.unlink(one.path)
                else:
                    os.rename(one.old, one.path)
            return f"{move.path} cannot be replaced: {error.strerror}"
        done.append(move)
    for folder in {os.path.dirname(move.path) for move in moves}:
        _sync_folder(os.path.join(folder, ""))
    return None


def _in_a_process_of_its_own(work: Callable[[], Optional[str]]) -> Optional[str]:
    """Run ``work`` where killing this process, or its whole group, does not stop it between two renames."""
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:  # no more processes: the next best is to do it here
        os.close(reader)
        os.close(writer)
        return work()
    if child == 0:
        outcome = b""
        try:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            outcome = b"\n" + (work() or "").encode()
        finally:
            os.write(writer, outcome)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    if not said:
        raise ExtcaError(
            "The process that renames the new files was killed. Run the task again: it finishes what was begun, without a new "
            "order."
        )
    return said.decode().strip() or None


def _stage(file: NewFile, dress: Callable[[str, str], None]) -> Move:
    staged = _beside(file.path, NEW)
    _remove(staged)
    descriptor = _create(staged)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
            stream.flush()
            os.fsync(stream.fileno())
        dress(staged, file.path)
    except BaseException:
        _remove(staged)
        raise
    return Move(staged, file.path, None)


def _keep_old(path: str) -> Optional[str]:
    if not os.path.exists(path):
        return None
    old = _beside(path, OLD)
    _remove(old)
    try:
        os.link(path, old)
    except OSError:  # a file system without hard links
        with open(path, "rb") as source, os.fdopen(_create(old), "wb") as copy:
            shutil.copyfileobj(source, copy)
            status = os.fstat(source.fileno())
            if os.geteuid() == 0:
                os.fchown(copy.fileno(), status.st_uid, status.st_gid)
            os.fchmod(copy.fileno(), status.st_mode & 0o7777)
    return old


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _clean_up(moves: Sequence[Move]) -> None:
    for move in moves:
        _remove(move.staged)
        _remove(_beside(move.path, OLD))


def _beside(path: str, suffix: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}{suffix}")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _sync_folder(path: str) -> None:
    """Have the renames in a file's directory on disk; some network file systems cannot say so."""
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
