# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a waiting task shows, in playbooks that run as processes: on a terminal, through callbacks, and over connections."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.behaviour.harness import Engine, fresh_name, play
from tests.testbed import Sshd
from tests.tools.ansible_test import home
from tests.tools.tree import BUILD, REPOSITORY

LINE = re.compile(
    r"\[(?P<host>\S+)\] … order (?P<order>[0-9a-f-]{36}): (?P<state>[a-z -]+)"
    r"(, (?P<valid>\d+) of (?P<all>\d+) identifiers? valid)?, (?P<elapsed>\d+) s of (?P<timeout>\d+) s"
)
ALL_STATES = [
    "new",
    "submitted",
    "awaiting-challenge-fulfillment",
    "notify-acme-server-challenges-completed",
    "processing-challenge",
    "fetching-certificate",
]
# Those that last, in these tests. On a busy machine, others may be seen as well.
STATES = ["awaiting-challenge-fulfillment", "processing-challenge"]
# A connection that is not local as far as anybody can see, and JSON as the one thing on the terminal.
FARAWAY = """
DOCUMENTATION = '''
name: faraway
short_description: Elsewhere
description: Here, as if it were elsewhere.
'''
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "faraway"
"""
JSON_CALLBACK = """
DOCUMENTATION = '''
name: as_json
type: stdout
short_description: JSON
description: Results as JSON.
'''
import json
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "as_json"

    def v2_runner_on_ok(self, result):
        self._display.display(json.dumps({"changed": result._result["changed"]}))
"""


pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def slow(engine: Engine) -> Iterator[Engine]:
    """An engine whose orders are validated for 2.5 s, longer than the longest pause between two looks."""
    with engine.bench.scripts({"role": "web", "stay": {"processing-challenge": 2.5}}):
        yield engine


@contextlib.contextmanager
def fulfilled_later(engine: Engine, order_id: str) -> Iterator[None]:
    """Somebody who fulfils an order's challenges 4 s after it was first looked at."""
    engine.wait(order_id, "awaiting-challenge-fulfillment")
    engine.bench.forget_requests()

    def fulfil() -> None:
        while not any(one.path.endswith(f"{order_id}/status") for one in engine.bench.requests_made()):
            time.sleep(0.1)
        time.sleep(4)
        engine.fulfil(order_id)

    somebody = threading.Thread(target=fulfil)
    somebody.start()
    yield
    somebody.join()


def playbook(engine: Engine, order_id: str, *, wait: dict[str, Any] | None = None, **task: Any) -> str:
    """A play that waits for an order and tells some of the result."""
    options = {"mount": engine.mount, "role_name": "web", "order_id": order_id, "facts": "none", **(wait or {})}
    waiting = {
        "name": "Wait",
        "certops.vault_extca.vault_extca_order_certificate": options,
        "register": "issued",
        "no_log": True,
        **task,
    }
    dump = {
        "name": "Tell",
        "ansible.builtin.copy": {
            "content": "{{ issued | to_json }}",
            "dest": "{{ lookup('env', 'RESULT') }}",
            "mode": "0600",
        },
        "no_log": True,
    }
    return yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [waiting, dump]}])


def lines(output: str) -> list[dict[str, str | None]]:
    """What was shown."""
    return [found.groupdict() for found in LINE.finditer(output)]


def are_shown(shown: list[dict[str, str | None]], *, lasting: list[str]) -> bool:
    """Whether each state is shown once, in the order in which orders go through them, and none that lasts is left out."""
    seen = [one["state"] for one in shown]
    return seen == [state for state in ALL_STATES if state in seen] and set(lasting) <= set(seen)


def run(engine: Engine, directory: Path, text: str, *arguments: str, **environment: str) -> tuple[str, dict[str, Any]]:
    """The output of a play that succeeds, and the waiting task's result."""
    result = directory / "result.json"
    played = play(text, directory, engine.bench, *arguments, environment={"RESULT": str(result), **environment})
    assert played.status == 0, played.output
    return played.output, json.loads(result.read_text()) if result.exists() else {}


def leftovers(order_id: str) -> list[str]:
    """Files of modules that are over."""
    left = []
    for path in Path("/tmp").glob(".ansible-vault-extca-*"):
        with contextlib.suppress(FileNotFoundError):  # another test's
            left += [path.name] if order_id in path.read_text() else []
    return left


