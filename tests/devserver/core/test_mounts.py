# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Mounts and namespaces, as hvac manages them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hvac.exceptions
import pytest

from tests.devserver.conftest import RunningServer

from .kv import KeyValue


def test_enable_read_tune_disable(server: RunningServer) -> None:
    client = server.client()
    client.sys.enable_secrets_engine(
        "kv", path="apps/nested", description="one", config={"default_lease_ttl": "1h", "max_lease_ttl": 7200}
    )
    listed = client.sys.list_mounted_secrets_engines()
    mount = listed["data"]["apps/nested/"]
    assert listed["apps/nested/"] == mount
    assert (mount["type"], mount["description"]) == ("kv", "one")
    assert (mount["config"]["default_lease_ttl"], mount["config"]["max_lease_ttl"]) == (3600, 7200)
    assert mount["accessor"].startswith("kv_")
    assert server.request("GET", "sys/mounts/apps/nested").json()["data"] == mount

    client.sys.tune_mount_configuration(
        "apps/nested", description="two", max_lease_ttl="3h", listing_visibility="unauth"
    )
    tuned = client.sys.read_mount_configuration("apps/nested")["data"]
    assert (tuned["description"], tuned["max_lease_ttl"], tuned["default_lease_ttl"]) == ("two", 10800, 3600)
    assert tuned["listing_visibility"] == "unauth"
    assert server.request("PUT", "apps/nested/data/a", json={"text": "x"}).status_code == 200

    client.sys.disable_secrets_engine("apps/nested")
    assert "apps/nested/" not in client.sys.list_mounted_secrets_engines()["data"]
    client.sys.disable_secrets_engine("apps/nested")
    client.sys.enable_secrets_engine("kv", path="apps/nested")
    assert server.request("GET", "apps/nested/data/a").status_code == 404, "what was stored outlived its mount"
    client.sys.disable_secrets_engine("apps/nested")


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("kv", {"type": "kv"}, "path is already in use at kv/"),
        ("kv/below", {"type": "kv"}, "path is already in use at kv/"),
        ("other", {"type": "none"}, "plugin not found in the catalog: none"),
        ("other", {}, "backend type must be specified"),
        ("sys/x", {"type": "kv"}, "reserved"),
        ("auth/x", {"type": "kv"}, "reserved"),
        ("a//b", {"type": "kv"}, "empty part"),
        ("other", {"type": "kv", "config": {"default_lease_ttl": "soon"}}, "unable to parse default_lease_ttl of soon"),
        ("other", {"type": "kv", "config": {"default_lease_ttl": "3h", "max_lease_ttl": "1h"}}, "greater than"),
        ("other", {"type": "kv", "config": {"listing_visibility": "loud"}}, "listing_visibility"),
    ],
)
def test_what_cannot_be_mounted_says_why(
    server: RunningServer, path: str, body: dict[str, Any], complaint: str
) -> None:
    before = server.client().sys.list_mounted_secrets_engines()["data"]
    response = server.request("POST", f"sys/mounts/{path}", json=body)
    assert response.status_code == 400
    assert complaint in response.json()["errors"][0]
    assert server.client().sys.list_mounted_secrets_engines()["data"] == before


def test_mounts_that_are_not_there(server: RunningServer) -> None:
    assert server.request("GET", "sys/mounts/none").json()["errors"] == ["No secret engine mount at none/"]
    assert server.request("POST", "sys/mounts/none/tune", json={"description": "x"}).status_code == 400
    assert server.request("DELETE", "sys/mounts/sys").status_code == 400


def test_a_backend_is_started_and_stopped_with_its_mount(server: RunningServer) -> None:
    client = server.client()
    client.sys.enable_secrets_engine("kv", path="lively")
    backend = server.vault.namespaces[""].mounts["lively/"].backend
    assert isinstance(backend, KeyValue)
    assert backend.started == 1
    client.sys.disable_secrets_engine("lively")
    assert backend.started == 0


def test_auth_methods_are_mounts_too(server: RunningServer) -> None:
    client = server.client()
    client.sys.enable_auth_method("userpass", path="people")
    methods = client.sys.list_auth_methods()["data"]
    assert methods["people/"]["type"] == "userpass"
    assert methods["token/"]["type"] == "token"
    client.sys.tune_auth_method("people", default_lease_ttl="30m", description="humans")
    assert client.sys.read_auth_method_tuning("people")["data"]["default_lease_ttl"] == 1800
    client.auth.userpass.create_or_update_user("bob", "pw", mount_point="people")
    login = client.auth.userpass.login("bob", "pw", mount_point="people", use_token=False)
    assert login["auth"]["lease_duration"] == 1800
    # The command line tunes auth methods by way of sys/mounts, which must not be a way to disable them.
    assert server.request("POST", "sys/mounts/auth/people/tune", json={"description": "x"}).status_code == 204
    server.request("DELETE", "sys/mounts/auth/people")
    assert client.sys.list_auth_methods()["data"]["people/"]["description"] == "x"
    client.sys.disable_auth_method("people")
    gone = server.request("GET", "auth/token/lookup-self", token=login["auth"]["client_token"])
    assert gone.status_code == 403, "a token outlived the auth method that made it"


