# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The lookup certificate: options in, dictionaries out, and failures in words."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.certops.vault_extca.plugins.lookup.certificate import LookupModule

from ...issuing import SmallCA
from ...ordering import DENIED, MOUNT, ORDER, ORDER_ID, ROLE, order_status
from ...support import NOTHING_THERE, Answer, FakeVault

NAME = "www.example.com"
LEAF = SmallCA().issue(NAME)
OPTIONS = {
    "url": "http://vault.test:8200",
    "token": "hvs.unit",
    "mount": MOUNT,
    "role_name": "web",
    "min_validity": "0s",
    "certificate_format": "pem",
}


@pytest.fixture
def look_up(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin with options as Ansible's configuration gives them."""

    def run(*terms: Any, **changes: Any) -> list[dict[str, Any]]:
        plugin = LookupModule()
        monkeypatch.setattr(plugin, "set_options", lambda **_given: None)
        monkeypatch.setattr(plugin, "get_options", lambda: {**OPTIONS, **changes})
        found: list[dict[str, Any]] = plugin.run(list(terms), variables={})
        return found

    return run


def cached(vault: FakeVault) -> None:
    data = LEAF.data()
    vault.on("GET", f"{ROLE}/cached", Answer(data))
    row = {key: data[key] for key in ("not_before", "not_after")}
    row |= {"order_status": "completed", "role_name": "web", "order_id": ORDER_ID, "identifiers": [NAME]}
    vault.on("GET", f"{MOUNT}/lookup/cert/{data['serial_number']}", Answer(row))


@pytest.mark.parametrize("term", [NAME, f" {NAME} ,", [NAME], "WWW.example.com."])
def test_a_cached_certificate_comes_with_its_key(vault: FakeVault, look_up: Any, term: Any) -> None:
    cached(vault)
    (found,) = look_up(term)
    for key in ("certificate", "ca_chain", "private_key", "serial_number"):
        assert found[key] == LEAF.data()[key]
    assert found["order_id"] == ORDER_ID
    assert len(vault.calls) == 2


def test_an_order_is_read_in_place_of_names(vault: FakeVault, look_up: Any) -> None:
    vault.on("GET", f"{ORDER}/status", order_status("completed"))
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data()))
    for changes in ({"order_id": ORDER_ID}, {"id": f"{ORDER}/certificate", "mount": "elsewhere", "role_name": None}):
        (found,) = look_up(**changes)
        assert found["serial_number"] == LEAF.data()["serial_number"]
        assert "polls" not in found


def test_nothing_there_is_told(vault: FakeVault, look_up: Any) -> None:
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    with pytest.raises(
        AnsibleLookupError, match=f"certops.vault_extca.certificate: .*no cached certificate for {NAME}"
    ):
        look_up(NAME)
    vault.on("GET", f"{ORDER}/status", order_status("processing-challenge"))
    with pytest.raises(AnsibleLookupError, match="is processing-challenge and has no certificate yet"):
        look_up(order_id=ORDER_ID)


def test_a_token_that_may_not_is_told(vault: FakeVault, look_up: Any) -> None:
    vault.on("GET", f"{ROLE}/cached", DENIED)
    vault.on("POST", "sys/capabilities-self", Answer({f"{ROLE}/cached": ["list"]}))
    with pytest.raises(AnsibleLookupError, match="the token has list there, and lacks read"):
        look_up(NAME)
    vault.on("POST", "sys/capabilities-self", DENIED)
    with pytest.raises(AnsibleLookupError, match="Check the token and its policies"):
        look_up(NAME)


def test_a_library_that_is_missing_is_told(vault: FakeVault, look_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(vault)
    for name in [one for one in sys.modules if one.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(AnsibleLookupError, match="The Python library cryptography cannot be imported"):
        look_up(NAME)


@pytest.mark.parametrize(
    ("terms", "changes", "message"),
    [
        ([], {}, "give either the DNS names"),
        ([NAME], {"order_id": ORDER_ID}, "give either the DNS names"),
        ([NAME], {"role_name": None}, "role_name is not given"),
        (["192.0.2.1"], {}, "is an IP address"),
        ([NAME], {"min_validity": "often"}, "neither a duration"),
    ],
)
def test_bad_input_is_told(
    vault: FakeVault, look_up: Any, terms: list[Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnsibleLookupError, match=message):
        look_up(*terms, **changes)
    assert vault.calls == []
