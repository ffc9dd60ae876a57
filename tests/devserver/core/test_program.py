# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m devserver`` as a program: options, ready line, signals, TLS, and the state that survives it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import pytest
import requests
import trustme

from devserver.__main__ import main
from tests.devserver.conftest import RunningServer

from .kv import KeyValue

ROOT = Path(__file__).parents[3]
READY = re.compile(r"devserver ready: VAULT_ADDR=(https?://127\.0\.0\.1:\d+) VAULT_TOKEN=(\S+)\n")


class Program:
    """A running ``python -m devserver``."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "devserver", "--listen", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = READY.fullmatch(line)
        assert ready is not None, (line, self.process.stderr.read() if self.process.stderr else "")
        self.url, self.token = ready.groups()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code and what else was written."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def client(self, token: str = "", **options: Any) -> hvac.Client:
        return hvac.Client(url=self.url, token=token or self.token, **options)


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    running: list[Program] = []

    def start(*arguments: str) -> Program:
        running.append(Program(*arguments))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What it says when it does not start."""

    def run(*arguments: str) -> str:
        try:
            code: Any = main(["--listen", "127.0.0.1:0", *arguments])
        except SystemExit as ended:
            code = ended.code
        assert code in (1, 2)
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_and_stops_cleanly(program: Callable[..., Program], number: int) -> None:
    one = program("--answer", "OQ-1=404", "--answer", "OQ-13=200")
    assert one.token.startswith("hvs.")
    assert one.client().is_authenticated()
    answers = requests.get(f"{one.url}/dev/answers", timeout=5).json()
    assert (answers["OQ-1"], answers["OQ-2"], answers["OQ-13"]) == ("404", "404", "200")
    assert one.stop(number) == (0, "", "")


def test_the_engine_is_there(program: Callable[..., Program]) -> None:
    client = program("--root-token", "mine").client("mine")
    client.sys.enable_secrets_engine("pki-external-ca", path="acme/external")
    assert client.sys.list_mounted_secrets_engines()["data"]["acme/external/"]["type"] == "pki-external-ca"


def test_tokens_mounts_policies_and_namespaces_survive(program: Callable[..., Program], tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    one = program("--state-file", state)
    root = one.client()
    root.sys.create_namespace("team")
    inside = one.client(namespace="team")
    inside.sys.enable_secrets_engine("pki-external-ca", path="acme", description="kept")
    inside.sys.enable_auth_method("userpass")
    inside.auth.userpass.create_or_update_user("ann", "pw", "mine")
    inside.sys.create_or_update_policy("mine", 'path "sys/mounts" { capabilities = ["read"] }')
    login = inside.auth.userpass.login("ann", "pw", use_token=False)["auth"]
    wrapped = root.sys.wrap({"a": "b"}, ttl=600)["wrap_info"]["token"]
    before = inside.sys.list_mounted_secrets_engines()["data"]
    cluster = root.sys.read_seal_status()["cluster_id"]
    assert one.stop()[0] == 0

    two = program("--state-file", state)
    assert two.token == one.token
    assert two.client().sys.read_seal_status()["cluster_id"] == cluster
    ann = two.client(login["client_token"], namespace="team")
    assert ann.auth.token.lookup_self()["data"]["entity_id"] == login["entity_id"]
    assert ann.sys.list_mounted_secrets_engines()["data"] == before
    assert two.client(namespace="team").auth.userpass.login("ann", "pw")["auth"]["entity_id"] == login["entity_id"]
    assert two.client(wrapped).sys.unwrap()["data"] == {"a": "b"}
    assert two.stop()[0] == 0

    three = program("--state-file", state, "--root-token", "another")
    assert three.client("another").is_authenticated()
    assert not three.client(one.token).is_authenticated(), "the root token before this one still works"


def test_a_state_file_is_for_one_server_at_a_time(program: Callable[..., Program], tmp_path: Path) -> None:
    state = tmp_path / "state"
    one = program("--state-file", str(state))
    arguments = ("--listen", "127.0.0.1:0", "--root-token", "another", "--state-file", str(state))
    second = subprocess.run(
        [sys.executable, "-m", "devserver", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (second.returncode, second.stdout) == (1, "")
    assert f"cannot use {state} as state file: another server is using it" in second.stderr
    assert one.client().is_authenticated()
    assert one.stop()[0] == 0
    assert program("--state-file", str(state)).token == one.token


def test_what_a_backend_stored_survives(make_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    first = make_server(backends={"kv": KeyValue}, state_file=tmp_path / "state")
    first.client().sys.enable_secrets_engine("kv", path="kv")
    first.request("PUT", "kv/data/kept", json={"text": "x"})
    first.stop()
    second = make_server(backends={"kv": KeyValue}, state_file=tmp_path / "state")
    assert second.request("GET", "kv/data/kept").json()["data"]["text"] == "x"
    assert second.vault.namespaces[""].mounts["kv/"].backend.started == 1  # type: ignore[attr-defined]


def test_tls(program: Callable[..., Program], tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    one = program("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(ca))
    assert one.url.startswith("https://")
    assert one.client(verify=str(ca)).is_authenticated()
    with pytest.raises(requests.exceptions.SSLError):
        one.client().is_authenticated()
    assert one.stop() == (0, "", "")


def test_bad_options_are_one_line(refused: Callable[..., str], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("none", encoding="ascii")
    assert "use one of 400, 404, 200" in refused("--answer", "OQ-1=500")
    assert "there is no question 'OQ-77'" in refused("--answer", "OQ-77=1")
    assert "--tls-cert and --tls-key go together" in refused("--tls-cert", str(key))
    assert "--tls-client-ca needs" in refused("--tls-client-ca", str(key))
    assert str(key) in refused("--tls-cert", str(key), "--tls-key", str(key))
    assert "not of the form HOST:PORT" in refused("--listen", "8200")
    assert "nowhere" in refused("--state-file", str(tmp_path / "nowhere" / "state"))


def test_a_port_that_is_taken(program: Callable[..., Program], refused: Callable[..., str]) -> None:
    address = program().url.removeprefix("http://")
    assert address in refused("--listen", address)
