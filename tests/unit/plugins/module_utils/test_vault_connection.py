# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Requests and what comes back: answers, refusals, trouble."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from ansible_collections.certops.vault_extca.plugins.module_utils import deadlines, vault_connection
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import VaultConnection
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import (
    BadRequest,
    InvalidInput,
    LoginFailed,
    MissingLibrary,
    NotFound,
    PermissionDenied,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    VaultError,
)

from ...conftest import RunModule
from ...issuing import SmallCA, key_pem, pem
from ...support import NO_CONTENT, Answer, FakeVault

URL = "http://vault.test:8200"


def connect(environ: Mapping[str, str] | None = None, **options: Any) -> VaultConnection:
    return VaultConnection({"url": URL, "token": "hvs.unit", **options}, environ=environ or {})


# ---------------------------------------------------------------------- answers


def test_a_request_carries_token_namespace_and_parameters(vault: FakeVault) -> None:
    vault.on("GET", "a/b c", Answer({"x": 1}, warnings=["careful"]))
    answer = connect(namespace="team/a").request("GET", "a/b%20c", params={"p": "q"})
    assert (answer.status, answer.data, answer.warnings) == (200, {"x": 1}, ["careful"])
    assert answer.body["data"] == {"x": 1}
    sent = vault.sent[0]
    assert (sent.raw_path, sent.params) == ("/v1/a/b%20c", {"p": ["q"]})
    assert sent.headers["X-Vault-Token"] == "hvs.unit"
    assert sent.headers["X-Vault-Namespace"] == "team/a"
    assert sent.headers["X-Vault-Request"] == "true"


def test_no_content_is_an_answer(vault: FakeVault) -> None:
    vault.on("DELETE", "a", NO_CONTENT)
    assert connect().request("DELETE", "a")[:3] == (204, None, [])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (
            Answer(text="<html>hello</html>", headers={"Content-Type": "text/html; charset=utf-8"}),
            "18 bytes of text/html",
        ),
        (Answer(text='{"data": {"a'), "bytes of application/json instead of Vault's JSON"),
        (Answer(text="[]"), "2 bytes"),
        (Answer(text='{"data": []}'), "instead of Vault's JSON"),
        (Answer(text="[" * 200_000), "200000 bytes"),
        (Answer(text=""), "an empty body"),
    ],
)
def test_what_is_not_vaults_answer_is_told(vault: FakeVault, answer: Answer, complaint: str) -> None:
    vault.on("GET", "a", answer)
    with pytest.raises(UnexpectedAnswer, match="nothing between") as caught:
        connect().request("GET", "a")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("warnings", ["5", '"careful"', "{}"])
def test_warnings_that_are_no_list_are_none(vault: FakeVault, warnings: str) -> None:
    vault.on("GET", "a", Answer(text=f'{{"data": {{}}, "warnings": {warnings}}}'))
    assert connect().request("GET", "a").warnings == []


def test_an_answer_without_end_is_no_answer(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_connection, "LARGEST_ANSWER", 10)
    vault.on("GET", "a", Answer(text="x" * 11))
    with pytest.raises(UnexpectedAnswer, match="is larger than 0 MiB"):
        connect().request("GET", "a")


