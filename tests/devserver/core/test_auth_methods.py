# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every auth method, by hvac's own login."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import jwt
import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from devserver.vault import Vault
from tests.devserver.conftest import ROOT_TOKEN, RunningServer, run_server

METHODS = ("approle", "userpass", "ldap", "jwt", "kubernetes", "cert")
REFUSED = (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """HTTPS with every auth method enabled; clients may bring a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key, ca = folder / "server.pem", folder / "server.key", folder / "ca.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    authority.cert_pem.write_to_path(str(ca))
    tls = {"tls_certificate": str(chain), "tls_key": str(key), "tls_client_ca": str(ca)}
    running = run_server(Vault(root_token=ROOT_TOKEN, backends={}), **tls)
    running.verify = str(ca)
    client = running.client()
    client.sys.create_or_update_policy("web", 'path "kv/*" { capabilities = ["read"] }')
    for method in METHODS:
        client.sys.enable_auth_method(method)
    yield running
    running.stop()


def is_logged_in(server: RunningServer, answer: dict[str, Any], *policies: str) -> dict[str, Any]:
    """The login's auth, once the token in it has proved to work."""
    auth: dict[str, Any] = answer["auth"]
    assert auth["policies"] == sorted({"default", *policies})
    assert auth["renewable"] is True
    assert auth["entity_id"]
    shown = server.client(token=auth["client_token"]).auth.token.lookup_self()["data"]
    assert shown["entity_id"] == auth["entity_id"]
    assert shown["meta"] == auth["metadata"]
    return auth


# ---------------------------------------------------------------------- approle


def approle(server: RunningServer, **options: Any) -> tuple[str, Any]:
    api = server.client().auth.approle
    api.create_or_update_approle("app", token_policies=["web"], **options)
    return api.read_role_id("app")["data"]["role_id"], api


def test_approle(server: RunningServer) -> None:
    role_id, api = approle(server, token_ttl="20m", token_max_ttl="1h", secret_id_num_uses=0)
    assert api.read_role("app")["data"]["token_policies"] == ["web"]
    assert "role_id" not in api.read_role("app")["data"]
    assert "app" in api.list_roles()["data"]["keys"]
    secret = api.generate_secret_id("app", metadata={"host": "a"})["data"]
    auth = is_logged_in(server, api.login(role_id, secret["secret_id"], use_token=False), "web")
    assert auth["metadata"] == {"role_name": "app", "host": "a"}
    assert auth["lease_duration"] == 1200
    assert api.read_secret_id("app", secret["secret_id"])["data"]["metadata"] == {"host": "a"}
    assert secret["secret_id_accessor"] in api.list_secret_id_accessors("app")["data"]["keys"]
    again = api.login(role_id, secret["secret_id"], use_token=False)["auth"]
    assert again["entity_id"] == auth["entity_id"], "the same role is the same entity"
    api.destroy_secret_id("app", secret["secret_id"])
    with pytest.raises(REFUSED, match="invalid role or secret ID"):
        api.login(role_id, secret["secret_id"])


def test_a_secret_id_has_uses_and_a_lifetime(server: RunningServer) -> None:
    role_id, api = approle(server, secret_id_num_uses=2, secret_id_ttl="10m")
    secret = api.generate_secret_id("app")["data"]
    assert (secret["secret_id_num_uses"], secret["secret_id_ttl"]) == (2, 600)
    for _login in range(2):
        assert api.login(role_id, secret["secret_id"], use_token=False)
    with pytest.raises(REFUSED, match="invalid role or secret ID"):
        api.login(role_id, secret["secret_id"])
    late = api.generate_secret_id("app")["data"]["secret_id"]
    server.vault.clock.advance(601)
    with pytest.raises(REFUSED, match="invalid role or secret ID"):
        api.login(role_id, late)


def test_a_secret_id_travels_wrapped(server: RunningServer) -> None:
    role_id, api = approle(server)
    wrapped = api.generate_secret_id("app", wrap_ttl="60s")["wrap_info"]["token"]
    secret = server.client(token=wrapped).sys.unwrap()["data"]["secret_id"]
    assert api.login(role_id, secret, use_token=False)


def test_custom_ids_and_roles_without_a_secret(server: RunningServer) -> None:
    _role, api = approle(server, bind_secret_id=True)
    api.update_role_id("app", "the-role")
    api.create_custom_secret_id("app", "the-secret")
    assert api.login("the-role", "the-secret", use_token=False)
    with pytest.raises(REFUSED, match="missing secret_id"):
        api.login("the-role")
    api.create_or_update_approle("app", bind_secret_id=False)
    assert api.login("the-role", use_token=False)
    api.delete_role("app")
    with pytest.raises(REFUSED, match="invalid role or secret ID"):
        api.login("the-role")


def test_secret_ids_go_with_their_role(server: RunningServer) -> None:
    api = server.client().auth.approle
    api.create_or_update_approle("Gone")
    secret = api.generate_secret_id("gone")["data"]["secret_id"]
    api.delete_role("gone")
    api.create_or_update_approle("gone")
    role_id = api.read_role_id("gone")["data"]["role_id"]
    with pytest.raises(REFUSED, match="invalid role or secret ID"):
        api.login(role_id, secret)


def test_what_the_server_does_not_do_it_refuses(server: RunningServer) -> None:
    for field in ("token_bound_cidrs", "secret_id_bound_cidrs"):
        response = server.request("POST", "auth/approle/role/x", json={field: ["10.0.0.0/8"]})
        assert (response.status_code, field in response.text) == (400, True)
    assert server.request("POST", "auth/approle/role/x", json={"token_type": "batch"}).status_code == 400
    assert (
        server.request("POST", "auth/approle/role/x", json={"token_ttl": "2h", "token_max_ttl": "1h"}).status_code
        == 400
    )


# ---------------------------------------------------------------------- userpass and ldap


def test_userpass(server: RunningServer) -> None:
    api = server.client().auth.userpass
    api.create_or_update_user("Alice", "right", "web")
    assert "password" not in api.read_user("alice")["data"]
    assert api.list_user()["data"]["keys"] == ["alice"]
    auth = is_logged_in(server, api.login("alice", "right", use_token=False), "web")
    assert auth["metadata"] == {"username": "alice"}
    for user, password in (("alice", "wrong"), ("nobody", "right")):
        with pytest.raises(REFUSED, match="invalid username or password"):
            api.login(user, password)
    api.update_password_on_user("alice", "new")
    assert api.login("alice", "new", use_token=False)
    api.delete_user("alice")
    with pytest.raises(REFUSED, match="invalid username or password"):
        api.login("alice", "new")
    assert server.request("POST", "auth/userpass/users/x", json={}).json()["errors"] == ["missing password"]


def test_ldap_with_its_own_table_of_users(server: RunningServer) -> None:
    note = server.request("POST", "auth/ldap/config", json={"url": "ldap://x", "bindpass": "s3cret"}).json()[
        "warnings"
    ][0]
    assert "contacts no directory" in note
    assert "s3cret" not in server.request("GET", "auth/ldap/config").text
    server.request("POST", "auth/ldap/groups/ops", json={"policies": "web"})
    server.request("POST", "auth/ldap/users/lea", json={"password": "pw", "groups": "ops"})
    auth = is_logged_in(server, server.client().auth.ldap.login("lea", "pw", use_token=False), "web")
    assert auth["metadata"] == {"username": "lea"}
    with pytest.raises(REFUSED, match="invalid username or password"):
        server.client().auth.ldap.login("lea", "no")


# ---------------------------------------------------------------------- jwt and kubernetes


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "other": ec.generate_private_key(ec.SECP256R1()),
    }


