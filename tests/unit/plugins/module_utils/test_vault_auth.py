# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Logins: what each method sends, and what its failure says."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_auth import AUTH_METHODS
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import VaultConnection
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import (
    InvalidInput,
    LoginFailed,
    MissingLibrary,
    Unavailable,
)

from ...issuing import SmallCA, key_pem, pem
from ...support import NO_CONTENT, Answer, FakeVault, Sent

URL = "http://vault.test:8200"
REFUSED = Answer(status=400, errors=["invalid role or secret ID"])


def logged_in(vault: FakeVault, path: str, hidden: list[str] | None = None, *, url: str = URL, **options: Any) -> Sent:
    """Log in at this path, use the token, end; returns the login's request."""
    vault.on(
        "POST", path, Answer(None, auth={"client_token": "hvs.login", "token_type": options.pop("type", "service")})
    )
    vault.on("GET", "a", Answer({}))
    vault.on("POST", "auth/token/revoke-self", NO_CONTENT)
    hide = (hidden if hidden is not None else []).append
    connection = VaultConnection({"url": url, **options}, environ={}, hide=hide)
    connection.request("GET", "a")
    connection.close()
    (login,) = (one for one in vault.sent if one.path == path)
    (used,) = (one for one in vault.sent if one.path == "a")
    assert used.headers["X-Vault-Token"] == "hvs.login"
    return login


# ---------------------------------------------------------------------- methods


@pytest.mark.parametrize(
    ("options", "path", "body"),
    [
        (
            {"auth_method": "approle", "role_id": "r", "secret_id": "s"},
            "auth/approle/login",
            {"role_id": "r", "secret_id": "s"},
        ),
        ({"auth_method": "approle", "role_id": "r"}, "auth/approle/login", {"role_id": "r"}),
        (
            {"auth_method": "approle", "role_id": "r", "mount_point": "/team/approle/"},
            "auth/team/approle/login",
            {"role_id": "r"},
        ),
        (
            {"auth_method": "userpass", "username": "alice", "password": "p"},
            "auth/userpass/login/alice",
            {"password": "p"},
        ),
        ({"auth_method": "ldap", "username": "alice", "password": "p"}, "auth/ldap/login/alice", {"password": "p"}),
        ({"auth_method": "jwt", "role_id": "r", "jwt": "j"}, "auth/jwt/login", {"role": "r", "jwt": "j"}),
        (
            {"auth_method": "jwt", "role_id": "r", "jwt": "j", "mount_point": "oidc"},
            "auth/oidc/login",
            {"role": "r", "jwt": "j"},
        ),
        ({"auth_method": "kubernetes", "role_id": "r", "jwt": "j"}, "auth/kubernetes/login", {"role": "r", "jwt": "j"}),
        ({"auth_method": "azure", "role_id": "r", "jwt": "j"}, "auth/azure/login", {"role": "r", "jwt": "j"}),
        ({"auth_method": "gcp", "role_id": "r", "jwt": "j"}, "auth/gcp/login", {"role": "r", "jwt": "j"}),
    ],
)
def test_what_a_login_sends(vault: FakeVault, options: dict[str, Any], path: str, body: dict[str, str]) -> None:
    hidden: list[str] = []
    login = logged_in(vault, path, hidden, **options)
    assert login.body.items() >= body.items()
    assert "X-Vault-Token" not in login.headers
    # Besides the token, what was shown for it: it may come from a file or from a cloud, which Ansible does not know.
    proofs = [body[name] for name in ("password", "secret_id", "jwt") if name in body]
    assert hidden == [*proofs, "hvs.login"]
    assert vault.calls[-1] == "POST auth/token/revoke-self"


@pytest.mark.parametrize("more", [{"revoke_token": False}, {"type": "batch"}])
def test_a_token_that_stays_or_ends_by_itself_is_not_revoked(vault: FakeVault, more: dict[str, Any]) -> None:
    logged_in(vault, "auth/approle/login", auth_method="approle", role_id="r", **more)
    assert vault.calls[-1] == "GET a"


def test_a_client_certificate_logs_in_over_tls(vault: FakeVault, tmp_path: Path) -> None:
    issued = SmallCA().issue("client.example.com")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text(pem(issued.certificate))
    key.write_text(key_pem(issued.key))
    pair: dict[str, Any] = {"cert_auth_public_key": str(certificate), "cert_auth_private_key": str(key)}
    login = logged_in(
        vault, "auth/tls/login", url="https://vault.test", auth_method="cert", role_id="r", mount_point="tls", **pair
    )
    assert login.body == {"name": "r"}
    with pytest.raises(InvalidInput, match="auth_method cert needs TLS"):
        logged_in(vault, "auth/cert/login", auth_method="cert", **pair)


