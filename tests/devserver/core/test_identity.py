# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Entities, aliases, groups and templates."""

from __future__ import annotations

from typing import Any

import hvac.exceptions
import pytest

from tests.devserver.conftest import RunningServer


@pytest.fixture(scope="module")
def accessor(server: RunningServer) -> str:
    """Userpass with alice and bob; its mount accessor."""
    client = server.client()
    client.sys.enable_auth_method("userpass")
    for name in ("alice", "bob"):
        client.auth.userpass.create_or_update_user(name, "pw", "people")
    text = 'path "kv/render" { capabilities = ["update"] }\npath "kv/data/{{identity.entity.name}}" { capabilities = ["create"] }'
    client.sys.create_or_update_policy("people", text)
    found: str = client.sys.list_auth_methods()["data"]["userpass/"]["accessor"]
    return found


@pytest.fixture
def alice(server: RunningServer, accessor: str) -> str:
    """An entity of that name, with an alias, metadata and two groups, one within the other; its id."""
    identity = server.client().secrets.identity
    identity.create_or_update_entity_by_name("alice", metadata={"team.name": "web"}, policies=["extra"])
    entity: str = identity.read_entity_by_name("alice")["data"]["id"]
    identity.create_or_update_entity_alias(name="alice", canonical_id=entity, mount_accessor=accessor)
    identity.create_or_update_group_by_name("inner.group", group_type="internal", member_entity_ids=[entity])
    inner = identity.read_group_by_name("inner.group")["data"]["id"]
    identity.create_or_update_group_by_name(
        "outer", group_type="internal", member_group_ids=[inner], metadata={"floor": "3"}, policies=["from-outer"]
    )
    return entity


def log_in(server: RunningServer, name: str) -> dict[str, Any]:
    auth: dict[str, Any] = server.client().auth.userpass.login(name, "pw", use_token=False)["auth"]
    return auth


def test_a_login_finds_its_entity_and_the_policies_of_it(server: RunningServer, alice: str) -> None:
    auth = log_in(server, "alice")
    assert auth["entity_id"] == alice
    assert auth["token_policies"] == ["default", "people"]
    assert auth["identity_policies"] == ["extra", "from-outer"]
    assert auth["policies"] == ["default", "extra", "from-outer", "people"]
    shown = server.client(token=auth["client_token"]).auth.token.lookup_self()["data"]
    assert shown["identity_policies"] == ["extra", "from-outer"]


def test_a_login_of_somebody_new_makes_an_entity(server: RunningServer, accessor: str) -> None:
    entity = server.client().secrets.identity.read_entity(log_in(server, "bob")["entity_id"])["data"]
    assert entity["name"].startswith("entity_")
    assert [(one["name"], one["mount_accessor"]) for one in entity["aliases"]] == [("bob", accessor)]


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{identity.entity.name}}.example.com", "alice.example.com"),
        ("{{ identity.entity.name }}", "alice"),
        ("{{identity.entity.id}}", "ENTITY"),
        ("{{identity.entity.metadata.team.name}}", "web"),
        ("{{identity.entity.aliases.ACCESSOR.name}}", "alice"),
        ("{{identity.entity.aliases.ACCESSOR.metadata.username}}", "alice"),
        ("{{identity.groups.names.inner.group.id}}", "GROUP"),
        ("{{identity.groups.ids.GROUP.name}}", "inner.group"),
        ("{{identity.groups.names.outer.metadata.floor}}-{{identity.entity.name}}", "3-alice"),
        ("{{identity.entity.metadata.none}}", None),
        ("{{identity.entity.aliases.none.name}}", None),
        ("{{identity.groups.names.other.id}}", None),
        ("{{time.now}}", None),
        ("{{}}", None),
        ("{{identity.entity.name}", None),
    ],
)
def test_templates(server: RunningServer, accessor: str, alice: str, template: str, value: str | None) -> None:
    group = server.client().secrets.identity.read_group_by_name("inner.group")["data"]["id"]
    for word, actual in (("ACCESSOR", accessor), ("GROUP", group), ("ENTITY", alice)):
        template = template.replace(word, actual)
        value = value.replace(word, actual) if value else value
    token = log_in(server, "alice")["client_token"]
    response = server.request("POST", "kv/render", json={"text": template}, token=token)
    if value is None:
        assert response.status_code == 400
    else:
        assert response.json()["data"] == {"rendered": value, "entity_id": alice}