def test_each_change_of_state_is_shown_and_nothing_else_is_different(slow: Engine, tmp_path: Path) -> None:
    order_id = slow.order(fresh_name(), fresh_name())
    with fulfilled_later(slow, order_id):
        output, result = run(slow, tmp_path, playbook(slow, order_id))
    shown = lines(output)
    assert are_shown(shown, lasting=STATES), output
    assert {one["order"] for one in shown} == {order_id}
    assert {one["host"] for one in shown} == {"localhost"}
    assert shown[0]["valid"] == "0"
    assert {one["all"] for one in shown} == {"2"}
    assert {one["timeout"] for one in shown} == {"300"}
    assert "PRIVATE KEY" not in output
    assert result["order_status"] == "completed"
    assert result["changed"] is False
    made = [one.path.rsplit("/", 1)[-1] for one in slow.bench.requests_made()]
    assert made.count("fetch-cert") == 1
    assert made.count("status") == result["polls"] + 1  # and one by who fulfils it
    assert set(made) == {"status", "challenge", "fulfilled-challenge", "fetch-cert"}
    assert leftovers(order_id) == []
    # What the module returns by itself, and nothing else.
    plain = slow.run("order_certificate", {"role_name": "web", "order_id": order_id, "facts": "none"})
    differs = {"elapsed", "polls", "failed", "invocation"}
    assert {**result, **dict.fromkeys(differs)} == {**plain, **dict.fromkeys(differs)}


def test_hosts_that_wait_at_once_each_show_their_own_order(slow: Engine, tmp_path: Path) -> None:
    order_ids = {host: slow.order() for host in ("web1", "web2")}
    for order_id in order_ids.values():
        slow.wait(order_id, "awaiting-challenge-fulfillment")
    options = {
        "mount": slow.mount,
        "role_name": "web",
        "order_id": "{{ order_id }}",
        "facts": "none",
        "wait_timeout": 4,
    }
    task = {"certops.vault_extca.vault_extca_order_certificate": options, "failed_when": False, "no_log": True}
    hosts = {host: {"order_id": order_id} for host, order_id in order_ids.items()}
    shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": shared}}))
    text = yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}])
    output, _result = run(slow, tmp_path, text, "-i", str(inventory))
    assert {(one["host"], one["order"]) for one in lines(output)} == set(order_ids.items()), output


def test_a_terminal_sees_it_while_the_task_waits(slow: Engine, tmp_path: Path) -> None:
    """Before the task's own line, and before the wait is over."""
    order_id = slow.order()
    path = tmp_path / "playbook.yml"
    path.write_text(playbook(slow, order_id))
    terminal, other = pty.openpty()
    environment = {
        **os.environ,
        "HOME": str(home()),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "VAULT_ADDR": slow.bench.vault.url,
        "VAULT_TOKEN": slow.bench.vault.token,
        "RESULT": str(tmp_path / "result.json"),
        "TERM": "xterm",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(path)]
    with (
        fulfilled_later(slow, order_id),
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdin=other, stdout=other, stderr=other) as process,
    ):
        os.close(other)
        seen = b""
        seen_while_waiting = False
        while True:
            try:
                seen += os.read(terminal, 4096)
            except OSError:  # the other side is closed
                break
            if LINE.search(seen.decode(errors="ignore")) and not (tmp_path / "result.json").exists():
                seen_while_waiting = True
    os.close(terminal)
    text = seen.decode()
    assert process.returncode == 0, text
    assert seen_while_waiting, text
    assert text.index("processing-challenge") < text.index("ok: [localhost]")


def test_a_line_every_15_seconds_while_nothing_changes(engine: Engine, tmp_path: Path) -> None:
    order_id = engine.order(fresh_name(), fresh_name(), fresh_name())
    engine.wait(order_id, "awaiting-challenge-fulfillment")
    text = playbook(engine, order_id, wait={"wait_timeout": 21}, ignore_errors=True)
    output, result = run(engine, tmp_path, text)
    shown = lines(output)
    assert [one["state"] for one in shown] == ["awaiting-challenge-fulfillment"] * 2, output
    assert [one["valid"] for one in shown] == ["0", "0"]
    assert shown[0]["elapsed"] in ("2", "3")
    assert shown[1]["elapsed"] in ("17", "18", "19", "20")
    assert result["failed"] is True
    assert "is still awaiting-challenge-fulfillment after 21 s" in result["msg"]


