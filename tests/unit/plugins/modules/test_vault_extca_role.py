# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_role: creates, updates by meaning, deletes, and copes with a Vault that knows less."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_role"
PATH = "pki-external-ca/role/web"
OPTIONS = {"name": "web", "acme_account_name": "main", "allowed_domains": ["example.com", "räksmörgås.se"]}
PROVIDER = {"dns_provider_name": "internal", "dns_provider_type": "rfc2136"}
IGNORED = "Endpoint ignored these unrecognized parameters: [dns_provider_name dns_provider_type]"


def role(warnings: list[str] | None = None, **changes: Any) -> Answer:
    data: dict[str, Any] = {
        "name": "web",
        "acme_account_name": "main",
        "allowed_domains": ["xn--rksmrgs-5wao1o.se", "example.com"],
        "allowed_domain_options": ["subdomains", "bare_domains"],
        "allowed_challenge_types": ["http-01", "dns-01"],
        "csr_generate_key_type": "ec-256",
        "csr_identifier_population": "cn_first",
        "dns_provider_name": "",
        "dns_provider_type": "",
        "creation_date": "2026-01-31T13:00:00+01:00",
        "last_updated_date": "2026-01-31T12:00:00Z",
    }
    data.update(changes)
    return Answer({key: value for key, value in data.items() if value is not None}, warnings=warnings)


def old_role(warnings: list[str] | None = None, **changes: Any) -> Answer:
    """As Vault 2.0 shows it."""
    return role(warnings, dns_provider_name=None, dns_provider_type=None, **changes)


def test_creates_a_role(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    vault.on("POST", PATH, role())
    result = run_module(MODULE, OPTIONS, diff=True)
    assert vault.sent[1].body == {key: value for key, value in OPTIONS.items() if key != "name"}
    assert result["changed"]
    assert result["role"]["creation_date"] == "2026-01-31T12:00:00Z"
    assert result["diff"] == {"before": {}, "after": vault.sent[1].body}


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"allowed_domains": ["xn--rksmrgs-5wao1o.se", "EXAMPLE.com"]},
        {"allowed_domain_options": ["bare_domains", "subdomains"]},
        {"allowed_challenge_types": ["dns-01", "http-01", "dns-01"]},
        {"csr_generate_key_type": "ec-256", "csr_identifier_population": "cn_first"},
        {"dns_provider_name": "", "dns_provider_type": ""},
    ],
)
def test_the_same_role_in_other_words_changes_nothing(
    vault: FakeVault, run_module: RunModule, same: dict[str, Any]
) -> None:
    vault.on("GET", PATH, role())
    assert run_module(MODULE, {**OPTIONS, **same})["changed"] is False
    assert vault.calls == [f"GET {PATH}"]


def test_an_update_repeats_what_stays(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, role())
    vault.on("POST", PATH, role(csr_generate_key_type="rsa-2048"))
    result = run_module(MODULE, {**OPTIONS, "csr_generate_key_type": "rsa-2048"}, diff=True)
    assert vault.sent[1].body == {
        "acme_account_name": "main",
        "allowed_domains": ["xn--rksmrgs-5wao1o.se", "example.com"],
        "allowed_domain_options": ["subdomains", "bare_domains"],
        "allowed_challenge_types": ["http-01", "dns-01"],
        "csr_generate_key_type": "rsa-2048",
        "csr_identifier_population": "cn_first",
        "dns_provider_name": "",
        "dns_provider_type": "",
    }
    assert result["diff"]["before"] == {"csr_generate_key_type": "ec-256"}
    assert result["role"]["csr_generate_key_type"] == "rsa-2048"


def test_lists_can_be_emptied_and_the_provider_taken_away(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, role(dns_provider_name="internal", dns_provider_type="rfc2136"))
    vault.on("POST", PATH, role())
    emptied = {"allowed_domain_options": [], "dns_provider_name": "", "dns_provider_type": ""}
    assert run_module(MODULE, {**OPTIONS, **emptied})["changed"]
    assert emptied.items() <= vault.sent[1].body.items()


