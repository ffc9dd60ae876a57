# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The conformance check itself: it accepts what the contract shows and refuses what it does not."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.devserver.contract import assert_conforms, documented, domain_vectors

ROLE = {
    "name": "web",
    "acme_account_name": "account",
    "allowed_domains": ["example.com"],
    "allowed_domain_options": [],
    "allowed_challenge_types": ["http-01"],
    "csr_generate_key_type": "ec-256",
    "csr_identifier_population": "cn_first",
    "creation_date": "2026-01-02T03:04:05.123456789Z",
    "last_updated_date": "2026-01-02T03:04:05+01:00",
}


@dataclass
class Answer:
    status_code: int
    content: bytes


def answer(status: int, body: Any = None) -> Answer:
    return Answer(status, b"" if body is None else json.dumps(body).encode())


def envelope(data: Any) -> dict[str, Any]:
    return {
        "request_id": str(uuid.uuid4()),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }


def test_a_documented_answer_conforms() -> None:
    assert_conforms("GET", "/{mount}/role/{name}", answer(200, envelope(ROLE)))
    assert_conforms("PUT", "/{mount}/role/{name}", answer(400, {"errors": ["no"]}))
    assert_conforms("DELETE", "/{mount}/role/{name}", answer(204))


@pytest.mark.parametrize(
    "body",
    [
        envelope({**ROLE, "surprise": 1}),
        envelope({**ROLE, "creation_date": "yesterday"}),
        envelope({name: value for name, value in ROLE.items() if name != "acme_account_name"}),
        {"data": ROLE},
        {**envelope(ROLE), "request_id": "not a uuid"},
    ],
)
def test_a_body_beside_the_schema_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        assert_conforms("GET", "/{mount}/role/{name}", answer(200, body))


def test_an_undocumented_status_and_an_unexpected_body_are_refused() -> None:
    with pytest.raises(AssertionError, match="does not know"):
        assert_conforms("GET", "/{mount}/role/{name}", answer(201, {}))
    with pytest.raises(AssertionError, match="with a body"):
        assert_conforms("DELETE", "/{mount}/role/{name}", answer(204, {}))


def test_answers_of_open_questions_widen_the_contract_only_where_they_are_given() -> None:
    template = "/{mount}/role/{name}/order/{order_id}/fetch-cert"
    nothing = answer(200, envelope(None))
    with pytest.raises(AssertionError):
        assert_conforms("GET", template, nothing)
    assert_conforms("GET", template, nothing, answers={"OQ-1": "200"})


def test_dns_templates_name_the_type() -> None:
    with pytest.raises(LookupError):
        assert_conforms("GET", "/{mount}/config/dns/{type}/{name}", answer(404, {"errors": []}))
    assert_conforms("GET", "/{mount}/config/dns/rfc2136/{name}", answer(404, {"errors": []}))


def test_the_copies_are_complete() -> None:
    assert len(set(documented())) > 60
    assert len(domain_vectors()) == 13
