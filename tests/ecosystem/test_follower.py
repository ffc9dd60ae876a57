# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The thread that reads a module's progress, in this process, with connections that run commands here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.plugin_utils import waiting

from tests.tools.tree import BUILD


class Connection:
    """A connection; ``commands`` counts what it ran."""

    become = "su"

    def __init__(self, transport: str, status: int = 0) -> None:
        self.transport = transport
        self.status = status
        self.commands: list[str] = []

    def exec_command(self, command: str, in_data: None, sudoable: bool) -> tuple[int, bytes, bytes]:
        assert self.become is None
        assert not sudoable
        self.commands.append(command)
        done = subprocess.run(command, shell=True, capture_output=True, check=False)
        return self.status or done.returncode, done.stdout, done.stderr


def line(state: str, elapsed: float) -> str:
    row = {"order_id": "0193", "order_status": state, "valid": 0, "identifiers": 2, "elapsed": elapsed, "timeout": 300}
    return json.dumps(row) + "\n"


@pytest.mark.parametrize(("transport", "status"), [("local", 0), ("faraway", 0), ("faraway", 1)])
def test_it_follows_the_file(transport: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Screen:
        def display(self, text: str) -> None:
            shown.append(text)

    monkeypatch.setattr(waiting, "Display", Screen)
    monkeypatch.setattr(waiting, "is_wanted", lambda: True)
    monkeypatch.setattr(waiting, "NOT_WORTH_A_WORD", 0.05)
    path = tmp_path / "progress"
    follower: Any = waiting._Follower(Connection(transport, status), str(path), "web1")
    follower.start()
    path.write_text(line("submitted", 3.0))
    time.sleep(1.6)
    with path.open("a") as file:
        file.write(line("processing-challenge", 5.0))
    time.sleep(2.2)
    path.unlink()
    follower.end()
    follower.join(5)
    assert not follower.is_alive()
    states = [text.split(": ")[1].split(",")[0] for text in shown]
    assert states == ([] if status else ["submitted", "processing-challenge"])
    assert all(text.startswith("[web1] … order 0193: ") for text in shown)


CALLBACK = """
DOCUMENTATION = '''
name: {name}
type: stdout
short_description: One of a user's own
description: One of a user's own.
'''
from ansible.plugins.callback{base} import CallbackModule as Base


class CallbackModule(Base):
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "{name}"
"""


ASK = """
import json, sys
from ansible import constants, context
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible_collections.certops.vault_extca.plugins.plugin_utils.waiting import is_wanted
found = {}
for name in sys.argv[1:]:
    constants.DEFAULT_STDOUT_CALLBACK = name
    found[name] = is_wanted()
context.CLIARGS = {"one_line": True}
constants.DEFAULT_STDOUT_CALLBACK = "default"
found["one_line"] = is_wanted()
print(json.dumps(found))
"""


def test_it_speaks_where_a_callback_prints_as_the_default_does(tmp_path: Path) -> None:
    """As ansible-playbook loads them, so in a process of its own."""
    for name, base in (("like_the_default", ".default"), ("like_minimal", ".minimal"), ("dense", ".default")):
        (tmp_path / f"{name}.py").write_text(CALLBACK.format(name=name, base=base))
    expected = {
        "default": True,
        "ansible.builtin.default": True,
        "like_the_default": True,
        "ansible.builtin.minimal": False,
        "ansible.builtin.oneline": False,
        "like_minimal": False,
        "dense": False,
        "there_is_none": False,
    }
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(tmp_path),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, *expected], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {**expected, "one_line": False}
