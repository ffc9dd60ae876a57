# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The lookup certificate: what Vault has, for templates."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.certops.vault_extca.plugins.module_utils.certificate_lookup import look_up_certificates
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError

from tests.behaviour.harness import fresh_name, play

from .site import Site


def look_up(site: Site, *terms: Any, token: str = "", **options: Any) -> list[dict[str, Any]]:
    """What the plugin does with its options."""
    given = {
        "url": site.bench.vault.url,
        "token": token or site.bench.vault.token,
        "mount": site.engine.mount,
        "min_validity": "0s",
        "certificate_format": "pem",
        **options,
    }
    return look_up_certificates(terms, given, warn=print)


def test_a_cached_certificate_by_its_name(site: Site) -> None:
    name, other = fresh_name(), fresh_name()
    issued = [site.run(site.options(one, force=True, return_private_key=True)) for one in (name, other)]
    found = look_up(site, name, [other], role_name="web")
    for one, expected in zip(found, issued, strict=True):
        for key in (
            "certificate",
            "ca_chain",
            "fullchain",
            "private_key",
            "serial_number",
            "identifiers",
            "order_id",
            "id",
        ):
            assert one[key] == expected[key]


@pytest.mark.parametrize("spelling", ["list", "commas"])
def test_several_names_of_one_certificate(site: Site, spelling: str) -> None:
    names = [fresh_name(), fresh_name()]
    site.run(site.options(*names))
    (found,) = look_up(site, names if spelling == "list" else ", ".join(names), role_name="web")
    assert found["identifiers"] == names


def test_the_certificate_of_an_order(site: Site) -> None:
    issued = site.run(site.options(fresh_name(), key_source="local"))
    (by_id,) = look_up(site, id=issued["id"])
    (by_order,) = look_up(site, role_name="web", order_id=issued["order_id"], certificate_format="pem_bundle")
    assert by_id["serial_number"] == by_order["serial_number"] == issued["serial_number"]
    assert by_order["certificate"] == issued["fullchain"]
    assert "private_key" not in by_id


def test_options_come_from_variables_the_ini_file_and_the_environment(site: Site) -> None:
    name = fresh_name()
    issued = site.run(site.options(name))
    here = f"lookup('certops.vault_extca.certificate', '{name}', role_name='web', mount='{site.engine.mount}'"
    wanted = f"serial_number == '{issued['serial_number']}'"
    token = {"ansible_hashi_vault_token": site.bench.vault.token}
    ini = site.directory / "ansible.cfg"
    ini.write_text(f"[hashi_vault_collection]\nurl = {site.bench.vault.url}\n")
    checks: list[dict[str, Any]] = [
        {"that": f"{here}).{wanted}", "vars": {"ansible_hashi_vault_addr": site.bench.vault.url, **token}},
        {"that": f"{here}, url='{site.bench.vault.url}', token='{site.bench.vault.token}').{wanted}", "vars": {}},
        {"that": f"{here}).{wanted}", "vars": token},
    ]
    tasks = [
        {"name": "Look it up", "ansible.builtin.assert": {"that": one["that"], "quiet": True}, "vars": one["vars"]}
        for one in checks
    ]
    lines = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    environment = {"ANSIBLE_CONFIG": str(ini), "VAULT_ADDR": "http://127.0.0.1:9", "VAULT_TOKEN": "hvs.wrong"}
    played = play(yaml.safe_dump(lines), site.directory, site.bench, environment=environment)
    assert played.status == 0, played.output
    by_environment = [{"hosts": "localhost", "gather_facts": False, "tasks": [{**tasks[2], "vars": {}}]}]
    environment = {"ANSIBLE_HASHI_VAULT_ADDR": site.bench.vault.url, "VAULT_ADDR": "http://127.0.0.1:9"}
    played = play(yaml.safe_dump(by_environment), site.directory, site.bench, environment=environment)
    assert played.status == 0, played.output
    failing = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{**tasks[2], "vars": {"ansible_hashi_vault_url": "nowhere"}}],
        }
    ]
    played = play(yaml.safe_dump(failing), site.directory, site.bench)
    assert "certops.vault_extca.certificate: url 'nowhere' is not an address of Vault" in " ".join(
        played.output.split()
    )


def test_a_look_takes_two_requests(site: Site) -> None:
    name = fresh_name()
    site.run(site.options(name))
    site.calls()
    look_up(site, name, role_name="web")
    assert len(site.calls()) == 2


def test_nothing_there_is_said(site: Site) -> None:
    name = fresh_name()
    with pytest.raises(ExtcaError, match=f"has no cached certificate for {name}"):
        look_up(site, name, role_name="web")
    site.run(site.options(name))
    with pytest.raises(ExtcaError, match="valid for long enough"):
        look_up(site, name, role_name="web", min_validity="3650d")
    order_id = site.engine.order()
    with pytest.raises(ExtcaError, match="has no certificate yet"):
        look_up(site, role_name="web", order_id=order_id)


BAD_INPUT: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "nothing": ([], {"role_name": "web"}, "give either the DNS names"),
    "both": (["a.example.com"], {"role_name": "web", "order_id": "x"}, "give either the DNS names"),
    "no role": (["a.example.com"], {}, "role_name is not given"),
    "an address": (["192.0.2.1"], {"role_name": "web"}, "is an IP address"),
    "no name": ([""], {"role_name": "web"}, "identifiers is empty"),
    "no duration": (["a.example.com"], {"role_name": "web", "min_validity": "often"}, "neither a duration"),
    "a path": (["a.example.com"], {"role_name": "../sys"}, "cannot be used"),
    "an id": ([], {"id": "web"}, "is not of the form"),
}


@pytest.mark.parametrize(("terms", "options", "message"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_told(site: Site, terms: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExtcaError, match=message):
        look_up(site, *terms, **options)
    assert site.calls() == []


def test_a_token_that_may_not_look_is_told_what_it_lacks(site: Site) -> None:
    token = site.bench.token_with(f'path "{site.engine.mount}/role/web/status" {{ capabilities = ["read"] }}')
    with pytest.raises(ExtcaError) as failed:
        look_up(site, fresh_name(), role_name="web", token=token)
    assert "lacks read" in failed.value.message