@pytest.fixture
def jwt_role(server: RunningServer, keys: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Log in at a role that wants audience ``vault``, with these claims, signed by this key."""
    api = server.client().auth.jwt
    api.configure(jwt_validation_pubkeys=[pem(keys["rsa"]), pem(keys["ec"])], bound_issuer="issuer")
    api.create_role(
        name="ci",
        role_type="jwt",
        user_claim="sub",
        bound_audiences=["vault"],
        bound_claims={"project": ["a", "b"]},
        token_policies=["web"],
        allowed_redirect_uris=None,
    )

    def log_in(key: str = "ec", algorithm: str = "ES256", **changed: Any) -> dict[str, Any]:
        now = server.vault.clock.now().timestamp()
        claims = {
            "iss": "issuer",
            "sub": "job-1",
            "aud": "vault",
            "project": "a",
            "iat": now,
            "exp": now + 300,
            **changed,
        }
        token = jwt.encode({name: value for name, value in claims.items() if value is not None}, keys[key], algorithm)
        answer: dict[str, Any] = api.jwt_login("ci", token, use_token=False)
        return answer

    return log_in


def test_jwt(server: RunningServer, jwt_role: Callable[..., dict[str, Any]]) -> None:
    auth = is_logged_in(server, jwt_role(), "web")
    assert auth["metadata"] == {"role": "ci"}
    assert jwt_role(key="rsa", algorithm="RS256", project="b")["auth"]["entity_id"] == auth["entity_id"]
    assert jwt_role(sub="job-2")["auth"]["entity_id"] != auth["entity_id"]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"key": "other"}, "no known key successfully validated"),
        ({"iss": "else"}, "invalid issuer"),
        ({"aud": "else"}, "invalid audience"),
        ({"aud": None}, "invalid audience"),
        ({"aud": 5}, "invalid audience"),
        ({"project": "c"}, 'claim "project" does not match'),
        ({"project": None}, 'claim "project" is missing'),
        ({"exp": 5}, "token is expired"),
        ({"nbf": time.time() + 10**8}, "not yet valid"),
        ({"exp": None, "iat": None}, "claims in token"),
        ({"sub": None}, 'claim "sub" not found'),
    ],
)
def test_a_jwt_that_is_not_good_enough(
    jwt_role: Callable[..., dict[str, Any]], changed: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(REFUSED, match=complaint):
        jwt_role(**changed)


def test_a_public_key_is_no_hmac_secret(server: RunningServer, keys: dict[str, Any], jwt_role: object) -> None:
    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    claims = {"iss": "issuer", "sub": "x", "aud": "vault", "project": "a", "exp": time.time() + 10**8}
    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    signature = hmac.new(pem(keys["rsa"]).encode(), signed, hashlib.sha256).digest()
    forged = (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
    unsigned = (part({"alg": "none"}) + b"." + part(claims) + b".").decode()
    for token in (forged, unsigned, "nonsense"):
        response = server.request("POST", "auth/jwt/login", json={"role": "ci", "jwt": token}, token=None)
        assert response.status_code == 400
        assert "no known key" in response.json()["errors"][0]


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("config", {"jwt_validation_pubkeys": ["nonsense"]}, "error parsing public key"),
        ("config", {"oidc_discovery_url": "https://x"}, "fetches no keys"),
        ("role/x", {"bound_audiences": "a"}, "user claim"),
        ("role/x", {"user_claim": "sub"}, "at least one bound constraint"),
        ("role/x", {"user_claim": "sub", "role_type": "oidc", "bound_subject": "x"}, "has only jwt"),
        ("login", {"role": "none", "jwt": "x"}, "could not be found"),
        ("login", {"role": "ci"}, "missing token"),
    ],
)
def test_bad_jwt_settings(
    server: RunningServer, jwt_role: object, path: str, body: dict[str, Any], complaint: str
) -> None:
    response = server.request("POST", f"auth/jwt/{path}", json=body)
    assert response.status_code == 400
    assert complaint in response.json()["errors"][0]


@pytest.fixture
def cluster(server: RunningServer, keys: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Log in with a projected token of a service account."""
    api = server.client().auth.kubernetes
    config = {"kubernetes_host": "https://kubernetes", "pem_keys": [pem(keys["rsa"])]}  # hvac takes certificates alone
    assert server.request("POST", "auth/kubernetes/config", json=config).status_code == 204
    api.create_role("pods", ["issuer*"], ["certs"], policies=["web"], audience="vault")

    def log_in(key: str = "rsa", account: str = "issuer-1", namespace: str = "certs", **changed: Any) -> dict[str, Any]:
        now = server.vault.clock.now().timestamp()
        claims = {
            "aud": ["vault"],
            "exp": now + 600,
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": f"uid-{account}"}},
            **changed,
        }
        token = jwt.encode(claims, keys[key], "RS256" if key == "rsa" else "ES256")
        answer: dict[str, Any] = api.login("pods", token, use_token=False)
        return answer

    return log_in


def test_kubernetes(server: RunningServer, cluster: Callable[..., dict[str, Any]]) -> None:
    auth = is_logged_in(server, cluster(), "web")
    assert auth["metadata"]["service_account_name"] == "issuer-1"
    assert auth["metadata"]["service_account_namespace"] == "certs"
    prefix = "kubernetes.io/serviceaccount/"
    legacy = {f"{prefix}namespace": "certs", f"{prefix}service-account.name": "issuer-1"}
    legacy[f"{prefix}service-account.uid"] = "uid-issuer-1"
    assert cluster(**{"kubernetes.io": None}, **legacy)["auth"]["entity_id"] == auth["entity_id"]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"key": "other"}, "no known key"),
        ({"account": "web"}, "service account name not authorized"),
        ({"namespace": "default"}, "namespace not authorized"),
        ({"aud": ["else"]}, "invalid audience"),
        ({"exp": 5}, "expired"),
        ({"kubernetes.io": None}, "none of a Kubernetes service account"),
    ],
)
def test_a_service_account_that_is_not_let_in(
    cluster: Callable[..., dict[str, Any]], changed: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(REFUSED, match=complaint):
        cluster(**changed)


# ---------------------------------------------------------------------- cert


@pytest.fixture
def client_pair(authority: trustme.CA, tmp_path: Path) -> tuple[str, str]:
    """Files with a client's certificate and key."""
    issued = authority.issue_cert("host-1.example.com", common_name="host-1")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return str(certificate), str(key)


def test_cert(server: RunningServer, authority: trustme.CA, client_pair: tuple[str, str]) -> None:
    root = server.client()
    ca = authority.cert_pem.bytes().decode()
    root.auth.cert.create_ca_certificate_role(
        "hosts", certificate=ca, allowed_common_names="host-*", token_policies="web"
    )
    assert root.auth.cert.list_certificate_roles()["data"]["keys"] == ["hosts"]
    certificate, key = client_pair
    client = server.client(token="", cert=client_pair)
    login = client.auth.cert.login(name="hosts", cert_pem=certificate, key_pem=key, use_token=False)
    auth = is_logged_in(server, login, "web")
    assert (auth["metadata"]["cert_name"], auth["metadata"]["common_name"]) == ("hosts", "host-1")
    response = server.request("POST", "auth/cert/login", json={}, token=None, cert=client_pair)
    assert response.json()["auth"]["entity_id"] == auth["entity_id"], "without a name, every role is tried"


def test_a_certificate_of_its_own_is_enough(server: RunningServer, client_pair: tuple[str, str]) -> None:
    own = Path(client_pair[0]).read_text(encoding="ascii")
    server.request("POST", "auth/cert/certs/own", json={"certificate": own, "token_policies": "web"})
    login = server.request("POST", "auth/cert/login", json={"name": "own"}, token=None, cert=client_pair)
    assert login.json()["auth"]["metadata"]["cert_name"] == "own"


def test_certificates_that_are_not_let_in(
    server: RunningServer, authority: trustme.CA, client_pair: tuple[str, str]
) -> None:
    def refusal(name: str, **options: Any) -> str:
        response = server.request("POST", "auth/cert/login", json={"name": name}, token=None, **options)
        assert response.status_code == 400
        error: str = response.json()["errors"][0]
        return error

    ca, stranger = authority.cert_pem.bytes().decode(), trustme.CA().cert_pem.bytes().decode()
    server.request("POST", "auth/cert/certs/narrow", json={"certificate": ca, "allowed_dns_sans": "web*.example.com"})
    server.request("POST", "auth/cert/certs/stranger", json={"certificate": stranger})
    assert "must be supplied" in refusal("narrow")
    for name in ("narrow", "stranger", "none"):
        assert "no chain matching" in refusal(name, cert=client_pair)
    assert server.request("POST", "auth/cert/certs/bad", json={"certificate": "x"}).status_code == 400


def test_tls_itself_turns_away_a_certificate_of_another_ca(server: RunningServer, tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("host-1.example.com")
    files = (tmp_path / "c.pem", tmp_path / "c.key")
    issued.cert_chain_pems[0].write_to_path(str(files[0]))
    issued.private_key_pem.write_to_path(str(files[1]))
    with pytest.raises((requests.ConnectionError, ssl.SSLError)):
        server.request("POST", "auth/cert/login", json={}, token=None, cert=(str(files[0]), str(files[1])))


def test_faults_reach_down_to_the_socket_below_tls(server: RunningServer) -> None:
    for kind in ("reset", "hang"):
        server.dev("POST", "faults", {"kind": kind, "delay": 0.05, "count": 1})
        with pytest.raises(requests.ConnectionError):
            server.request("GET", "sys/health")
    assert server.request("GET", "sys/health").status_code == 200
