# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The state: JSON objects under keys, in memory for reads, in a SQLite file for the next start."""

from __future__ import annotations

import bisect
import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class StateFileError(Exception):
    """The state file cannot be used."""


class State:
    """Everything that the server remembers. Without a file it lasts as long as the process.

    The file is created with mode 0600, since it holds tokens and private keys.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._values: dict[str, str] = {}
        self._keys: list[str] = []  # sorted, so that all keys behind a prefix are neighbours
        self._database = _open(path) if path is not None else None
        if self._database is not None:
            self._values = dict(self._database.execute("SELECT key, value FROM state"))
            self._keys = sorted(self._values)

    def view(self, prefix: str) -> View:
        """The part below this prefix, as a ``framework.Storage``."""
        return View(self, prefix)

    def get(self, key: str) -> dict[str, Any] | None:
        """A fresh copy of the object under this key."""
        text = self._values.get(key)
        if text is None:
            return None
        value: dict[str, Any] = json.loads(text)
        return value

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write or replace; on disk when it returns."""
        text = json.dumps(value, separators=(",", ":"))
        with self._lock:
            if self._database is not None:
                self._database.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, text))
            if key not in self._values:
                bisect.insort(self._keys, key)
            self._values[key] = text

    def delete(self, key: str) -> None:
        """Remove; nothing there is fine."""
        with self._lock:
            if key not in self._values:
                return
            if self._database is not None:
                self._database.execute("DELETE FROM state WHERE key = ?", (key,))
            del self._values[key]
            del self._keys[bisect.bisect_left(self._keys, key)]

    def keys(self, prefix: str) -> list[str]:
        """Whole keys that begin with the prefix, sorted."""
        with self._lock:
            start = bisect.bisect_left(self._keys, prefix)
            end = bisect.bisect_left(self._keys, prefix + "\U0010ffff", lo=start)
            return self._keys[start:end]

    def clear(self, prefix: str) -> None:
        """Remove every key that begins with the prefix."""
        with self._lock:
            for key in self.keys(prefix):
                self.delete(key)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


class View:
    """A part of the state, with keys of its own; implements ``framework.Storage``."""

    def __init__(self, state: State, prefix: str) -> None:
        self._state = state
        self._prefix = prefix

    def get(self, key: str) -> dict[str, Any] | None:
        """The object under this key."""
        return self._state.get(self._prefix + key)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write or replace the object under this key."""
        self._state.put(self._prefix + key, value)

    def delete(self, key: str) -> None:
        """Remove the object under this key; nothing there is fine."""
        self._state.delete(self._prefix + key)

    def keys(self, prefix: str) -> list[str]:
        """What stands behind the prefix, sorted, for every key that begins with it."""
        whole = self._prefix + prefix
        return [key[len(whole) :] for key in self._state.keys(whole)]

    def clear(self) -> None:
        """Remove everything."""
        self._state.clear(self._prefix)


def _open(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # One server at a time: a second one would go on from this state by itself, and each overwrite the other's.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    except (OSError, sqlite3.Error) as error:
        busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        reason = "another server is using it" if busy else error
        raise StateFileError(f"cannot use {path} as state file: {reason}") from error
    return database
