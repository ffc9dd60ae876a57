# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Tokens and the policies they hold, through hvac."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hvac.exceptions
import pytest

from tests.devserver.conftest import RunningServer

from .kv import KeyValue


def create(server: RunningServer, by: str = "root", **options: Any) -> str:
    token: str = server.client(token=by).auth.token.create(**options)["auth"]["client_token"]
    return token


def alive(server: RunningServer, token: str) -> bool:
    return bool(server.client(token=token).is_authenticated())


def test_create_and_look_up(server: RunningServer) -> None:
    server.client().sys.create_or_update_policy("one", 'path "kv/*" { capabilities = ["read"] }')
    made = server.client().auth.token.create(policies=["one"], ttl="1h", meta={"team": "web"}, display_name="ci")[
        "auth"
    ]
    assert made["policies"] == made["token_policies"] == ["default", "one"]
    assert (made["lease_duration"], made["renewable"], made["token_type"]) == (3600, True, "service")
    shown = server.client(token=made["client_token"]).auth.token.lookup_self()["data"]
    assert (shown["id"], shown["accessor"]) == (made["client_token"], made["accessor"])
    assert (shown["display_name"], shown["meta"], shown["path"]) == ("token-ci", {"team": "web"}, "auth/token/create")
    assert 3590 < shown["ttl"] <= 3600
    assert shown["creation_ttl"] == 3600
    by_accessor = server.client().auth.token.lookup_accessor(made["accessor"])["data"]
    assert (by_accessor["id"], by_accessor["policies"]) == ("", ["default", "one"])
    assert server.client().auth.token.lookup(made["client_token"])["data"] == shown
    assert made["accessor"] in server.client().auth.token.list_accessors()["data"]["keys"]


def test_root_never_expires(server: RunningServer) -> None:
    shown = server.client().auth.token.lookup_self()["data"]
    assert (shown["ttl"], shown["expire_time"], shown["policies"]) == (0, None, ["root"])


def test_a_token_expires_and_renewing_puts_it_off(make_server: Callable[..., RunningServer]) -> None:
    server = make_server(backends={"kv": KeyValue})
    short, renewed = create(server, ttl="60s"), create(server, ttl="60s")
    server.vault.clock.advance(50)
    answer = server.client(token=renewed).auth.token.renew_self(increment="2m")["auth"]
    assert answer["lease_duration"] == 120
    server.vault.clock.advance(50)
    assert not alive(server, short)
    assert alive(server, renewed)
    server.vault.clock.advance(90)
    assert not alive(server, renewed)


def test_explicit_max_ttl_and_period(make_server: Callable[..., RunningServer]) -> None:
    server = make_server()
    capped = create(server, ttl="1h", explicit_max_ttl="90m")
    server.vault.clock.advance(3000)
    answer = server.client(token=capped).auth.token.renew_self(increment="1h")
    assert 2395 <= answer["auth"]["lease_duration"] <= 2400
    assert "max_ttl" in answer["warnings"][0]
    periodic = create(server, period="10m")
    server.vault.clock.advance(500)
    assert server.client(token=periodic).auth.token.renew_self(increment="5h")["auth"]["lease_duration"] == 600
    fixed = create(server, ttl="1h", renewable=False)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="not renewable"):
        server.client(token=fixed).auth.token.renew_self()


def test_uses_run_out(server: RunningServer) -> None:
    token = create(server, num_uses=3)
    for _use in range(2):
        assert server.client(token=token).auth.token.lookup_self()
    last = server.client(token=token).auth.token.lookup_self()["data"]
    assert last["num_uses"] == 0
    assert not alive(server, token)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="restricted use token"):
        create(server, by=create(server, num_uses=5))


def test_a_refused_request_is_a_use_as_well(server: RunningServer) -> None:
    token = create(server, num_uses=1, policies=["default"])
    assert server.request("GET", "sys/mounts", token=token).status_code == 403
    assert not alive(server, token)


def test_revoking_takes_the_children_along_but_not_orphans(server: RunningServer) -> None:
    parent = create(server)
    child, orphan = create(server, by=parent), create(server, by=parent, no_parent=True)
    server.client(token=parent).auth.token.revoke_self()
    assert [alive(server, token) for token in (parent, child, orphan)] == [False, False, True]
    server.client().auth.token.revoke(orphan)
    assert not alive(server, orphan)
    again = create(server)
    accessor = server.client().auth.token.lookup(again)["data"]["accessor"]
    server.client().auth.token.revoke_accessor(accessor)
    assert not alive(server, again)
    mother = create(server)
    kept = create(server, by=mother)
    server.client().auth.token.revoke_and_orphan_children(mother)
    assert (alive(server, mother), alive(server, kept)) == (False, True)