def test_enabling_an_auth_method_needs_sudo(server: RunningServer) -> None:
    weak = server.policy_token('path "sys/auth/*" { capabilities = ["create", "update"] }', name="weak")
    strong = server.policy_token('path "sys/auth/*" { capabilities = ["create", "update", "sudo"] }', name="strong")
    assert server.request("POST", "sys/auth/x", json={"type": "approle"}, token=weak).status_code == 403
    assert server.request("POST", "sys/auth/x", json={"type": "approle"}, token=strong).status_code == 204
    server.client().sys.disable_auth_method("x")


def test_the_preflight_of_the_command_line(server: RunningServer) -> None:
    reader = server.policy_token('path "kv/data/*" { capabilities = ["read"] }', name="reader")
    answer = server.request("GET", "sys/internal/ui/mounts/kv/data/x", token=reader).json()["data"]
    assert (answer["path"], answer["type"]) == ("kv/", "kv")
    stranger = server.policy_token('path "else/*" { capabilities = ["read"] }', name="stranger")
    refused = server.request("GET", "sys/internal/ui/mounts/kv/data/x", token=stranger)
    assert refused.status_code == 403
    assert "preflight capability check returned 403" in refused.json()["errors"][0]
    visible = server.request("GET", "sys/internal/ui/mounts", token=reader).json()["data"]
    assert "kv/" in visible["secret"]
    hidden = server.request("GET", "sys/internal/ui/mounts", token=stranger).json()["data"]
    assert "kv/" not in hidden["secret"]
    assert server.request("GET", "sys/internal/ui/mounts", token=None).json()["data"] == {"auth": {}, "secret": {}}


# ---------------------------------------------------------------------- namespaces


@pytest.fixture
def divided(make_server: Callable[..., RunningServer]) -> RunningServer:
    """Namespaces ``a`` and ``a/b``, each with a ``kv`` that holds where it is."""
    server = make_server(backends={"kv": KeyValue})
    server.client().sys.create_namespace("a")
    server.client(namespace="a").sys.create_namespace("b")
    for namespace in ("", "a", "a/b"):
        server.client(namespace=namespace or None).sys.enable_secrets_engine("kv", path="kv")
        server.request("PUT", "kv/data/where", json={"text": namespace or "root"}, namespace=namespace)
    return server


def test_namespaces_are_isolated_however_they_are_named(divided: RunningServer) -> None:
    def where(path: str, namespace: str) -> str:
        text: str = divided.request("GET", path, namespace=namespace).json()["data"]["text"]
        return text

    assert where("kv/data/where", "") == "root"
    for namespace in ("a", "a/", "/a/"):
        assert where("kv/data/where", namespace) == "a"
    assert where("a/kv/data/where", "") == "a"
    assert where("b/kv/data/where", "a") == "a/b"
    assert where("kv/data/where", "a/b") == where("a/b/kv/data/where", "") == "a/b"
    unknown = divided.request("GET", "kv/data/where", namespace="nowhere")
    assert unknown.json()["errors"] == ['no handler for route "nowhere/kv/data/where". route entry not found.']


def test_namespaces_are_listed_read_and_deleted(divided: RunningServer) -> None:
    root = divided.client()
    assert root.sys.list_namespaces()["data"]["keys"] == ["a/"]
    assert divided.client(namespace="a").sys.list_namespaces()["data"]["keys"] == ["b/"]
    assert divided.request("GET", "sys/namespaces/a").json()["data"]["path"] == "a/"
    assert divided.request("GET", "sys/namespaces/z").status_code == 404
    with pytest.raises(hvac.exceptions.InvalidRequest, match="child namespaces"):
        root.sys.delete_namespace("a")
    divided.client(namespace="a").sys.delete_namespace("b")
    root.sys.delete_namespace("a")
    assert divided.request("GET", "kv/data/where", namespace="a").status_code == 404
    for bad in ("root", "sys", "a b"):
        with pytest.raises(hvac.exceptions.InvalidRequest):
            root.sys.create_namespace(bad)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="already in use"):
        root.sys.create_namespace("kv")


def test_a_token_reaches_its_namespace_and_those_below_as_its_policies_say(divided: RunningServer) -> None:
    policy = 'path "kv/data/*" { capabilities = ["read"] }\npath "b/kv/data/*" { capabilities = ["read"] }'
    token = divided.policy_token(policy, namespace="a")
    assert divided.request("GET", "kv/data/where", token=token, namespace="a").status_code == 200
    assert divided.request("GET", "kv/data/where", token=token, namespace="a/b").status_code == 200
    assert divided.request("GET", "kv/data/where", token=token).status_code == 403
    # What is about the token itself finds it from everywhere.
    itself = divided.client(token=token).auth.token.lookup_self()["data"]
    assert itself["namespace_path"] == "a/"
    assert divided.client(token=token, namespace="a").sys.get_capabilities(["kv/data/x"])["data"]["kv/data/x"] == [
        "read"
    ]


def test_policies_of_one_namespace_do_not_show_in_another(divided: RunningServer) -> None:
    divided.client(namespace="a").sys.create_or_update_policy("mine", 'path "x" { capabilities = ["read"] }')
    assert "mine" not in divided.client().sys.list_policies()["data"]["policies"]
    assert divided.client(namespace="a").sys.list_policies()["data"]["policies"] == ["default", "mine"]


def test_no_root_token_in_a_child_namespace(divided: RunningServer) -> None:
    with pytest.raises(hvac.exceptions.InvalidRequest, match="child namespace"):
        divided.client(namespace="a").auth.token.create(policies=["root"])
