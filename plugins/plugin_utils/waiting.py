# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a task that waits for an order shows while it waits.

The module runs as any other does. Beside it, a thread of the controller's worker process reads the few lines that the module
leaves in a file on its host (see module_utils.order_progress): from the disk where the connection is local, otherwise with
a command of its own over a copy of the connection, which returns when there is something new. Nothing is asked of Vault.
Whatever goes wrong with it, the task goes on without.
"""

from __future__ import annotations

import contextlib
import copy
import math
import secrets
import shlex
import threading
import time
from typing import Any, Dict, Optional

from ansible import constants, context
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.plugins.loader import callback_loader
from ansible.utils.display import Display

from ..module_utils.progress_lines import VARIABLE, Seen, last_seen

NOT_WORTH_A_WORD = 2.0  # seconds
BETWEEN_LINES = 15.0  # seconds, while nothing changes
_PAUSE = 0.5  # seconds between two looks at a local file

# Prints a file as soon as its size is not that any more, or after so many seconds; nothing, if it is not there.
_WHEN_CHANGED = (
    'n=0; while [ $n -lt {seconds} ] && [ "$({{ wc -c < {path}; }} 2>/dev/null | tr -d " ")" = "{size}" ]; '
    "do sleep 1; n=$((n+1)); done; cat {path} 2>/dev/null; true"
)


class WaitingAction(NormalAction):  # type: ignore[misc]  # ansible-core ships no types
    """Runs the module of the same name, and shows how its wait goes."""

    _progress_path: Optional[str] = None

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """The module's result."""
        if self._task.async_val or self._task.check_mode or self._connection._shell.SHELL_FAMILY != "sh":
            result: Dict[str, Any] = super().run(tmp, task_vars)
            return result
        # A name that nobody can guess, in the one directory that every user may write to. (Not the controller's TMPDIR.)
        self._progress_path = f"/tmp/.ansible-vault-extca-{secrets.token_hex(16)}"
        follower = _Follower(self._connection, self._progress_path, (task_vars or {}).get("inventory_hostname", ""))
        follower.start()
        try:
            result = super().run(tmp, task_vars)
        finally:
            follower.end()
        return result

    def _compute_environment_string(self, *args: Any, **kwargs: Any) -> str:
        environment: str = super()._compute_environment_string(*args, **kwargs)
        if self._progress_path is None:
            return environment
        return f"{environment} {self._connection._shell.env_prefix(**{VARIABLE: self._progress_path})}".strip()


class _Follower(threading.Thread):
    """Reads the module's lines, and shows them, until the module has ended."""

    def __init__(self, connection: Any, path: str, host: str) -> None:
        super().__init__(name="vault_extca progress", daemon=True)
        self._connection = connection
        self._path = path
        self._host = host
        self._over = threading.Event()
        self._is_local = connection.transport == "local"

    def end(self) -> None:
        """Show nothing any more. A command that is under way on another host ends by itself within a second."""
        self._over.set()
        if self._is_local:
            self.join()

    def run(self) -> None:
        """Follow the file from its beginning to its end."""
        if self._over.wait(NOT_WORTH_A_WORD) or not is_wanted():
            return
        # Connections fail in as many ways as there are plugins, and none of that is the task's concern.
        with contextlib.suppress(Exception):
            self._follow()

    def _follow(self) -> None:
        connection = None if self._is_local else _another(self._connection)
        seen: Optional[Seen] = None
        shown, due, size, read, pause = None, 0.0, -1, 0.0, _PAUSE
        while True:
            now = time.monotonic()
            text = self._local() if connection is None else self._remote(connection, size, due - now)
            if self._over.is_set() or (size > 0 and not text):
                return
            if len(text.encode()) != size and text:
                size, seen, read = len(text.encode()), last_seen(text), time.monotonic()
                pause = _PAUSE
            elif not text and connection is not None:
                pause = min(pause * 2, NOT_WORTH_A_WORD)  # it has not begun to wait
            elapsed = seen.elapsed + time.monotonic() - read if seen is not None else 0.0
            if seen is None or elapsed < NOT_WORTH_A_WORD:
                due = time.monotonic() + NOT_WORTH_A_WORD - elapsed
            elif seen.order_status != shown or time.monotonic() >= due:
                self._show(seen, elapsed)
                shown, due = seen.order_status, time.monotonic() + BETWEEN_LINES
            if (connection is None or size < 0) and self._over.wait(pause):
                return

    def _local(self) -> str:
        try:
            with open(self._path, encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _remote(self, connection: Any, size: int, seconds: float) -> str:
        script = _WHEN_CHANGED.format(path=shlex.quote(self._path), size=size, seconds=max(math.ceil(seconds), 0))
        status, out, _err = connection.exec_command(f"/bin/sh -c {shlex.quote(script)}", in_data=None, sudoable=False)
        if status:
            raise OSError(status)
        text: str = out.decode("ascii")
        return text

    def _show(self, seen: Seen, elapsed: float) -> None:
        Display().display(f"[{self._host}] {seen.sentence(elapsed)}")


def _another(connection: Any) -> Any:
    """The connection as it logs in, for commands beside the module's own."""
    other = copy.copy(connection)
    other.become = None
    return other


def is_wanted() -> bool:
    """Whether lines on the terminal are what the user's callback is for: not where it prints JSON, a line a host, or nothing."""
    if context.CLIARGS.get("one_line"):
        return False
    callback = callback_loader.get(constants.DEFAULT_STDOUT_CALLBACK, class_only=True)
    # Ansible loads its default anew under the name of its collection; those that extend it import it by its own name.
    defaults = (DefaultCallback, callback_loader.get("ansible.builtin.default", class_only=True))
    if callback is None or not issubclass(callback, defaults) or callback.__module__.endswith(".dense"):
        return False
    try:
        return bool(
            constants.config.get_config_value("display_ok_hosts", plugin_type="callback", plugin_name="default")
        )
    except Exception:  # a later ansible-core may know the option no more
        return True
