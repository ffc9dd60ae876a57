# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Services start with their own words when they fail, and end whatever happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from . import Bind, Nginx, Pebble, PebbleOptions, PrivateCa, Service, ServiceError, free_port
from .process import answers

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 20.0  # seconds


class _Shell(Service):
    name = "shell"
    ready_timeout = 0.5
    stop_timeout = 0.5

    def __init__(self, script: str, ready: bool = True) -> None:
        super().__init__()
        self._script, self._ready = script, ready

    def command(self) -> Sequence[str]:
        return ["sh", "-c", self._script]

    def is_ready(self) -> bool:
        return self._ready


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _until_gone(pids: Sequence[int]) -> list[int]:
    deadline = time.monotonic() + _PATIENCE
    while (running := [pid for pid in pids if _is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


def test_a_service_that_ends_says_its_last_words() -> None:
    with (
        pytest.raises(ServiceError, match=r"(?s)shell ended with status 3:.*no such zone"),
        _Shell("echo no such zone; exit 3", ready=False),
    ):
        pass


def test_a_service_that_is_never_ready_is_stopped() -> None:
    service = _Shell("echo still starting; exec sleep 60", ready=False)
    with pytest.raises(ServiceError, match=r"(?s)not ready after.*still starting"):
        service.start()
    with pytest.raises(ServiceError, match="is not running"):
        print(service.pid)


def test_a_service_ends_with_its_context_even_after_an_error() -> None:
    with contextlib.suppress(KeyError), _Shell("exec sleep 60") as service:
        pid, directory = service.pid, service.directory
        raise KeyError
    assert not _is_running(pid)
    assert not directory.exists()


def test_a_service_that_ignores_sigterm_is_killed() -> None:
    with _Shell("trap '' TERM; while :; do sleep 0.1; done") as service:
        pid = service.pid
        time.sleep(0.2)
    assert not _is_running(pid)


@pytest.fixture
def adopted() -> Iterator[list[int]]:
    """Process ids whose orphans become children of this process, so that they can be waited for and leave no zombies."""
    set_child_subreaper = 36
    libc = ctypes.CDLL(None)
    pids: list[int] = []
    libc.prctl(set_child_subreaper, 1, 0, 0, 0)
    yield pids
    libc.prctl(set_child_subreaper, 0, 0, 0, 0)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_services_end_when_the_command_is_killed(
    number: signal.Signals, tmp_path: Path, adopted: list[int]
) -> None:
    variables = tmp_path / "vars.json"
    command = [sys.executable, "-m", "tests.testbed", "up", "--small", "--vars", str(variables)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=_REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as testbed:
        assert testbed.stdout is not None
        while not testbed.stdout.readline().startswith("VAULT_TOKEN="):
            assert testbed.poll() is None
        children = Path(f"/proc/{testbed.pid}/task/{testbed.pid}/children").read_text().split()
        grandchildren = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in children]
        adopted += [int(pid) for pid in [*children, *(pid for group in grandchildren for pid in group)]]
        testbed.send_signal(number)
        testbed.wait(_PATIENCE)
    assert len(children) == 4
    assert _until_gone(adopted) == []
    if number == signal.SIGTERM:
        assert list(tmp_path.iterdir()) == []


def test_the_command_passes_on_status_and_coordinates() -> None:
    command = [sys.executable, "-m", "tests.testbed", "run", "--small", "--"]
    script = 'test -n "$VAULT_ADDR" && test -r "$TESTBED_ACME_CA" && exit 7'
    done = subprocess.run([*command, "sh", "-c", script], cwd=_REPOSITORY, check=False)
    assert done.returncode == 7


def test_pebble_takes_its_options(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    with Pebble(ca, PebbleOptions(eab_keys={"kid": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3M"})) as pebble:
        assert '"externalAccountRequired": true' in pebble.fetch(pebble.directory_url)
        assert "BEGIN CERTIFICATE" in pebble.root_pem()
        with pytest.raises(KeyError, match="no certificate with serial 123"):
            pebble.certificate_status(0x123)


def test_bind_answers_for_its_zones_alone() -> None:
    with Bind() as bind:
        assert bind.query("www.example.com", "A") == ["127.0.0.1"]
        assert bind.query("www.example.net", "A") == ["127.0.0.1"]
        assert bind.query("www.elsewhere.example", "A") == []


def test_nginx_says_what_is_wrong_with_its_configuration() -> None:
    with pytest.raises(ServiceError, match="unknown directive"), Nginx("no_such_directive;", [free_port()]):
        pass


def test_free_ports_are_free_and_differ() -> None:
    ports = [free_port() for _attempt in range(20)]
    assert len(set(ports)) == 20
    assert not any(map(answers, ports))