def test_other_connections_and_users(slow: Engine, tmp_path: Path) -> None:
    """Over a connection of its own, for a module that another user runs, on the host that the task is delegated to."""
    (tmp_path / "connection_plugins").mkdir()
    (tmp_path / "connection_plugins" / "faraway.py").write_text(FARAWAY)
    order_id = slow.order()
    variables = {"ansible_connection": "faraway", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    text = playbook(
        slow,
        order_id,
        delegate_to="elsewhere",
        become=True,
        become_method="ansible.builtin.su",
        vars=variables,
    )
    with fulfilled_later(slow, order_id):
        output, result = run(slow, tmp_path, text)
    assert are_shown(lines(output), lasting=STATES), output
    assert result["order_status"] == "completed"
    assert leftovers(order_id) == []


@pytest.fixture(scope="module")
def far() -> Iterator[Sshd]:
    """A host that is reached over the network."""
    with Sshd() as running:
        yield running


@pytest.mark.parametrize("pipelining", [False, True])
def test_over_ssh(slow: Engine, far: Sshd, tmp_path: Path, pipelining: bool) -> None:
    order_id = slow.order()
    variables = {
        **far.host_variables(),
        "ansible_ssh_pipelining": pipelining,
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    # Modules read the environment of the host that they run on.
    environment = {"VAULT_ADDR": slow.bench.vault.url, "VAULT_TOKEN": slow.bench.vault.token}
    text = playbook(slow, order_id, delegate_to="far", vars=variables, environment=environment)
    with fulfilled_later(slow, order_id):
        output, result = run(slow, tmp_path, text)
    assert are_shown(lines(output), lasting=STATES), output
    assert {one["host"] for one in lines(output)} == {"localhost"}
    assert result["order_status"] == "completed"
    assert "Accepted publickey" in far.log.read_text()
    assert leftovers(order_id) == []


def test_a_certificate_from_nothing_is_one_order_whose_waits_count_as_one(slow: Engine, tmp_path: Path) -> None:
    # Pebble looks at challtestsrv's port, which knows nothing of it.
    task = {
        "certops.vault_extca.vault_extca_certificate": {
            "mount": slow.mount,
            "role_name": "web",
            "identifiers": [fresh_name()],
            "destination": {"fullchain": str(tmp_path / "chain.pem"), "private_key": str(tmp_path / "key.pem")},
            "http_01": {"webroot": str(tmp_path), "check_address": ""},
        },
    }
    with slow.bench.scripts({"role": "web", "stay": {"submitted": 3}, "fail": "enough", "in": "processing-challenge"}):
        text = yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
        played = play(text, tmp_path, slow.bench)
    assert played.status != 0
    shown = lines(played.output)
    assert shown, played.output
    assert are_shown(shown, lasting=[]), played.output
    # The second wait goes on counting where the first has ended.
    elapsed = [int(one["elapsed"] or 0) for one in shown]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] >= 2
    assert "enough" in played.output
    assert len(slow.api("LIST", "lookup/orders/recent?within=168h")["keys"]) == 1


@pytest.mark.parametrize(
    ("environment", "task", "arguments"),
    [
        pytest.param({"ANSIBLE_STDOUT_CALLBACK": "as_json"}, {}, (), id="json"),
        pytest.param({"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"}, {}, (), id="minimal"),
        pytest.param({"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline"}, {}, (), id="oneline"),
        pytest.param({"ANSIBLE_DISPLAY_OK_HOSTS": "false"}, {}, (), id="quiet"),
        pytest.param({"ANSIBLE_ASYNC_DIR": "{directory}/async"}, {"async": 60, "poll": 1}, (), id="async"),
        pytest.param({}, {}, ("--check",), id="check"),
    ],
)
def test_silence_where_it_is_wanted(
    slow: Engine, tmp_path: Path, environment: dict[str, str], task: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    (tmp_path / "callback_plugins").mkdir()
    (tmp_path / "callback_plugins" / "as_json.py").write_text(JSON_CALLBACK)
    order_id = slow.order()
    environment = {name: value.format(directory=tmp_path) for name, value in environment.items()}
    later = contextlib.nullcontext() if arguments else fulfilled_later(slow, order_id)
    with later:
        output, result = run(slow, tmp_path, playbook(slow, order_id, **task), *arguments, **environment)
    assert lines(output) == [], output
    assert "…" not in output
    if environment.get("ANSIBLE_STDOUT_CALLBACK") == "as_json":
        assert next(json.loads(line) for line in output.splitlines() if line) == {"changed": False}
    if not arguments:
        assert result["order_status"] == "completed"


def test_a_short_wait_is_not_worth_a_word(engine: Engine, tmp_path: Path) -> None:
    order_id = engine.order()
    engine.fulfil(order_id)
    output, result = run(engine, tmp_path, playbook(engine, order_id))
    assert "…" not in output
    assert result["order_status"] == "completed"
    assert leftovers(order_id) == []