def test_a_kubernetes_token_comes_from_its_file(vault: FakeVault, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("service-account\n")
    options: dict[str, Any] = {"auth_method": "kubernetes", "role_id": "r", "kubernetes_token_path": str(path)}
    assert logged_in(vault, "auth/kubernetes/login", **options).body["jwt"] == "service-account"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="it is not text"):
        logged_in(vault, "auth/kubernetes/login", **options)
    path.unlink()
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        logged_in(vault, "auth/kubernetes/login", **options)


# ---------------------------------------------------------------------- wrapped secret ids


def test_a_wrapped_secret_id_is_unwrapped_with_itself(vault: FakeVault) -> None:
    hidden: list[str] = []
    vault.on("POST", "sys/wrapping/unwrap", Answer({"secret_id": "inner"}))
    login = logged_in(
        vault, "auth/approle/login", hidden, auth_method="approle", role_id="r", wrapped_secret_id="hvs.w"
    )
    assert login.body == {"role_id": "r", "secret_id": "inner"}
    assert vault.sent[0].headers["X-Vault-Token"] == "hvs.w"
    assert hidden == ["inner", "hvs.login"]


@pytest.mark.parametrize(
    ("answer", "kind", "complaint"),
    [
        (Answer(status=400, errors=["wrapping token is not valid"]), LoginFailed, "somebody has opened it before"),
        (Answer({"other": 1}), LoginFailed, "does not wrap a secret id"),
        (Answer(status=503, errors=["Vault is sealed"]), Unavailable, "Unseal it"),
    ],
)
def test_a_wrapping_that_is_broken_is_told(
    vault: FakeVault, answer: Answer, kind: type[Exception], complaint: str
) -> None:
    vault.on("POST", "sys/wrapping/unwrap", answer)
    with pytest.raises(kind, match=complaint):
        logged_in(vault, "auth/approle/login", auth_method="approle", role_id="r", wrapped_secret_id="hvs.w")


# ---------------------------------------------------------------------- clouds


def test_aws_signs_with_the_keys_given(vault: FakeVault) -> None:
    login = logged_in(
        vault,
        "auth/aws/login",
        auth_method="aws_iam",
        role_id="r",
        aws_access_key="AKIA",
        aws_secret_key="secret",
        aws_iam_server_id="vault.example.com",
        region="eu-west-1",
    )
    assert login.body["role"] == "r"
    assert {"iam_http_request_method", "iam_request_url", "iam_request_body", "iam_request_headers"} <= set(login.body)
    assert "secret" not in str(login.body)


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


class BotoCoreError(Exception):
    pass


@pytest.mark.parametrize("found", ["keys", "nothing", "error"])
def test_aws_credentials_are_found_by_boto3(vault: FakeVault, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    class Session:
        def __init__(self, profile_name: str | None) -> None:
            assert profile_name == "ops"

        def get_credentials(self) -> Any:
            if found == "error":
                raise BotoCoreError("the profile is not there")
            keys = types.SimpleNamespace(access_key="AKIA", secret_key="s", token="t")
            return keys if found == "keys" else None

    fake_module(monkeypatch, "boto3", session=types.SimpleNamespace(Session=Session))
    fake_module(monkeypatch, "botocore")
    fake_module(monkeypatch, "botocore.exceptions", BotoCoreError=BotoCoreError)
    options: dict[str, Any] = {"auth_method": "aws_iam", "aws_profile": "ops"}
    if found == "keys":
        assert logged_in(vault, "auth/aws/login", **options).body["iam_http_request_method"] == "POST"
        return
    with pytest.raises(InvalidInput, match="auth_method aws_iam found no AWS credentials"):
        logged_in(vault, "auth/aws/login", **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("managed", {})),
        ({"azure_client_id": "c"}, ("managed", {"client_id": "c"})),
        ({"azure_client_id": "c", "azure_client_secret": "s", "azure_tenant_id": "t"}, ("secret", ("t", "c", "s"))),
    ],
)
def test_azure_gives_a_token_for_the_resource(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: Any
) -> None:
    made: list[Any] = []

    class Credential:
        def __init__(self, kind: str, given: Any) -> None:
            made.append((kind, given))

        def get_token(self, scope: str) -> Any:
            assert scope == "https://management.azure.com/.default"
            if options.get("azure_client_id") == "c" and len(made) > 1:
                raise RuntimeError("secret in a text")
            return types.SimpleNamespace(token="azure-jwt")

    fake_module(monkeypatch, "azure")
    fake_module(
        monkeypatch,
        "azure.identity",
        ManagedIdentityCredential=lambda **given: Credential("managed", given),
        ClientSecretCredential=lambda *given: Credential("secret", given),
    )
    sys.modules["azure"].identity = sys.modules["azure.identity"]  # type: ignore[attr-defined]
    assert logged_in(vault, "auth/azure/login", auth_method="azure", role_id="r", **options).body["jwt"] == "azure-jwt"
    assert made == [expected]
    if options:
        with pytest.raises(LoginFailed, match=r"Azure gave no token for auth_method azure: RuntimeError\. Check"):
            logged_in(vault, "auth/azure/login", auth_method="azure", role_id="r", **options)
    with pytest.raises(InvalidInput, match="needs azure_tenant_id"):
        logged_in(
            vault,
            "auth/azure/login",
            auth_method="azure",
            role_id="r",
            azure_client_id="c",
            azure_client_secret="s",
        )