def test_nobody_gives_away_more_than_they_have(server: RunningServer) -> None:
    maker = 'path "auth/token/create" { capabilities = ["create", "update"] }'
    weak = server.policy_token(maker, name="maker")
    assert server.client(token=weak).auth.token.create(policies=["maker"])["auth"]["policies"] == ["default", "maker"]
    for options, complaint in (
        ({"policies": ["strong"]}, "subset of parent"),
        ({"policies": ["root"]}, "subset of parent"),
        ({"no_parent": True}, "orphan"),
        ({"period": "1h"}, "periodic"),
        ({"id": "mine"}, "token id"),
    ):
        with pytest.raises(hvac.exceptions.InvalidRequest, match=complaint):
            server.client(token=weak).auth.token.create(**options)
    sudo = server.policy_token(maker.replace('"update"', '"update", "sudo"'), name="sudoer")
    assert server.client(token=sudo).auth.token.create(policies=["maker"], no_parent=True)["auth"]["orphan"]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="without parent token being root"):
        server.client(token=sudo).auth.token.create(policies=["root"])


@pytest.mark.parametrize("options", [{"ttl": "soon"}, {"ttl": "-5s"}, {"num_uses": -1}, {"type": "batch"}])
def test_bad_options(server: RunningServer, options: dict[str, Any]) -> None:
    assert server.request("POST", "auth/token/create", json=options).status_code == 400


def test_the_wrong_token_to_look_up(server: RunningServer) -> None:
    assert server.request("POST", "auth/token/lookup", json={"token": "none"}).json()["errors"] == ["bad token"]
    assert server.request("POST", "auth/token/lookup-accessor", json={"accessor": "none"}).status_code == 403
    assert server.request("POST", "auth/token/revoke", json={}).status_code == 400
    renewed = server.request("POST", "auth/token/renew", json={"token": "none"})
    assert (renewed.status_code, renewed.json()["errors"]) == (400, ["token not found"])


def test_a_token_that_is_gone_is_as_good_as_revoked(server: RunningServer) -> None:
    assert server.request("POST", "auth/token/revoke", json={"token": "none"}).status_code == 204
    by_accessor = server.request("POST", "auth/token/revoke-accessor", json={"accessor": "none"})
    assert (by_accessor.status_code, by_accessor.json()["warnings"]) == (200, ["No token found with this accessor"])
    orphaned = server.request("POST", "auth/token/revoke-orphan", json={"token": "none"})
    assert (orphaned.status_code, orphaned.json()["errors"]) == (400, ["token to revoke not found"])


def test_the_default_policy_comes_from_a_parent_that_has_it(server: RunningServer) -> None:
    maker = 'path "auth/token/create" { capabilities = ["create", "update"] }'
    server.client().sys.create_or_update_policy("bare-maker", maker)

    def policies(by: str, **options: Any) -> list[str]:
        made: list[str] = server.client(token=by).auth.token.create(**options)["auth"]["policies"]
        return made

    bare = create(server, policies=["bare-maker"], no_default_policy=True)
    assert policies(bare) == policies(bare, policies=["bare-maker"]) == ["bare-maker"]
    full = create(server, policies=["bare-maker"])
    assert policies(full) == policies(full, policies=["bare-maker"]) == ["bare-maker", "default"]
    assert policies("root", policies=["bare-maker", "default"], no_default_policy=True) == ["bare-maker"]


def test_a_token_for_a_child_namespace_has_no_policies_of_its_parent(server: RunningServer) -> None:
    server.client().sys.create_namespace("heirs")
    child = server.request("POST", "auth/token/create", json={}, namespace="heirs").json()["auth"]
    assert child["policies"] == ["default"]
    maker = 'path "heirs/auth/token/create" { capabilities = ["update"] }'
    weak = server.policy_token(maker, name="over-the-fence")
    refused = server.request("POST", "auth/token/create", json={}, namespace="heirs", token=weak)
    assert (refused.status_code, "child namespace" in refused.text) == (400, True)


def test_display_names_are_made_of_letters_digits_and_hyphens(server: RunningServer) -> None:
    for given, shown in (("", "token"), ("token", "token-token"), ("web 1_a!", "token-web-1-a")):
        made = server.client().auth.token.create(display_name=given)["auth"]["client_token"]
        assert server.client().auth.token.lookup(made)["data"]["display_name"] == shown


def test_policies_are_enforced_on_each_operation(server: RunningServer) -> None:
    policy = """
    path "kv/data/reads" { capabilities = ["read"] }
    path "kv/data/creates/*" { capabilities = ["create"] }
    path "kv/data/updates/*" { capabilities = ["update"] }
    path "kv/data/deletes" { capabilities = ["delete"] }
    path "kv/data" { capabilities = ["list"] }
    path "kv/secret" { capabilities = ["read"] }
    """
    token = server.policy_token(policy, name="mixed")
    for key in ("reads", "updates/x", "deletes"):
        server.request("PUT", f"kv/data/{key}", json={})

    def status(method: str, path: str) -> int:
        return server.request(method, path, token=token, json={} if method == "PUT" else None).status_code

    assert status("GET", "kv/data/reads") == 200
    assert status("PUT", "kv/data/reads") == 403
    assert status("PUT", "kv/data/creates/new") == 200
    assert status("PUT", "kv/data/creates/new") == 403, "it exists by now, and to write it is an update"
    assert status("PUT", "kv/data/updates/x") == 200
    assert status("PUT", "kv/data/updates/new") == 403
    assert status("DELETE", "kv/data/deletes") == 204
    assert status("DELETE", "kv/data/reads") == 403
    assert status("LIST", "kv/data") == 200
    assert status("GET", "kv/secret") == 403, "the path demands sudo"
    refused = server.request("PUT", "kv/data/reads", token=token, json={"number": "bad"})
    assert refused.json()["errors"] == ["1 error occurred:\n\t* permission denied\n\n"], "403 comes before 400"