def test_an_answer_that_drips_is_cut_off(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "finish", lambda: True)
    vault.on("GET", "a", Answer({"x": 1}))
    with pytest.raises(Unreachable, match="did not answer within 30 s"):
        connect().request("GET", "a")


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (405, BadRequest),
        (403, PermissionDenied),
        (404, NotFound),
        (412, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
    ],
)
def test_every_refusal_says_what_vault_said(vault: FakeVault, status: int, kind: type[VaultError]) -> None:
    vault.on("GET", "a", Answer(status=status, errors=["1 error occurred:\n\t* it is so\n\n", "really"]))
    with pytest.raises(kind) as caught:
        connect().request("GET", "a")
    error = caught.value
    assert f"Vault at {URL} answered {status} to GET /v1/a: 1 error occurred: * it is so; really" in str(error)
    assert (error.status, error.path, len(error.errors)) == (status, "a", 2)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "<html>404 Not Found</html>"),
        (404, '{"message": "no Route matched with those values"}'),
        (400, "Client sent an HTTP request to an HTTPS server."),
        (400, ""),
    ],
)
@pytest.mark.parametrize("module", ["role_info", "role", "order_info", "certificate_info"])
def test_another_server_is_not_believed_that_there_is_nothing(
    vault: FakeVault, run_module: RunModule, module: str, status: int, text: str
) -> None:
    answer = Answer(status=status, text=text)
    vault.on("GET", "pki-external-ca/role/web", answer)
    vault.on("GET", "pki-external-ca/role/web/cached", answer)
    vault.on("LIST", "pki-external-ca/lookup/orders", answer)
    options: dict[str, dict[str, Any]] = {
        "role_info": {"name": "web"},
        "role": {"name": "web", "state": "absent"},
        "order_info": {},
        "certificate_info": {"role_name": "web", "identifiers": ["www.example.com"]},
    }
    result = run_module(f"vault_extca_{module}", options[module])
    assert f"answered {status} to " in result["msg"]
    assert "with the right one of http and https, and that nothing between answers for Vault" in result["msg"]


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (Answer(status=503, errors=["Vault is sealed"]), "Unseal it"),
        (Answer(status=502, text="<html>"), "A proxy or load balancer answers in its place"),
        (Answer(status=412, errors=["x"]), "has not caught up"),
        (Answer(status=429, errors=["x"]), "A quota limits"),
        (Answer(status=500, errors=["x"]), "Look into Vault's log"),
        (Answer(status=400, errors=[]), "Check url, mount and namespace"),
    ],
)
def test_every_refusal_says_what_to_do(vault: FakeVault, answer: Answer, remedy: str) -> None:
    vault.on("GET", "a", answer)
    with pytest.raises(VaultError, match=remedy):
        connect().request("GET", "a")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), (" 30 ", 30.0), ("soon", None), ("", None), (formatdate(0, usegmt=True), 0.0)],
)
def test_retry_after_is_seconds_or_a_date(vault: FakeVault, header: str, seconds: float | None) -> None:
    vault.on("GET", "a", Answer(status=429, errors=["slow down"], headers={"Retry-After": header}))
    with pytest.raises(Unavailable) as caught:
        connect().request("GET", "a")
    assert caught.value.retry_after == seconds


def test_a_secret_that_a_server_repeats_is_not_repeated_again(vault: FakeVault) -> None:
    vault.on("GET", "a", Answer(status=400, errors=["unknown token hvs.unit for alice"]))
    connection = VaultConnection(
        {"url": URL, "token": "hvs.unit"}, environ={}, conceal=lambda text: text.replace("alice", "***")
    )
    with pytest.raises(BadRequest) as caught:
        connection.request("GET", "a")
    assert "unknown token ******** for ***" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "held", "said"),
    [
        ("GET", {"a": ["deny"]}, "the token has nothing there, and lacks read"),
        ("GET", {"a": ["create", "update"]}, "the token has create, update there, and lacks read"),
        ("LIST", {"a": ["read"], "a/": ["read"]}, "the token has read there, and lacks list"),
        ("LIST", {"a": ["read"], "a/": ["list"]}, None),
        ("POST", {"a": ["update"]}, None),
        ("POST", {"a": ["root"]}, None),
        ("POST", {}, None),
    ],
)
def test_what_a_token_lacks(vault: FakeVault, method: str, held: dict[str, list[str]], said: str | None) -> None:
    vault.on(method, "a", Answer(status=403, errors=["permission denied"]))
    vault.on("POST", "sys/capabilities-self", Answer(held))
    connection = connect()
    with pytest.raises(PermissionDenied) as caught:
        connection.request(method, "a")
    assert connection.missing_capability(caught.value) == said