@pytest.mark.parametrize(("method", "library"), [("aws_iam", "boto3"), ("azure", "azure-identity")])
def test_a_missing_library_is_told(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch, method: str, library: str
) -> None:
    for name in ("boto3", "azure", "azure.identity"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingLibrary, match=f"pip install {library}"):
        logged_in(vault, "x", auth_method=method, role_id="r")


# ---------------------------------------------------------------------- tokens


def token_used(vault: FakeVault, environ: dict[str, str], **options: Any) -> str | None:
    vault.sent.clear()
    vault.on("GET", "a", Answer({}))
    vault.on("GET", "auth/token/lookup-self", Answer({"id": "x"}))
    connection = VaultConnection({"url": URL, **options}, environ=environ)
    connection.request("GET", "a")
    connection.close()
    assert not any("revoke" in call for call in vault.calls)
    return vault.sent[-1].headers.get("X-Vault-Token")


def test_a_token_is_given_or_found(vault: FakeVault, tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("from-home\n")
    (tmp_path / "other").write_text("from-file")
    home = {"HOME": str(tmp_path)}
    assert token_used(vault, {**home, "VAULT_TOKEN": "from-env"}, token=" given ") == "given"
    assert token_used(vault, {**home, "VAULT_TOKEN": "from-env"}) == "from-env"
    assert token_used(vault, home) == "from-home"
    assert token_used(vault, {}, token_path=str(tmp_path), token_file="other") == "from-file"
    assert token_used(vault, home, auth_method="none") is None


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe\xff", None])
def test_a_token_file_without_a_token_is_told(vault: FakeVault, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / ".vault-token"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match="There is no Vault token|cannot be read"):
        token_used(vault, {"HOME": str(tmp_path)})


def test_a_token_is_validated_if_asked(vault: FakeVault) -> None:
    token_used(vault, {}, token="t", token_validate=True)
    assert vault.calls == ["GET auth/token/lookup-self", "GET a"]
    vault.on("GET", "auth/token/lookup-self", Answer(status=403, errors=["permission denied"]))
    with pytest.raises(LoginFailed, match="Vault does not accept the token that was given"):
        VaultConnection({"url": URL, "token": "t", "token_validate": True}, environ={}).request("GET", "a")


# ---------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("approle", "role_id"),
        ("userpass", "username and password"),
        ("ldap", "username and password"),
        ("jwt", "role_id and jwt"),
        ("kubernetes", "role_id"),
        ("cert", "cert_auth_public_key and cert_auth_private_key"),
        ("azure", "role_id"),
        ("gcp", "role_id and jwt"),
    ],
)
def test_what_a_method_cannot_do_without(vault: FakeVault, method: str, missing: str) -> None:
    assert method in AUTH_METHODS
    with pytest.raises(InvalidInput, match=f"auth_method {method} needs {missing}"):
        logged_in(vault, "x", auth_method=method)
    assert vault.calls == []


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (
            REFUSED,
            "The login with auth_method approle at auth/approle failed: invalid role or secret ID. Check role_id and secret_id, mount",
        ),
        (Answer(status=403, errors=["permission denied"]), "failed: permission denied. Check"),
        (Answer(status=404, errors=[]), "failed: status 404. Check role_id and secret_id, mount_point and namespace"),
        (Answer({}), "was answered without a token"),
        (Answer(None, auth={"client_token": ""}), "was answered without a token"),
    ],
)
def test_a_login_that_fails_says_where(vault: FakeVault, answer: Answer, complaint: str) -> None:
    vault.on("POST", "auth/approle/login", answer)
    options = {"url": URL, "auth_method": "approle", "role_id": "r", "secret_id": "hush"}
    with pytest.raises(LoginFailed, match=complaint) as caught:
        VaultConnection(options, environ={}).request("GET", "a")
    assert "hush" not in str(caught.value)
