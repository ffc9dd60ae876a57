# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every auth method that can run against a development Vault does; the tokens of a login end with their task."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import ExternalCA
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_auth import AUTH_METHODS
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.testbed import PrivateCa
from tests.testbed.tls import ServerCertificate
from tests.unit.running import run_main

from .harness import Bench, Engine
from .scripted import ScriptedServer

MODULE = "vault_extca_order_info"  # without options it asks one question: LIST lookup/orders
POLICY = 'path "+/lookup/orders" { capabilities = ["list"] }'
AUDIENCE = "vault.example.com"
Options = dict[str, Any]


@dataclass
class Scene:
    """A Vault with TLS and an engine, and what a host can log in with."""

    engine: Engine
    client: ServerCertificate
    client_ca: PrivateCa
    key: ec.EllipticCurvePrivateKey
    directory: Path

    @property
    def bench(self) -> Bench:
        return self.engine.bench

    def run(self, options: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
        """The module with these options of authentication and no other token."""
        connection = {"ca_cert": str(self.bench.ca.certificate), "token": None}
        return self.engine.run(MODULE, {**connection, **options}, **rest)

    def write(self, path: str, **body: Any) -> None:
        self.bench.api("POST", path, body)

    def tokens(self) -> int:
        """How many tokens there are."""
        return len(self.bench.api("LIST", "auth/token/accessors")["data"]["keys"])

    def public_key(self) -> str:
        return (
            self.key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def signed(self, claims: Mapping[str, Any], key: ec.EllipticCurvePrivateKey | None = None) -> str:
        now = int(time.time())
        return jwt.encode({"iat": now, "exp": now + 300, **claims}, key or self.key, algorithm="ES256")

    def service_account_token(self, name: str = "deployer") -> str:
        account = {"namespace": "web", "serviceaccount": {"name": name, "uid": "0f1e2d3c"}}
        return self.signed({"aud": [AUDIENCE], "sub": f"system:serviceaccount:web:{name}", "kubernetes.io": account})


@pytest.fixture(scope="module")
def scene(tls_bench: tuple[Bench, PrivateCa], tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Every auth method, mounted at its own name and once more at ``other/<name>``."""
    bench, client_ca = tls_bench
    client = client_ca.issue("host.example.com", label="host", common_name="host.example.com")
    key = ec.generate_private_key(ec.SECP256R1())
    made = Scene(Engine(bench, "auth-tests"), client, client_ca, key, tmp_path_factory.mktemp("host"))
    bench.api("POST", "sys/mounts/auth-tests", {"type": "pki-external-ca"})
    bench.api("POST", "sys/policies/acl/auditor", {"policy": POLICY})
    for method, furnish in FURNISH.items():
        for mount in (method, f"other/{method}"):
            made.write(f"sys/auth/{mount}", type=method)
            furnish(made, f"auth/{mount}")
    return made


def _furnish_approle(scene: Scene, mount: str) -> None:
    scene.write(f"{mount}/role/auditor", token_policies=["auditor"])


def _furnish_users(scene: Scene, mount: str) -> None:
    scene.write(f"{mount}/users/anna", password="correct horse", token_policies=["auditor"])


def _furnish_jwt(scene: Scene, mount: str) -> None:
    scene.write(f"{mount}/config", jwt_validation_pubkeys=[scene.public_key()])
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": [AUDIENCE]}
    scene.write(f"{mount}/role/auditor", **role, token_policies=["auditor"])


def _furnish_kubernetes(scene: Scene, mount: str) -> None:
    scene.write(f"{mount}/config", kubernetes_host="https://kubernetes.invalid", pem_keys=[scene.public_key()])
    bound = {"bound_service_account_names": ["deployer"], "bound_service_account_namespaces": ["web"]}
    scene.write(f"{mount}/role/auditor", **bound, audience=AUDIENCE, token_policies=["auditor"])


def _furnish_cert(scene: Scene, mount: str) -> None:
    scene.write(f"{mount}/certs/auditor", certificate=scene.client_ca.pem, token_policies=["auditor"])


FURNISH: Mapping[str, Callable[[Scene, str], None]] = {
    "approle": _furnish_approle,
    "userpass": _furnish_users,
    "ldap": _furnish_users,
    "jwt": _furnish_jwt,
    "kubernetes": _furnish_kubernetes,
    "cert": _furnish_cert,
}


def _approle(scene: Scene, mount: str = "approle") -> Options:
    role = f"auth/{mount}/role/auditor"
    role_id = scene.bench.api("GET", f"{role}/role-id")["data"]["role_id"]
    return {"role_id": role_id, "secret_id": scene.bench.api("POST", f"{role}/secret-id")["data"]["secret_id"]}


def _wrapped(scene: Scene, mount: str = "approle") -> Options:
    options = _approle(scene, mount)
    client = {"X-Vault-Token": scene.bench.vault.token, "X-Vault-Wrap-TTL": "60s"}
    made = scene.bench.session.post(
        f"{scene.bench.vault.url}/v1/auth/{mount}/role/auditor/secret-id", headers=client, json={}, timeout=10
    )
    return {"role_id": options["role_id"], "wrapped_secret_id": made.json()["wrap_info"]["token"]}


def _file_of(scene: Scene, text: str) -> str:
    path = scene.directory / "token"
    path.write_text(text + "\n")
    return str(path)


# What works, by auth method: options of a good login.
GOOD: Mapping[str, tuple[str, Callable[[Scene], Options]]] = {
    "approle": ("approle", _approle),
    "approle, wrapped secret id": ("approle", _wrapped),
    "userpass": ("userpass", lambda scene: {"username": "anna", "password": "correct horse"}),
    "ldap": ("ldap", lambda scene: {"username": "anna", "password": "correct horse"}),
    "jwt": ("jwt", lambda scene: {"role_id": "auditor", "jwt": scene.signed({"aud": AUDIENCE, "sub": "ci"})}),
    "kubernetes": ("kubernetes", lambda scene: {"role_id": "auditor", "jwt": scene.service_account_token()}),
    "kubernetes, token file": (
        "kubernetes",
        lambda scene: {
            "role_id": "auditor",
            "kubernetes_token_path": _file_of(scene, scene.service_account_token()),
        },
    ),
    "cert": (
        "cert",
        lambda scene: {
            "cert_auth_public_key": str(scene.client.certificate),
            "cert_auth_private_key": str(scene.client.key),
        },
    ),
    "cert, one role": (
        "cert",
        lambda scene: {
            "role_id": "auditor",
            "cert_auth_public_key": str(scene.client.certificate),
            "cert_auth_private_key": str(scene.client.key),
        },
    ),
}


def _stranger(scene: Scene) -> ServerCertificate:
    return scene.client_ca.issue("stranger.example.com", label="stranger", common_name="stranger.example.com")


# What is refused: options, what the message must say, and what it must not.
BAD: Mapping[str, tuple[str, Callable[[Scene], Options], str, str]] = {
    "approle": (
        "approle",
        lambda scene: {**_approle(scene), "secret_id": "wrong-secret"},
        "invalid role or secret ID",
        "wrong-secret",
    ),
    "approle, no secret id": (
        "approle",
        lambda scene: {"role_id": _approle(scene)["role_id"]},
        "missing secret_id",
        "\x00",
    ),
    "approle, wrapping token used up": (
        "approle",
        lambda scene: {"role_id": "x", "wrapped_secret_id": "hvs.used-up"},
        "somebody has opened it before",
        "hvs.used-up",
    ),
    "userpass": (
        "userpass",
        lambda scene: {"username": "anna", "password": "battery staple"},
        "invalid username or password",
        "staple",
    ),
    "ldap": (
        "ldap",
        lambda scene: {"username": "bert", "password": "staple"},
        "invalid username or password",
        "staple",
    ),
    "jwt, wrong audience": (
        "jwt",
        lambda scene: {"role_id": "auditor", "jwt": scene.signed({"aud": "elsewhere", "sub": "ci"})},
        "audience",
        "eyJ",
    ),
    "jwt, forged": (
        "jwt",
        lambda scene: {
            "role_id": "auditor",
            "jwt": scene.signed({"aud": AUDIENCE, "sub": "ci"}, ec.generate_private_key(ec.SECP256R1())),
        },
        "signature",
        "eyJ",
    ),
    "kubernetes": (
        "kubernetes",
        lambda scene: {"role_id": "auditor", "jwt": scene.service_account_token("intruder")},
        "service account name not authorized",
        "eyJ",
    ),
    "kubernetes, no token file": (
        "kubernetes",
        lambda scene: {"role_id": "auditor", "kubernetes_token_path": "/nowhere/token"},
        "/nowhere/token, which cannot be read: No such file or directory",
        "\x00",
    ),
    "cert, no such role": (
        "cert",
        lambda scene: {**GOOD["cert"][1](scene), "role_id": "nobody"},
        "no chain matching all constraints",
        "PRIVATE KEY",
    ),
    "cert, key of another": (
        "cert",
        lambda scene: {**GOOD["cert"][1](scene), "cert_auth_private_key": str(_stranger(scene).key)},
        "a PEM certificate and its own private key",
        "PRIVATE KEY",
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_login_serves_the_task_and_its_token_ends_with_it(scene: Scene, case: str) -> None:
    method, options = GOOD[case]
    given = {"auth_method": method, **options(scene)}
    before = scene.tokens()
    scene.bench.forget_requests()
    assert scene.run(given)["orders"] == []
    made = [(one.method, one.path) for one in scene.bench.requests_made()]
    assert made[-2:] == [("LIST", "auth-tests/lookup/orders"), ("POST", "auth/token/revoke-self")]
    assert made[-3][1].startswith(f"auth/{method}/login")
    assert scene.tokens() == before - (1 if "wrapped_secret_id" in given else 0)


@pytest.mark.parametrize("method", FURNISH)
def test_the_auth_method_may_be_mounted_elsewhere(scene: Scene, method: str) -> None:
    options = _approle(scene, "other/approle") if method == "approle" else GOOD[method][1](scene)
    scene.bench.forget_requests()
    scene.run({"auth_method": method, "mount_point": f"other/{method}", **options})
    assert scene.bench.requests_made()[0].path.startswith(f"auth/other/{method}/login")


def test_the_token_of_a_login_ends_with_a_task_that_fails_too(scene: Scene) -> None:
    before = scene.tokens()
    options = {"auth_method": "userpass", "username": "anna", "password": "correct horse", "order_id": "0"}
    assert "lacks read" in scene.run(options, fails=True)["msg"]
    assert scene.tokens() == before


def test_the_token_of_a_login_ends_with_a_task_that_breaks_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: ExternalCA) -> None:
        raise RuntimeError("a defect")

    before = scene.tokens()
    monkeypatch.setattr(ExternalCA, "order_ids", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        scene.run({"auth_method": "userpass", "username": "anna", "password": "correct horse"})
    assert scene.tokens() == before


def test_a_batch_token_ends_by_itself(scene: Scene) -> None:
    answers = {
        "POST /v1/auth/userpass/login/anna": {"auth": {"client_token": "hvb.batch", "token_type": "batch"}},
        "LIST /v1/auth-tests/lookup/orders": {"data": {"keys": []}},
    }
    with ScriptedServer(answers) as vault:
        options = {"auth_method": "userpass", "username": "anna", "password": "x", "mount": "auth-tests"}
        assert "warnings" not in run_main(MODULE, {"url": vault.url, **options})
    assert [one.method for one in vault.asked] == ["POST", "LIST"]


def test_the_token_of_a_login_may_be_left_to_live(scene: Scene) -> None:
    before = scene.tokens()
    scene.run({"auth_method": "userpass", "username": "anna", "password": "correct horse", "revoke_token": False})
    assert scene.tokens() == before + 1


def test_a_token_that_cannot_be_revoked_is_a_warning(scene: Scene) -> None:
    with scene.bench.faults({"kind": "status", "status": 500, "path": "revoke-self"}):
        result = scene.run({"auth_method": "userpass", "username": "anna", "password": "correct horse"})
    assert any("lives on until it expires" in str(one) for one in result["warnings"])


@pytest.mark.parametrize("case", BAD)
def test_a_refused_login_says_why_and_shows_no_secret(scene: Scene, case: str) -> None:
    method, options, says, hides = BAD[case]
    before = scene.tokens()
    result = scene.run({"auth_method": method, **options(scene)}, fails=True)
    assert says in result["msg"]
    assert hides not in result["msg"]
    assert "Traceback" not in str(result)
    assert scene.tokens() == before


@pytest.mark.parametrize("method", [one for one in AUTH_METHODS if one not in ("token", "none", "aws_iam")])
def test_a_login_without_what_it_needs_names_it(scene: Scene, method: str) -> None:
    message = scene.run({"auth_method": method}, fails=True)["msg"]
    assert message.startswith(f"auth_method {method} needs ")


def test_a_certificate_needs_tls(engine: Engine, scene: Scene) -> None:
    message = engine.run(MODULE, {"auth_method": "cert", **GOOD["cert"][1](scene)}, fails=True)["msg"]
    assert message == "auth_method cert needs TLS, and url begins with http:."


# ---------------------------------------------------------------------- tokens


def _token(scene: Scene, **rest: Any) -> str:
    made = scene.bench.api("POST", "auth/token/create", {"policies": ["auditor"], **rest})
    token: str = made["auth"]["client_token"]
    return token


def test_a_given_token_is_used_and_lives_on(scene: Scene) -> None:
    token = _token(scene)
    scene.bench.forget_requests()
    scene.run({"token": token, "revoke_token": True})
    assert [one.path for one in scene.bench.requests_made()] == ["auth-tests/lookup/orders"]
    assert scene.bench.api("GET", "auth/token/lookup-self", token=token)["data"]["policies"] == ["auditor", "default"]


def test_the_token_of_the_environment_is_second_and_the_file_third(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".vault-token").write_text(_token(scene) + "\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    scene.run({})
    monkeypatch.setenv("VAULT_TOKEN", "hvs.bad")
    assert "permission denied" in scene.run({}, fails=True)["msg"]
    scene.run({"token": _token(scene)})
    monkeypatch.setenv("VAULT_TOKEN", f" {_token(scene)}\n")
    (tmp_path / ".vault-token").write_text("hvs.bad")
    scene.run({})


def test_the_token_file_may_have_another_name_and_place(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "sink").write_text(_token(scene))
    scene.run({"token_path": str(tmp_path), "token_file": "sink"})


def test_no_token_anywhere_says_where_it_was_looked_for(scene: Scene, tmp_path: Path) -> None:
    message = scene.run({"token_path": str(tmp_path)}, fails=True)["msg"]
    assert f"{tmp_path}/.vault-token does not hold one" in message
    (tmp_path / ".vault-token").mkdir()
    assert "cannot be read: Is a directory" in scene.run({"token_path": str(tmp_path)}, fails=True)["msg"]


def test_a_token_is_validated_where_asked(scene: Scene) -> None:
    token = _token(scene)
    scene.bench.forget_requests()
    scene.run({"token": token, "token_validate": True})
    assert [one.path for one in scene.bench.requests_made()] == ["auth/token/lookup-self", "auth-tests/lookup/orders"]
    scene.bench.api("POST", "auth/token/revoke", {"token": token})
    scene.bench.forget_requests()
    message = scene.run({"token": token, "token_validate": True}, fails=True)["msg"]
    assert "Vault does not accept the token that was given" in message
    assert token not in message
    assert [one.path for one in scene.bench.requests_made()] == ["auth/token/lookup-self"]


def test_none_sends_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.environment")
    with ScriptedServer({"LIST /v1/pki-external-ca/lookup/orders": {"data": {"keys": []}}}) as agent:
        assert run_main(MODULE, {"url": agent.url, "auth_method": "none"})["orders"] == []
    assert [(one.method, one.headers.get("x-vault-token")) for one in agent.asked] == [("LIST", None)]


# ---------------------------------------------------------------------- what cannot run here: the login request itself

LOGGED_IN = {"auth": {"client_token": "hvs.cloud", "token_type": "service"}}
CLOUD: dict[str, Any] = {
    "LIST /v1/pki-external-ca/lookup/orders": {"data": {"keys": []}},
    "POST /v1/auth/token/revoke-self": {},
}


def _cloud_login(mount: str, options: Options) -> Any:
    """The body of the one login, which the rest of the task must have used."""
    with ScriptedServer({**CLOUD, f"POST /v1/auth/{mount}/login": LOGGED_IN}) as vault:
        result = run_main(MODULE, {"url": vault.url, **options})
    assert "failed" not in result, result
    login, question, farewell = vault.asked
    assert (login.target, login.headers.get("x-vault-token")) == (f"/v1/auth/{mount}/login", None)
    assert question.headers["x-vault-token"] == farewell.headers["x-vault-token"] == "hvs.cloud"
    assert farewell.target == "/v1/auth/token/revoke-self"
    return login.body


AWS = {"auth_method": "aws_iam", "aws_access_key": "AKIDEXAMPLE", "aws_secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"}


@pytest.mark.parametrize(
    ("options", "region", "role"),
    [
        ({}, "us-east-1", None),
        ({"role_id": "deployer", "region": "eu-central-1"}, "eu-central-1", "deployer"),
        ({"aws_iam_server_id": "vault.example.com", "aws_security_token": "FQoGZXIvYXdzE"}, "us-east-1", None),
    ],
)
def test_aws_iam_signs_a_request_for_its_identity(options: Options, region: str, role: str | None) -> None:
    body = _cloud_login("aws", {**AWS, **options})
    assert body.get("role") == role
    assert body["iam_http_request_method"] == "POST"
    assert base64.b64decode(body["iam_request_url"]) == b"https://sts.amazonaws.com/"
    assert base64.b64decode(body["iam_request_body"]) == b"Action=GetCallerIdentity&Version=2011-06-15"
    headers = json.loads(base64.b64decode(body["iam_request_headers"]))
    assert headers.get("X-Vault-AWS-IAM-Server-ID") == _listed(options.get("aws_iam_server_id"))
    assert headers.get("X-Amz-Security-Token") == _listed(options.get("aws_security_token"))
    assert headers["Authorization"] == [_aws_signature(headers, region)]


def _listed(value: str | None) -> list[str] | None:
    return None if value is None else [value]


def _aws_signature(headers: Mapping[str, list[str]], region: str) -> str:
    """Signature version 4, written from AWS's documentation, to hold the library's against."""

    def mac(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    signed = {name.lower(): values[0] for name, values in headers.items() if name != "Authorization"}
    names = ";".join(sorted(signed))
    payload = hashlib.sha256(b"Action=GetCallerIdentity&Version=2011-06-15").hexdigest()
    canonical = ["POST", "/", "", *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names, payload]
    moment = signed["x-amz-date"]
    scope = f"{moment[:8]}/{region}/sts/aws4_request"
    to_sign = ["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256("\n".join(canonical).encode()).hexdigest()]
    key = ("AWS4" + AWS["aws_secret_key"]).encode()
    for part in (moment[:8], region, "sts", "aws4_request"):
        key = mac(key, part)
    signature = mac(key, "\n".join(to_sign)).hex()
    return f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"


class _NoProfile(Exception):
    """Stands for botocore's BotoCoreError."""


def _modules(monkeypatch: pytest.MonkeyPatch, **named: Any) -> None:
    """Put stand-ins for libraries in place; None stands for one that is not installed."""
    for name, module in named.items():
        monkeypatch.setitem(sys.modules, name.replace("__", "."), module)


def test_aws_credentials_may_come_from_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(profile_name: str | None) -> Any:
        if profile_name == "unknown":
            raise _NoProfile("The config profile (unknown) could not be found")
        held = SimpleNamespace(access_key="AKIDEXAMPLE", secret_key=AWS["aws_secret_key"], token="FQoGZXIvYXdzE")
        return SimpleNamespace(get_credentials=lambda: held if profile_name == "ci" else None)

    boto3, errors = SimpleNamespace(session=SimpleNamespace(Session=session)), SimpleNamespace(BotoCoreError=_NoProfile)
    _modules(monkeypatch, boto3=boto3, botocore=SimpleNamespace(exceptions=errors), botocore__exceptions=errors)
    body = _cloud_login("aws", {"auth_method": "aws_iam", "aws_profile": "ci"})
    headers = json.loads(base64.b64decode(body["iam_request_headers"]))
    assert headers["X-Amz-Security-Token"] == ["FQoGZXIvYXdzE"]
    assert headers["Authorization"] == [_aws_signature(headers, "us-east-1")]
    connection = {"url": "http://127.0.0.1:1", "auth_method": "aws_iam"}
    assert "could not be found" in run_main(MODULE, {**connection, "aws_profile": "unknown"})["msg"]
    assert "Give aws_access_key and aws_secret_key" in run_main(MODULE, connection)["msg"]


@pytest.mark.parametrize(
    ("options", "made_with"),
    [
        ({"azure_client_id": "c", "azure_client_secret": "s", "azure_tenant_id": "t"}, ("t", "c", "s")),
        ({"azure_client_id": "c"}, {"client_id": "c"}),
        ({}, {}),
    ],
)
def test_azure_gives_a_token_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch, options: Options, made_with: Any
) -> None:
    made: list[Any] = []

    def credential(*arguments: str, **named: str) -> Any:
        made.append(arguments or named)
        return SimpleNamespace(get_token=lambda scope: SimpleNamespace(token=f"token for {scope}"))

    identity = SimpleNamespace(ClientSecretCredential=credential, ManagedIdentityCredential=credential)
    _modules(monkeypatch, azure=SimpleNamespace(identity=identity), azure__identity=identity)
    body = _cloud_login("azure", {"auth_method": "azure", "role_id": "deployer", **options})
    assert body == {"role": "deployer", "jwt": "token for https://management.azure.com/.default"}
    assert made == [made_with]


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _modules(monkeypatch, boto3=None, azure=None, azure__identity=None)
    for method, library in (("aws_iam", "boto3"), ("azure", "azure-identity")):
        options = {"url": "http://127.0.0.1:1", "auth_method": method, "role_id": "deployer"}
        message = run_main(MODULE, options)["msg"]
        assert message.startswith(f"The Python library {library} cannot be imported")


@pytest.mark.parametrize("method", ["azure", "gcp"])
@pytest.mark.parametrize("mount", [None, "cloud"])
def test_azure_and_gcp_present_their_token(method: str, mount: str | None) -> None:
    options = {"auth_method": method, "role_id": "deployer", "jwt": "eyJhbGciOi.J9.c2ln", "mount_point": mount}
    assert _cloud_login(mount or method, options) == {"role": "deployer", "jwt": "eyJhbGciOi.J9.c2ln"}


def test_every_auth_method_is_tested() -> None:
    assert set(AUTH_METHODS) == {"token", "none", *FURNISH, "aws_iam", "azure", "gcp"}
