# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Vault's environment variables, as its own command line reads them, behind the options of a task."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import PrivateCa
from tests.tools.tree import REPOSITORY
from tests.unit.running import run_main

from .harness import Bench
from .pitfalls import SmallServer, refuse_to_proxy
from .scripted import ScriptedServer

MODULE = "vault_extca_order_info"
MOUNT = "environment-tests"
ORDERS: dict[str, Any] = {"LIST /v1/environment-tests/lookup/orders": {"data": {"keys": []}}}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def mounted(bench: Bench) -> Iterator[Bench]:
    """The Vault without TLS, with an engine in a namespace and one outside."""
    bench.api("POST", "sys/namespaces/team")
    for namespace in ("", "team/"):
        bench.api("POST", f"sys/mounts/{MOUNT}", {"type": "pki-external-ca"}, namespace=namespace)
    bench.forget_requests()
    yield bench
    for namespace in ("", "team/"):
        bench.api("DELETE", f"sys/mounts/{MOUNT}", namespace=namespace)
    bench.api("DELETE", "sys/namespaces/team")


@pytest.fixture
def mounted_tls(tls_bench: tuple[Bench, PrivateCa]) -> Iterator[Bench]:
    """The Vault with TLS, and an engine."""
    bench, _client_ca = tls_bench
    bench.api("POST", f"sys/mounts/{MOUNT}", {"type": "pki-external-ca"})
    bench.forget_requests()
    yield bench
    bench.api("DELETE", f"sys/mounts/{MOUNT}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run(options, VAULT_ADDR=…)`` runs a module that asks one question; with ``fails`` it must fail, and tell why."""

    def run(options: dict[str, Any], *, fails: bool = False, **environment: str) -> dict[str, Any]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            result = run_main(MODULE, {"mount": MOUNT, **options})
        assert bool(result.get("failed")) is fails, result.get("msg")
        return result

    return run


def test_address_token_and_namespace(mounted: Bench, run: Run) -> None:
    vault = {"VAULT_ADDR": mounted.vault.url, "VAULT_TOKEN": mounted.vault.token}
    run({}, **vault)
    run({}, **vault, VAULT_NAMESPACE="team")
    run({"namespace": "team/"}, **vault, VAULT_NAMESPACE="elsewhere")
    assert [one.namespace for one in mounted.requests_made()] == ["", "team", "team/"]


def test_an_option_is_worth_more_than_the_environment(mounted: Bench, run: Run) -> None:
    options = {"url": mounted.vault.url, "token": mounted.vault.token, "timeout": 5, "retries": 0}
    run(
        options,
        VAULT_ADDR="http://nowhere.invalid",
        VAULT_TOKEN="x",
        VAULT_CLIENT_TIMEOUT="soon",
        VAULT_MAX_RETRIES="x",
    )


def test_an_agent_is_asked_before_vault(run: Run) -> None:
    with ScriptedServer(ORDERS) as agent:
        run({"auth_method": "none"}, VAULT_AGENT_ADDR=agent.url, VAULT_ADDR="http://nowhere.invalid")
    assert len(agent.asked) == 1


@pytest.mark.parametrize("variable", ["VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY"])
def test_a_proxy(run: Run, variable: str) -> None:
    target = "LIST http://vault.invalid:8200/v1/environment-tests/lookup/orders"
    with ScriptedServer({target: {"data": {"keys": []}}}) as proxy:
        run({"token": "x"}, VAULT_ADDR="http://vault.invalid:8200", **{variable: proxy.url})
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_the_proxy_of_everybody_is_third(run: Run, variable: str) -> None:
    target = "LIST http://vault.invalid:8200/v1/environment-tests/lookup/orders"
    vault = {"VAULT_ADDR": "http://vault.invalid:8200", "VAULT_TOKEN": "x"}
    with ScriptedServer({target: {"data": {"keys": []}}}) as proxy, ScriptedServer() as other:
        run({}, **vault, **{variable.lower(): proxy.url, variable: proxy.url})
        run({}, **vault, VAULT_HTTP_PROXY=proxy.url, **{variable.lower(): other.url, variable: other.url})
        run({}, **vault, VAULT_PROXY_ADDR=proxy.url, VAULT_HTTP_PROXY=other.url)
        unused = run({}, fails=True, **vault, NO_PROXY="vault.invalid", **{variable: proxy.url})
    assert "cannot be resolved" in unused["msg"]
    assert len(proxy.asked) == 3
    assert other.asked == []


def test_the_proxy_of_everybody_for_https(run: Run) -> None:
    vault = {"VAULT_ADDR": "https://vault.invalid:8200", "VAULT_TOKEN": "hvs.unused"}
    with SmallServer(refuse_to_proxy) as proxy:
        message = run({}, fails=True, **vault, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")["msg"]
        assert "407 Proxy Authentication Required. Check proxies" in message
        run({}, fails=True, **vault, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}", NO_PROXY="vault.invalid")
        assert proxy.connections == 1


# What Vault's command line and its library read besides, which means nothing here.
NOT_READ = {
    "VAULT_HEADERS": '{"X-Planted": "x"}',
    "VAULT_RATE_LIMIT": "none",
    "VAULT_SRV_LOOKUP": "true",
    "VAULT_WRAP_TTL": "60s",
    "VAULT_MFA": "totp:1",
    "VAULT_CONFIG_PATH": "/nowhere",
    "VAULT_FORMAT": "yaml",
    "VAULT_DETAILED": "true",
    "VAULT_CLI_NO_COLOR": "true",
}


def test_what_is_not_read_changes_nothing(run: Run) -> None:
    with ScriptedServer(ORDERS) as vault:
        run({"token": "x"}, VAULT_ADDR=vault.url)
        run({"token": "x"}, VAULT_ADDR=vault.url, **NOT_READ)
    one, other = vault.asked
    assert one == other


def test_every_variable_is_documented_and_tested() -> None:
    read: set[str] = set()
    for path in (REPOSITORY / "plugins" / "module_utils").glob("vault_*.py"):
        read |= set(re.findall(r"\bVAULT_[A-Z_]+\b", path.read_text()))
    text = (REPOSITORY / "docs" / "security.md").read_text()
    table, _heading, others = text.partition("Not read are")
    assert set(re.findall(r"`(VAULT_\w+)`", table)) == read
    assert set(re.findall(r"`(VAULT_\w+)`", others.partition("\n## ")[0])) == set(NOT_READ)
    tests = Path(__file__).read_text()
    assert [name for name in read if len(re.findall(rf"\b{name}\b", tests)) == 0] == []


@pytest.fixture
def tls(mounted_tls: Bench) -> dict[str, str]:
    """The variables that lead to the Vault with TLS, but for those that make it trusted."""
    return {"VAULT_ADDR": mounted_tls.vault.url, "VAULT_TOKEN": mounted_tls.vault.token}


def test_a_certificate_of_no_known_authority(run: Run, tls: dict[str, str]) -> None:
    message = run({}, fails=True, **tls)["msg"]
    assert "cannot be trusted" in message
    assert "Set ca_cert" in message


def test_authorities_as_file_text_and_directory(run: Run, tls: dict[str, str], bench: Bench, tmp_path: Path) -> None:
    run({}, **tls, VAULT_CACERT=str(bench.ca.certificate))
    run({}, **tls, VAULT_CACERT_BYTES=bench.ca.pem)
    (tmp_path / "ca.pem").write_text(bench.ca.pem)
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
    run({}, **tls, VAULT_CAPATH=str(tmp_path))
    message = run({}, fails=True, **tls, VAULT_CACERT="/nowhere/ca.pem")["msg"]
    assert "'/nowhere/ca.pem' does not exist" in message


def test_what_is_kept_for_the_tls_library_goes_with_the_task(
    run: Run, tls: dict[str, str], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run({}, **tls, VAULT_CACERT_BYTES=bench.ca.pem)
    run({"order_id": "!"}, fails=True, **tls, VAULT_CACERT_BYTES=bench.ca.pem)
    run({"auth_method": "jwt", "role_id": "x", "jwt": "x"}, fails=True, **tls, VAULT_CACERT_BYTES=bench.ca.pem)
    assert list(tmp_path.glob("vault-ca-*")) == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("yes", ["1", "t", "TRUE"])
def test_validation_turned_off(run: Run, tls: dict[str, str], yes: str) -> None:
    run({}, **tls, VAULT_SKIP_VERIFY=yes)
    message = run({"validate_certs": True}, fails=True, **tls, VAULT_SKIP_VERIFY=yes)["msg"]
    assert "cannot be trusted" in message


@pytest.mark.parametrize("no", ["0", "false", "F", ""])
def test_validation_left_on(run: Run, tls: dict[str, str], no: str) -> None:
    assert "cannot be trusted" in run({}, fails=True, **tls, VAULT_SKIP_VERIFY=no)["msg"]


def test_a_switch_that_says_neither_yes_nor_no_is_refused(run: Run, tls: dict[str, str]) -> None:
    message = run({}, fails=True, **tls, VAULT_SKIP_VERIFY="perhaps")["msg"]
    assert message == "VAULT_SKIP_VERIFY is 'perhaps' in the environment of the task; write true or false."


def test_the_name_in_the_certificate_may_be_another_than_the_address(
    run: Run, tls: dict[str, str], bench: Bench
) -> None:
    trusted = {**tls, "VAULT_CACERT": str(bench.ca.certificate)}
    run({}, **trusted, VAULT_TLS_SERVER_NAME="vault.internal")
    message = run({}, fails=True, **trusted, VAULT_TLS_SERVER_NAME="vault.elsewhere")["msg"]
    assert "VAULT_TLS_SERVER_NAME" in message


def test_a_client_certificate(
    run: Run, tls_bench: tuple[Bench, PrivateCa], mounted_tls: Bench, bench: Bench, tmp_path: Path
) -> None:
    client_ca = tls_bench[1]
    mounted_tls.api("POST", "sys/auth/machines", {"type": "cert"})
    mounted_tls.api("POST", "sys/policies/acl/orders", {"policy": 'path "+/lookup/orders" { capabilities = ["list"] }'})
    role = {"certificate": client_ca.pem, "token_policies": ["orders"]}
    mounted_tls.api("POST", "auth/machines/certs/hosts", role)
    client = client_ca.issue("host.example.com", label="host", common_name="host.example.com")
    login = {"auth_method": "cert", "mount_point": "machines", "url": mounted_tls.vault.url}
    trust = {"VAULT_CACERT": str(bench.ca.certificate), "VAULT_CLIENT_CERT": str(client.certificate)}
    run(login, **trust, VAULT_CLIENT_KEY=str(client.key))
    message = run(login, fails=True, VAULT_CACERT=str(bench.ca.certificate))["msg"]
    assert message == "auth_method cert needs cert_auth_public_key and cert_auth_private_key."
    message = run(login, fails=True, **trust, VAULT_CLIENT_KEY="/nowhere/key.pem")["msg"]
    assert "'/nowhere/key.pem' does not exist" in message
    encrypted = tmp_path / "encrypted.pem"
    command = ["openssl", "pkey", "-in", str(client.key), "-aes256", "-passout", "pass:x", "-out", str(encrypted)]
    subprocess.run(command, check=True)
    message = run(login, fails=True, **trust, VAULT_CLIENT_KEY=str(encrypted))["msg"]
    assert "must not be encrypted" in message


def test_a_timeout(mounted: Bench, run: Run) -> None:
    vault = {"VAULT_ADDR": mounted.vault.url, "VAULT_TOKEN": mounted.vault.token}
    with mounted.faults({"kind": "hang", "path": "lookup/orders", "delay": 10}):
        message = run({}, fails=True, **vault, VAULT_CLIENT_TIMEOUT="1s")["msg"]
    assert "did not answer within 1 s" in message
    message = run({}, fails=True, **vault, VAULT_CLIENT_TIMEOUT="soon")["msg"]
    assert message.startswith("timeout: 'soon' is not a duration")


def test_retries(mounted: Bench, run: Run) -> None:
    vault = {"VAULT_ADDR": mounted.vault.url, "VAULT_TOKEN": mounted.vault.token}
    trouble = {"kind": "status", "status": 503, "path": "lookup/orders", "count": 2}
    with mounted.faults(trouble):
        assert "503" in run({}, fails=True, **vault)["msg"]
    with mounted.faults(trouble):
        assert len(run({}, **vault, VAULT_MAX_RETRIES="2")["warnings"]) == 2
    with mounted.faults(trouble):
        assert "warnings" not in run({"retry_action": "ignore"}, **vault, VAULT_MAX_RETRIES="2")
    assert "neither a number" in run({}, fails=True, **vault, VAULT_MAX_RETRIES="some")["msg"]


@pytest.mark.parametrize(
    ("fault", "is_repeated"),
    [
        ({"kind": "status", "status": 412}, True),
        ({"kind": "status", "status": 503}, True),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "0"}}, True),
        ({"kind": "status", "status": 500}, False),
        ({"kind": "status", "status": 502}, False),
        ({"kind": "reset"}, False),
        ({"kind": "hang", "delay": 5}, False),
    ],
    ids=lambda value: str(value.get("status", value["kind"])) if isinstance(value, dict) else None,
)
def test_an_order_that_may_have_been_made_is_not_ordered_twice(
    mounted: Bench, fault: dict[str, Any], is_repeated: bool
) -> None:
    options = {"mount": MOUNT, "role_name": "web", "identifiers": ["www.example.com"], "reuse": "never"}
    vault = {"url": mounted.vault.url, "token": mounted.vault.token, "retries": 3, "timeout": 1}
    with mounted.faults({**fault, "path": "role/web/new-order", "count": 1}):
        result = run_main("vault_extca_order", {**options, **vault})
    # There is no such role: that is said to the second request, and to none before it.
    is_told = "answered 400 to POST" in result["msg"]
    assert (is_told, len(result.get("warnings", []))) == (is_repeated, int(is_repeated)), result["msg"]


def test_redirects(mounted: Bench, run: Run) -> None:
    vault = {"VAULT_ADDR": mounted.vault.url, "VAULT_TOKEN": mounted.vault.token}
    to_itself = {"kind": "redirect", "location": mounted.vault.url, "path": "lookup/orders", "count": 1}
    with mounted.faults(to_itself):
        run({}, **vault)
    with mounted.faults(to_itself):
        message = run({}, fails=True, **vault, VAULT_DISABLE_REDIRECTS="true")["msg"]
    assert "VAULT_DISABLE_REDIRECTS forbids to follow" in message
    with ScriptedServer() as elsewhere:
        location = elsewhere.url.replace("127.0.0.1", "localhost")
        with mounted.faults({"kind": "redirect", "location": location, "path": "lookup/orders", "count": 1}):
            message = run({}, fails=True, **vault)["msg"]
    assert "The token was not sent there" in message
    assert elsewhere.asked == []