def test_a_template_has_no_value_without_an_entity(server: RunningServer) -> None:
    assert server.request("POST", "kv/render", json={"text": "{{identity.entity.name}}"}).status_code == 400


def test_a_templated_policy_is_about_its_holder(server: RunningServer, alice: str) -> None:
    token = log_in(server, "alice")["client_token"]
    assert server.request("PUT", "kv/data/alice", json={}, token=token).status_code == 200
    assert server.request("PUT", "kv/data/bob", json={}, token=token).status_code == 403
    server.request("DELETE", "kv/data/alice")


def test_a_disabled_entity_is_shut_out(server: RunningServer, alice: str) -> None:
    identity = server.client().secrets.identity
    token = log_in(server, "alice")["client_token"]
    server.request("POST", f"identity/entity/id/{alice}", json={"disabled": True})
    try:
        assert server.request("GET", "auth/token/lookup-self", token=token).status_code == 403
        with pytest.raises(hvac.exceptions.Forbidden):
            log_in(server, "alice")
    finally:
        server.request("POST", f"identity/entity/id/{alice}", json={"disabled": False})
    assert identity.read_entity(alice)["data"]["disabled"] is False


def test_entities_are_read_listed_renamed_and_deleted(server: RunningServer) -> None:
    identity = server.client().secrets.identity
    made = identity.create_or_update_entity("eve", metadata={"a": "b"})["data"]
    assert identity.read_entity(made["id"])["data"]["metadata"] == {"a": "b"}
    assert made["id"] in identity.list_entities()["data"]["keys"]
    assert "eve" in identity.list_entities_by_name()["data"]["keys"]
    assert identity.lookup_entity(name="eve")["data"]["id"] == made["id"]
    identity.update_entity(made["id"], name="eva")
    assert identity.read_entity_by_name("eva")["data"]["id"] == made["id"]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="root"):
        identity.update_entity(made["id"], policies=["root"])
    identity.delete_entity(made["id"])
    with pytest.raises(hvac.exceptions.InvalidPath):
        identity.read_entity(made["id"])
    assert identity.lookup_entity(name="eva").status_code == 204


def test_aliases_and_groups(server: RunningServer, accessor: str) -> None:
    identity = server.client().secrets.identity
    entity = identity.create_or_update_entity("carol")["data"]["id"]
    alias = identity.create_or_update_entity_alias(name="carol", canonical_id=entity, mount_accessor=accessor)["data"]
    assert alias["canonical_id"] == entity
    assert identity.read_entity_alias(alias["id"])["data"]["mount_type"] == "userpass"
    assert alias["id"] in identity.list_entity_aliases()["data"]["keys"]
    assert identity.lookup_entity(alias_name="carol", alias_mount_accessor=accessor)["data"]["id"] == entity
    with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid mount accessor"):
        identity.create_or_update_entity_alias(name="carol", canonical_id=entity, mount_accessor="none")
    group = identity.create_or_update_group("crew", member_entity_ids=[entity])["data"]["id"]
    assert identity.read_group(group)["data"]["member_entity_ids"] == [entity]
    assert group in identity.list_groups()["data"]["keys"]
    assert identity.read_entity(entity)["data"]["direct_group_ids"] == [group]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="does not exist"):
        identity.create_or_update_group("crew2", member_entity_ids=["none"])
    identity.delete_entity(entity)
    assert identity.read_group(group)["data"]["member_entity_ids"] == []
    with pytest.raises(hvac.exceptions.InvalidPath):
        identity.read_entity_alias(alias["id"])
    identity.delete_group(group)
    with pytest.raises(hvac.exceptions.InvalidPath):
        identity.read_group(group)
