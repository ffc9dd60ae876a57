# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Roles."""

from __future__ import annotations

from typing import Any

import pytest

from tests.devserver.engine.harness import Server, fresh


def test_defaults_and_answer_to_a_write(server: Server) -> None:
    written = server.ok("POST", "role/plain", acme_account_name="le")
    assert written == server.ok("GET", "role/plain")
    assert written["allowed_domains"] == written["allowed_domain_options"] == []
    assert written["allowed_challenge_types"] == ["http-01", "dns-01", "tls-alpn-01"]
    assert written["csr_generate_key_type"] == "ec-256"
    assert written["csr_identifier_population"] == "cn_first"
    assert written["dns_provider_name"] == written["dns_provider_type"] == ""
    assert "not allowed by role 'plain'" in server.refused(
        "POST", "role/plain/new-order", identifiers=["a.example.com"]
    )


def test_an_update_changes_what_is_sent(server: Server) -> None:
    before = server.ok("GET", "role/web")
    after = server.ok("PUT", "role/web", acme_account_name="le", csr_generate_key_type="rsa-2048")
    assert after["csr_generate_key_type"] == "rsa-2048"
    assert after["allowed_domains"] == before["allowed_domains"]
    assert after["creation_date"] == before["creation_date"]
    assert after["last_updated_date"] > before["last_updated_date"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"acme_account_name": ""}, "'acme_account_name'"),
        ({"acme_account_name": "nobody"}, "'nobody' does not exist"),
        ({"allowed_domain_options": "bare_domains,glob"}, "'glob'"),
        ({"allowed_challenge_types": ["dns-02"]}, "'dns-02'"),
        ({"allowed_challenge_types": []}, "allowed_challenge_types"),
        ({"csr_generate_key_type": "rsa-8192"}, "'rsa-8192'"),
        ({"csr_identifier_population": "cn_only"}, "'cn_only'"),
        ({"dns_provider_name": "x"}, "must be set together"),
        ({"dns_provider_type": "rfc2136"}, "must be set together"),
        ({"dns_provider_name": "x", "dns_provider_type": "rfc2136"}, "rfc2136/x does not exist"),
    ],
)
def test_what_a_write_refuses(server: Server, changes: dict[str, Any], words: str) -> None:
    assert words in server.refused("POST", "role/new", **({"acme_account_name": "le"} | changes))
    assert server.request("GET", "role/new").status_code == 404


def test_the_account_of_a_role_is_fixed(server: Server) -> None:
    server.ok("POST", "config/acme-account/other", **server.services.account())
    refusal = server.refused("POST", "role/web", acme_account_name="other")
    assert "acme_account_name of an existing role cannot be changed" in refusal


def test_listed_and_deleted(server: Server) -> None:
    server.role("db")
    assert server.ok("LIST", "role")["keys"] == ["db", "web"]
    server.ok("DELETE", "role/db")
    server.ok("DELETE", "role/db")
    server.ok("DELETE", "role/web", force="false")
    assert server.request("LIST", "role").status_code == 404


def test_a_role_with_ended_orders_needs_no_force(server: Server) -> None:
    order_id = server.issue(fresh())
    server.ok("DELETE", "role/web")
    assert server.ok("GET", f"lookup/order/{order_id}")["order_status"] == "completed"


def test_templates_are_filled_in_for_the_caller(server: Server) -> None:
    server.role(
        "people",
        allowed_domains=["{{identity.entity.name}}.example.com", "{{identity.entity.metadata.team}}.example.com"],
        allowed_domain_options=["bare_domains"],
    )
    new_order = "role/people/new-order"
    refusal = server.refused("POST", new_order, identifiers=["alice.example.com"])
    assert "alice.example.com" in refusal, "root has no entity, so no template has a value"
    identity = server.vault.identity
    tokens = {}
    for person in ("alice", "bob"):
        entity = identity.new_entity("", person)
        identity.save(entity)
        token = server.vault.tokens.create(namespace="", policies=["root"], path="test", entity_id=entity.id)
        tokens[person] = token.id
    server.ok("POST", new_order, identifiers=["alice.example.com"], token=tokens["alice"])
    refusal = server.refused("POST", new_order, identifiers=["alice.example.com"], token=tokens["bob"])
    assert "not allowed by role 'people': alice.example.com" in refusal


def test_cached_keys_are_for_whom_the_template_fits(server: Server) -> None:
    name = fresh()
    label = name.split(".")[0]
    server.role("people", allowed_domains=["{{identity.entity.name}}.example.com"], allowed_domain_options=[])
    identity = server.vault.identity
    tokens = {}
    for person in (label, "mallory"):
        entity = identity.new_entity("", person)
        identity.save(entity)
        token = server.vault.tokens.create(namespace="", policies=["root"], path="test", entity_id=entity.id)
        tokens[person] = token.id
    order_id = server.ok("POST", "role/people/new-order", identifiers=[name], token=tokens[label])["order_id"]
    server.wait(order_id, "awaiting-challenge-fulfillment", role="people")
    server.fulfil(order_id, name, role="people")
    server.wait(order_id, "completed", role="people")
    asked = {"identifiers": name, "min_validity_percentage": "1"}
    assert server.request("GET", "role/people/cached", token=tokens[label], **asked).status_code == 200
    assert server.request("GET", "role/people/cached", token=tokens["mallory"], **asked).status_code == 404