def test_the_account_is_fixed(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, role())
    result = run_module(MODULE, {**OPTIONS, "acme_account_name": "other"})
    assert "acme_account_name is 'main' and not 'other'" in result["msg"]
    assert "recreate" not in result["msg"]


def test_a_vault_that_knows_no_provider_is_warned_of_when_the_role_is_created(
    vault: FakeVault, run_module: RunModule
) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    vault.on("POST", PATH, old_role([IGNORED, "something else"]))
    result = run_module(MODULE, {**OPTIONS, **PROVIDER})
    ours, other = result["warnings"]
    assert "does not know dns_provider_name" in ours
    assert "rfc2136/internal" in ours
    assert other == "Vault says of role web: something else"
    assert result["role"]["dns_provider_name"] == ""


def test_a_vault_that_knows_no_provider_is_not_written_to_again_and_again(
    vault: FakeVault, run_module: RunModule
) -> None:
    vault.on("GET", PATH, old_role())
    result = run_module(MODULE, {**OPTIONS, **PROVIDER})
    assert result["changed"] is False
    assert "does not know dns_provider_name" in result["warnings"][0]
    assert vault.calls == [f"GET {PATH}"]


def test_a_vault_that_knows_no_provider_still_gets_the_rest(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, old_role())
    vault.on("POST", PATH, old_role(csr_generate_key_type="rsa-2048"))
    result = run_module(MODULE, {**OPTIONS, **PROVIDER, "csr_generate_key_type": "rsa-2048"}, diff=True)
    assert result["changed"]
    assert vault.sent[1].body["dns_provider_name"] == ""
    assert result["diff"]["after"] == {"csr_generate_key_type": "rsa-2048"}
    assert len(result["warnings"]) == 1


def test_absent_deletes_once(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, old_role(), NOTHING_THERE)
    vault.on("DELETE", PATH, NO_CONTENT)
    first = run_module(MODULE, {**PROVIDER, "name": "web", "state": "absent"})
    assert first["changed"]
    assert "warnings" not in first
    assert run_module(MODULE, {"name": "web", "state": "absent"})["changed"] is False
    assert vault.sent[1].params == {}


def test_active_orders_need_force(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, role())
    vault.on("DELETE", PATH, Answer(status=400, errors=["role has active orders"]), NO_CONTENT)
    result = run_module(MODULE, {"name": "web", "state": "absent"})
    assert "role has active orders" in result["msg"]
    assert "force: true" in result["msg"]
    assert run_module(MODULE, {"name": "web", "state": "absent", "force": True})["changed"]
    assert vault.sent[-1].params == {"force": ["true"]}


def test_a_refusal_in_spite_of_force_is_told_as_it_is(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, role())
    vault.on("DELETE", PATH, Answer(status=400, errors=["out of order"]))
    result = run_module(MODULE, {"name": "web", "state": "absent", "force": True})
    assert "out of order" in result["msg"]
    assert "force: true" not in result["msg"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_only_reads(vault: FakeVault, run_module: RunModule, state: str) -> None:
    vault.on("GET", PATH, role())
    options = {**OPTIONS, "state": state, "csr_generate_key_type": "ec-521"}
    assert run_module(MODULE, options, check=True)["changed"]
    assert vault.calls == [f"GET {PATH}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acme_account_name": None}, "acme_account_name"),
        ({"allowed_domain_options": ["everything"]}, "value of allowed_domain_options must be one or more of"),
        ({"allowed_challenge_types": ["http-02"]}, "value of allowed_challenge_types must be one or more of"),
        ({"dns_provider_name": "internal"}, "dns_provider_name is 'internal' and dns_provider_type is None"),
        ({"dns_provider_name": "", "dns_provider_type": "rfc2136"}, "give both, or empty texts for both"),
        ({"name": "../../sys/policies/acl/root"}, "name '../../sys/policies/acl/root' cannot be used"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], message: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert message in result["msg"]
    assert vault.calls == []