def test_to_create_is_another_capability_than_to_update(vault: FakeVault) -> None:
    vault.on("POST", "a", Answer(status=403, errors=["permission denied"]))
    vault.on("POST", "sys/capabilities-self", Answer({"a": ["update"]}), Answer(status=403, errors=["no"]))
    connection = connect()
    with pytest.raises(PermissionDenied) as caught:
        connection.request("POST", "a", body={}, creates=True)
    assert connection.missing_capability(caught.value) == "the token has update there, and lacks create"
    assert connection.missing_capability(caught.value) is None


# ---------------------------------------------------------------------- redirects


def redirect(location: str, status: int = 307) -> Answer:
    return Answer(status=status, text="", headers={"Location": location})


@pytest.mark.parametrize("location", ["http://vault.test:8300/v1/a", "https://vault.test:8200/v1/a", "/v1/a"])
def test_a_standby_names_the_active_node(vault: FakeVault, location: str) -> None:
    vault.on("GET", "a", redirect(location), Answer({"x": 1}))
    assert connect().request("GET", "a").data == {"x": 1}


def test_a_path_before_the_api_is_kept(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []

    def send(adapter: Any, request: Any, **how: Any) -> Any:
        urls.append(request.url)
        request.url = request.url.replace("/vault/", "/")
        return vault.send(adapter, request, **how)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    vault.on("GET", "a/b c", redirect("https://vault.test/vault/v1/a/b%20c"), Answer({"x": 1}))
    assert connect(url="http://vault.test/vault").request("GET", "a/b%20c").data == {"x": 1}
    assert urls == ["http://vault.test/vault/v1/a/b%20c", "https://vault.test/vault/v1/a/b%20c"]


@pytest.mark.parametrize(
    ("location", "environ", "complaint"),
    [
        ("https://evil.test/v1/a", {}, "redirects to https://evil.test, another place. The token was not sent there"),
        ("http://vault.test:99999/v1/a", {}, "which is no address"),
        (
            "http://u:p@vault.test/",
            {"VAULT_DISABLE_REDIRECTS": "1"},
            r"redirects to http://\*\*\*@vault.test/, and VAULT_DIS",
        ),
    ],
)
def test_a_token_is_not_carried_elsewhere(
    vault: FakeVault, location: str, environ: dict[str, str], complaint: str
) -> None:
    vault.on("GET", "a", redirect(location))
    with pytest.raises(VaultError, match=complaint):
        connect(environ).request("GET", "a")
    assert len(vault.sent) == 1


def test_tls_is_not_given_up_and_circles_end(vault: FakeVault) -> None:
    vault.on("GET", "a", redirect("http://vault.test:8200/v1/a"))
    with pytest.raises(VaultError, match="another place"):
        connect(url="https://vault.test:8200").request("GET", "a")
    with pytest.raises(VaultError, match="redirects in a circle"):
        connect().request("GET", "a")


# ---------------------------------------------------------------------- trouble

E = requests.exceptions
POOL = "HTTPSConnectionPool(host='vault.test', port=8200): Max retries exceeded with url: /v1/a (Caused by "


@pytest.mark.parametrize(
    ("error", "complaint", "transient"),
    [
        (
            E.ConnectionError(POOL + "X(<x object at 0x7f>: '[Errno 111] Connection refused'))"),
            "reached: Connection refused.",
            True,
        ),
        (E.ConnectionError("Failed to resolve 'vault.test'"), "the host name cannot be resolved", True),
        (E.ConnectionError("Read timed out"), "did not answer within 30 s", True),
        (E.ConnectTimeout("x"), "did not accept a connection within 30 s", True),
        (E.ReadTimeout("x"), "did not answer within 30 s", True),
        (E.ProxyError("tunnel http://u:p@proxy failed"), r"The proxy to .* http://\*\*\*@proxy", True),
        (E.ChunkedEncodingError("IncompleteRead"), "broke off: IncompleteRead. Check what lies between", True),
        (
            E.SSLError("certificate verify failed: self-signed certificate (_ssl.c:1)"),
            "Set ca_cert to the certificate",
            False,
        ),
        (E.SSLError("certificate verify failed: certificate has expired (x)"), "Renew the certificate", False),
        (E.SSLError("hostname 'x' doesn't match 'y'"), "another host name. Use in url a name", False),
        (E.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number (x)"), "does not speak TLS", False),
        (E.InvalidSchema("no such scheme"), "No request can be sent", False),
    ],
)
def test_trouble_on_the_way_is_told_by_its_cause(
    vault: FakeVault, error: Exception, complaint: str, transient: bool
) -> None:
    vault.on("GET", "a", Answer(raises=error))
    with pytest.raises(Unreachable, match=complaint) as caught:
        connect().request("GET", "a")
    assert caught.value.transient is transient
    assert "object at 0x" not in str(caught.value)


def test_a_token_that_no_header_carries_is_bad_input(vault: FakeVault) -> None:
    vault.on("GET", "a", Answer(raises=UnicodeEncodeError("latin-1", "…", 0, 1, "no")))
    with pytest.raises(InvalidInput, match="has characters that no HTTP header can carry"):
        connect().request("GET", "a")


def test_a_missing_hvac_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_hvac(name: str, *rest: Any, **more: Any) -> Any:
        if name == "hvac":
            raise ImportError("No module named 'hvac'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_hvac)
    with pytest.raises(MissingLibrary, match="pip install hvac"):
        connect().request("GET", "a")


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("environ", "options", "complaint"),
    [
        ({}, {"url": None}, "Vault's address is not given"),
        ({}, {"url": "vault.example.com"}, "is not an address of Vault"),
        ({}, {"url": "ftp://vault.example.com"}, "is not an address"),
        ({}, {"url": "http://u:secret@vault.example.com"}, r"http://\*\*\*@vault.example.com"),
        ({}, {"timeout": 0}, "timeout 0 is too short"),
        ({"VAULT_CLIENT_TIMEOUT": "soon"}, {}, "timeout: 'soon' is not a duration"),
        ({}, {"retries": "many"}, "retries 'many' is neither a number"),
        ({}, {"retries": True}, "retries True is neither"),
        ({}, {"retries": {"speed": 1}}, "retries cannot be used"),
        ({}, {"proxies": "{not: closed"}, "proxies looks like a dictionary, but is neither JSON nor Python"),
        ({}, {"retries": "{not: closed"}, "retries looks like a dictionary, but is neither JSON nor Python"),
        ({}, {"retries": "{[]: 1}"}, "retries looks like a dictionary"),
        ({}, {"retries": "{1}"}, "is neither a number of retries nor a dictionary"),
        ({}, {"ca_cert": "/no/such/ca"}, "ca_cert '/no/such/ca' does not exist"),
        ({"VAULT_SKIP_VERIFY": "maybe"}, {}, "VAULT_SKIP_VERIFY is 'maybe'"),
        ({}, {"cert_auth_public_key": "/no/such/cert"}, "cert_auth_public_key '/no/such/cert' does not exist"),
        ({}, {"cert_auth_public_key": __file__}, "have to be a PEM certificate and its own private key"),
        ({}, {"token": "", "token_path": "/no/such"}, "There is no Vault token"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_before_any_request(
    vault: FakeVault, environ: dict[str, str], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint) as caught:
        connect(environ, **options).request("GET", "a")
    assert "secret" not in str(caught.value)
    assert vault.calls == []


def sent_with(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], **options: Any
) -> dict[str, Any]:
    """What the HTTP library was told beside the request."""
    seen: dict[str, Any] = {}

    def send(adapter: Any, request: Any, **how: Any) -> Any:
        seen.update(how, url=request.url, retries=adapter.max_retries)
        return vault.send(adapter, request, **how)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    vault.on("GET", "a", Answer({}))
    connection = connect(environ, **options)
    connection.request("GET", "a", timeout=options.get("ask"))
    connection.close()
    return seen


@pytest.mark.parametrize(
    ("environ", "options", "url"),
    [
        ({"VAULT_ADDR": "http://env.test"}, {}, f"{URL}/v1/a"),
        ({"VAULT_ADDR": "http://env.test/"}, {"url": None}, "http://env.test/v1/a"),
        (
            {"VAULT_ADDR": "http://env.test", "VAULT_AGENT_ADDR": "http://agent.test"},
            {"url": None},
            "http://agent.test/v1/a",
        ),
    ],
)
def test_options_go_before_the_environment(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], options: dict[str, Any], url: str
) -> None:
    assert sent_with(vault, monkeypatch, environ, **options)["url"] == url


@pytest.mark.parametrize(
    ("environ", "options", "seconds"),
    [
        ({}, {}, 30),
        ({"VAULT_CLIENT_TIMEOUT": "90s"}, {}, 90),
        ({"VAULT_CLIENT_TIMEOUT": "90s"}, {"timeout": 5}, 5),
        ({}, {"timeout": 5, "ask": 2.5}, 2.5),
        ({}, {"timeout": 5, "ask": 250}, 5),
    ],
)
def test_the_shorter_timeout_counts(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], options: dict[str, Any], seconds: float
) -> None:
    assert sent_with(vault, monkeypatch, environ, **options)["timeout"] == seconds


def test_tls_is_validated_as_told(vault: FakeVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    ca = tmp_path / "ca.pem"
    ca.write_text(pem(SmallCA().root))
    for environ, options, verify in (
        ({}, {}, True),
        ({"VAULT_CACERT": str(ca)}, {}, str(ca)),
        ({"VAULT_CAPATH": str(tmp_path)}, {}, str(tmp_path)),
        ({"VAULT_CAPATH": str(tmp_path)}, {"ca_cert": str(ca)}, str(ca)),
        ({"VAULT_SKIP_VERIFY": "true"}, {}, False),
        ({"VAULT_SKIP_VERIFY": "true"}, {"validate_certs": True}, True),
        ({"VAULT_CACERT": str(ca)}, {"validate_certs": False}, False),
    ):
        assert sent_with(vault, monkeypatch, environ, **options)["verify"] == verify
    kept = sent_with(vault, monkeypatch, {"VAULT_CACERT_BYTES": ca.read_text()})["verify"]
    assert not Path(kept).exists()


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_client_certificate_comes_with_its_key(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encrypted: bool
) -> None:
    issued = SmallCA().issue("client.example.com")
    certificate, key, both = (tmp_path / name for name in ("cert.pem", "key.pem", "both.pem"))
    certificate.write_text(pem(issued.certificate))
    key.write_text(key_pem(issued.key))
    both.write_text(certificate.read_text() + key.read_text())
    options: dict[str, Any] = {"cert_auth_public_key": str(certificate), "cert_auth_private_key": str(key)}
    assert sent_with(vault, monkeypatch, {}, **options)["cert"] == (str(certificate), str(key))
    assert sent_with(vault, monkeypatch, {"VAULT_CLIENT_CERT": str(both)})["cert"] == str(both)
    if encrypted:
        key.write_text(key_pem(SmallCA().issue("other.example.com").key))
        with pytest.raises(InvalidInput, match="its own private key"):
            connect(**options).request("GET", "a")


@pytest.mark.parametrize(
    ("given", "proxies"),
    [
        ("http://proxy.test:3128", {"http": "http://proxy.test:3128", "https": "http://proxy.test:3128"}),
        ('{"https": "http://proxy.test"}', {"https": "http://proxy.test"}),
        ("{'https': 'http://proxy.test'}", {"https": "http://proxy.test"}),
        ({"http": "http://proxy.test"}, {"http": "http://proxy.test"}),
    ],
)
def test_proxies_are_an_address_or_a_table(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, given: Any, proxies: dict[str, str]
) -> None:
    assert proxies.items() <= sent_with(vault, monkeypatch, {}, proxies=given)["proxies"].items()
    if isinstance(given, str) and given.startswith("http"):
        assert proxies.items() <= sent_with(vault, monkeypatch, {"VAULT_PROXY_ADDR": given})["proxies"].items()


@pytest.mark.parametrize(
    ("given", "total", "warned"),
    [
        (3, 3, 1),
        ("3", 3, 1),
        ({"total": 2, "backoff_factor": 0}, 2, 1),
        ('{"total": 2, "raise_on_status": false}', 2, 1),
        ("{'total': 2}", 2, 1),
        (0, 0, 0),
        (None, 0, 0),
    ],
)
@pytest.mark.parametrize("action", ["warn", "ignore"])
def test_retries_warn_unless_told_otherwise(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, given: Any, total: int, warned: int, action: str
) -> None:
    seen: dict[str, Any] = {}
    warnings: list[str] = []

    def send(adapter: Any, request: Any, **how: Any) -> Any:
        seen["retries"] = adapter.max_retries
        return vault.send(adapter, request, **how)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    vault.on("GET", "a", Answer({}))
    VaultConnection(
        {"url": URL, "token": "t", "retries": given, "retry_action": action}, environ={}, warn=warnings.append
    ).request("GET", "a")
    assert seen["retries"].total == total
    if total:
        seen["retries"].increment("GET", "/v1/a")
    assert len(warnings) == (warned if action == "warn" else 0)


REFUSED = urllib3.exceptions.NewConnectionError(POOL, "refused")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "trouble", "repeated"),
    [
        ("a", {"error": urllib3.exceptions.ReadTimeoutError(POOL, "/", "x")}, False),  # type: ignore[arg-type]
        ("a", {"error": urllib3.exceptions.ProtocolError("reset")}, False),
        ("a", {"error": urllib3.exceptions.ConnectTimeoutError()}, True),
        ("a", {"error": REFUSED}, True),
        ("a", {"error": urllib3.exceptions.ProxyError("x", REFUSED)}, True),
        ("a", {"error": urllib3.exceptions.ProxyError("x", OSError("reset"))}, False),
        ("a", {"response": urllib3.HTTPResponse(status=500)}, False),
        ("a", {"response": urllib3.HTTPResponse(status=503)}, True),
        ("b", {"error": urllib3.exceptions.ProtocolError("reset")}, True),
        ("b", {"response": urllib3.HTTPResponse(status=500)}, True),
    ],
)
def test_what_must_not_be_done_twice_is_repeated_only_if_nothing_was_done(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, path: str, trouble: dict[str, Any], repeated: bool
) -> None:
    seen: dict[str, Any] = {}

    def send(adapter: Any, request: Any, **how: Any) -> Any:
        seen["retries"] = adapter.max_retries
        return vault.send(adapter, request, **how)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    vault.on("POST", "a", Answer({}))
    connect(retries=3).request("POST", "a", once=True)
    if repeated:
        assert seen["retries"].increment("POST", f"/v1/{path}", _pool=None, **trouble).total == 2
    else:
        with pytest.raises(urllib3.exceptions.HTTPError):
            seen["retries"].increment("POST", f"/v1/{path}", _pool=None, **trouble)


# ---------------------------------------------------------------------- the end


def test_a_connection_that_was_never_made_needs_no_end(vault: FakeVault) -> None:
    connect().close()
    assert vault.calls == []


def test_a_login_that_fails_leaves_nothing_behind(vault: FakeVault) -> None:
    vault.on("POST", "auth/userpass/login/alice", Answer(status=400, errors=["invalid username or password"]))
    connection = connect(auth_method="userpass", username="alice", password="wrong")
    with pytest.raises(LoginFailed):
        connection.request("GET", "a")
    connection.close()
    assert len(vault.calls) == 1


def test_a_token_that_cannot_be_revoked_is_told(vault: FakeVault) -> None:
    warnings: list[str] = []
    vault.on("POST", "auth/userpass/login/alice", Answer(None, auth={"client_token": "hvs.alice"}))
    vault.on("POST", "auth/token/revoke-self", Answer(status=500, errors=["no"]))
    vault.on("GET", "a", Answer({}))
    options = {"url": URL, "auth_method": "userpass", "username": "alice", "password": "right"}
    connection = VaultConnection(options, environ={}, warn=warnings.append)
    connection.request("GET", "a")
    connection.close()
    assert "could not be revoked and lives on until it expires" in warnings[0]