def test_a_policy_that_changes_works_at_once(server: RunningServer) -> None:
    token = server.policy_token('path "kv/data/x" { capabilities = ["read"] }', name="changing")
    server.request("PUT", "kv/data/x", json={})
    assert server.request("GET", "kv/data/x", token=token).status_code == 200
    server.client().sys.delete_policy("changing")
    assert server.request("GET", "kv/data/x", token=token).status_code == 403


def test_policies_are_written_read_and_listed(server: RunningServer) -> None:
    client = server.client()
    text = 'path "a" { capabilities = ["read"] }'
    client.sys.create_or_update_acl_policy("Mixed-Case", text)
    assert client.sys.read_acl_policy("mixed-case")["data"] == {"name": "mixed-case", "policy": text}
    assert client.sys.read_policy("mixed-case")["data"]["rules"] == text
    assert {"default", "mixed-case", "root"} <= set(client.sys.list_acl_policies()["data"]["keys"])
    client.sys.delete_acl_policy("mixed-case")
    assert server.request("GET", "sys/policies/acl/mixed-case").status_code == 404
    for name, body, complaint in (
        ("root", {"policy": text}, 'cannot update "root"'),
        ("x", {"policy": ""}, "not supplied or empty"),
        ("x", {"policy": 'path "a" { capabilities = ["reed"] }'}, "invalid capability 'reed'"),
    ):
        response = server.request("PUT", f"sys/policies/acl/{name}", json=body)
        assert response.status_code == 400
        assert complaint in response.json()["errors"][0]
    assert server.request("DELETE", "sys/policies/acl/default").status_code == 400


def test_capabilities(server: RunningServer) -> None:
    token = server.policy_token('path "kv/data/*" { capabilities = ["read", "list"] }', name="capable")
    mine = server.client(token=token).sys.get_capabilities(["kv/data/x", "sys/mounts"])
    assert mine["data"] == {"kv/data/x": ["list", "read"], "sys/mounts": ["deny"]}
    other = server.request("POST", "sys/capabilities", json={"token": token, "path": "kv/data/x"}).json()
    assert other["data"]["capabilities"] == other["capabilities"] == ["list", "read"]
    accessor = server.client().auth.token.lookup(token)["data"]["accessor"]
    by_accessor = server.client().sys.get_capabilities(["kv/data/x"], accessor=accessor)["data"]
    assert by_accessor["kv/data/x"] == ["list", "read"]
    assert server.client().sys.get_capabilities(["any"])["data"]["any"] == ["root"]


# ---------------------------------------------------------------------- wrapping


def test_an_answer_is_wrapped_for_one_look(server: RunningServer) -> None:
    server.request("PUT", "kv/data/wrapped", json={"text": "inside"})
    outside = server.request("GET", "kv/data/wrapped", headers={"X-Vault-Wrap-TTL": "2m"}).json()
    assert outside["data"] is None
    info = outside["wrap_info"]
    assert (info["ttl"], info["creation_path"]) == (120, "kv/data/wrapped")
    looked = server.request("POST", "sys/wrapping/lookup", json={"token": info["token"]}, token=None).json()["data"]
    assert (looked["creation_path"], looked["creation_ttl"]) == ("kv/data/wrapped", 120)
    assert server.request("GET", "kv/data/wrapped", token=info["token"]).status_code == 403
    inside = server.client(token=info["token"]).sys.unwrap()
    assert inside["data"]["text"] == "inside"
    again = server.request("POST", "sys/wrapping/unwrap", token=info["token"])
    assert again.status_code == 400
    assert again.json()["errors"] == ["wrapping token is not valid or does not exist"]


def test_wrap_and_rewrap(server: RunningServer) -> None:
    wrapped = server.client().sys.wrap({"secret": "s"}, ttl="60")["wrap_info"]["token"]
    rewrapped = server.request("POST", "sys/wrapping/rewrap", json={"token": wrapped}).json()["wrap_info"]["token"]
    assert server.request("POST", "sys/wrapping/unwrap", json={"token": wrapped}).status_code == 400
    assert server.client().sys.unwrap(token=rewrapped)["data"] == {"secret": "s"}
    assert server.request("POST", "sys/wrapping/wrap", json={"a": 1}).status_code == 400


def test_a_wrapped_answer_does_not_keep_for_ever(make_server: Callable[..., RunningServer]) -> None:
    server = make_server()
    token = server.client().sys.wrap({"a": "b"}, ttl=60)["wrap_info"]["token"]
    server.vault.clock.advance(61)
    assert server.request("POST", "sys/wrapping/unwrap", token=token).status_code == 400
    for bad in ("soon", "-5s"):
        assert server.request("GET", "sys/mounts", headers={"X-Vault-Wrap-TTL": bad}).status_code == 400
