# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Challenges answered by the host itself, validated by Pebble for real."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.behaviour.harness import fresh_name
from tests.testbed import Bind, Nginx, Pebble, PebbleOptions
from tests.testbed.nginx import webroot_server

from .site import Site, is_pair


def test_http_01_from_the_task_itself(site: Site) -> None:
    name = fresh_name()
    result = site.run(site.options(name, challenge_type="http-01"))
    assert (result["changed"], result["source"]) == (True, "order")
    assert result["identifiers"] == [name]
    assert "does not exist" in result["reason"]
    assert is_pair(Path(site.pair["fullchain"]).read_bytes(), Path(site.pair["private_key"]).read_bytes())
    assert "private_key" not in result
    assert site.leftovers() == []


def test_http_01_behind_nginx_leaves_nothing_in_the_webroot(site: Site, webroot: Path) -> None:
    names = [fresh_name(), fresh_name()]
    result = site.run(site.options(*names, http_01=site.http_webroot))
    assert result["identifiers"] == names
    assert list(webroot.rglob("*")) == []


def test_what_was_in_the_webroot_stays(site: Site, webroot: Path) -> None:
    kept = webroot / ".well-known" / "security.txt"
    kept.parent.mkdir()
    kept.write_text("Contact: mailto:security@example.com\n")
    site.run(site.options(fresh_name(), http_01=site.http_webroot))
    assert [path for path in webroot.rglob("*") if path.is_file()] == [kept]


def test_tls_alpn_01_for_several_names(site: Site) -> None:
    names = [fresh_name(), fresh_name("example.org")]
    result = site.run(site.options(*names, http_01=None, tls_alpn_01=site.tls_here, challenge_type="tls-alpn-01"))
    assert result["identifiers"] == names


def test_auto_takes_the_first_type_that_is_configured_and_offered(site: Site) -> None:
    site.engine.write_role("web", allowed_challenge_types=["tls-alpn-01"])
    result = site.run(site.options(fresh_name(), tls_alpn_01=site.tls_here))
    assert result["source"] == "order"


def test_a_wildcard_without_a_dns_provider_fails_with_the_ways_out(site: Site) -> None:
    result = site.run(site.options("*." + fresh_name()), fails=True)
    assert "no DNS provider of Vault's answers it" in result["msg"]
    assert "certops.vault_extca.certificate" in result["msg"]


def test_dns_01_is_left_to_vaults_provider(site: Site) -> None:
    with Bind() as bind, Pebble(site.bench.ca, PebbleOptions(dns_server=bind.server)) as pebble:
        key, zone = next(iter(bind.keys.values())), bind.dynamic_zones[0]
        account = site.bench.account_fields(directory_url=pebble.directory_url)
        site.engine.api("POST", "config/acme-account/dns", account)
        provider = {
            "identifiers": [zone, f"*.{zone}"],
            "nameserver": bind.server,
            "tsig_key_name": key.name,
            "tsig_secret": key.secret,
            "tsig_algorithm": key.algorithm,
        }
        site.engine.api("POST", "config/dns/rfc2136/bind", provider)
        by_vault = {"dns_provider_name": "bind", "dns_provider_type": "rfc2136", "allowed_domains": [zone]}
        site.engine.write_role("dns", acme_account_name="dns", **by_vault)
        for answer, changes in (("present", {"challenge_type": "dns-01"}), ("absent", {"challenge_type": "auto"})):
            with site.bench.answers({"OQ-19": answer}):
                names = [f"*.{answer}.{zone}", f"{answer}.{zone}"]
                result = site.run(site.options(*names, role_name="dns", http_01=None, **changes))
            assert result["identifiers"] == names
        assert not any("fulfilled-challenge" in call for call in site.calls())


@pytest.mark.parametrize("answer", ["present", "absent"])
def test_vaults_provider_proves_some_names_and_this_host_the_others(site: Site, answer: str) -> None:
    with (
        Bind() as bind,
        Pebble(site.bench.ca, PebbleOptions(dns_server=bind.server, http_port=site.bench.pebble.http_port)) as pebble,
    ):
        key, (by_vault, by_hand) = next(iter(bind.keys.values())), bind.dynamic_zones
        site.engine.api(
            "POST", "config/acme-account/dns", site.bench.account_fields(directory_url=pebble.directory_url)
        )
        provider = {
            "identifiers": [by_vault, f"*.{by_vault}"],
            "nameserver": bind.server,
            "tsig_key_name": key.name,
            "tsig_secret": key.secret,
            "tsig_algorithm": key.algorithm,
        }
        site.engine.api("POST", "config/dns/rfc2136/bind", provider)
        site.engine.write_role("hybrid", acme_account_name="dns", allowed_domains=[by_vault, by_hand])
        with site.bench.answers({"OQ-19": answer}):
            names = [f"*.{by_vault}", f"www.{by_hand}"]
            result = site.run(site.options(*names, role_name="hybrid"))
        assert result["identifiers"] == names


@pytest.mark.parametrize("challenge_type", ["http-01", "tls-alpn-01"])
def test_a_type_without_a_way_to_answer_is_refused_before_anything_is_ordered(site: Site, challenge_type: str) -> None:
    result = site.run(site.options(fresh_name(), challenge_type=challenge_type, http_01=None), fails=True)
    assert f"challenge_type is {challenge_type}, and" in result["msg"]
    assert site.calls() == []


def test_a_web_server_with_another_root_is_found_out_before_vault_is_told(site: Site, tmp_path: Path) -> None:
    site.webroot.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    port = site.bench.pebble.http_port
    name = fresh_name()
    with Nginx(webroot_server(port, other), [port]):
        result = site.run(site.options(name, http_01=site.http_webroot), fails=True)
    assert f"The http-01 challenge of {name} is not served" in result["msg"]
    assert "answers 404" in result["msg"]
    assert not any("fulfilled-challenge" in call for call in site.calls())
    assert list(site.webroot.rglob("*")) == []
    # The order is still good, and used when the web server is mended.
    with Nginx(webroot_server(port, site.webroot), [port]):
        mended = site.run(site.options(name, http_01=site.http_webroot))
    assert mended["source"] == "order"
    assert site.orders() == 1


def test_no_web_server_at_all_is_said(site: Site) -> None:
    site.webroot.mkdir()
    result = site.run(site.options(fresh_name(), http_01=site.http_webroot), fails=True)
    assert "does not answer" in result["msg"]
    assert "check_address" in result["msg"]


def test_a_port_that_is_taken_is_said_with_the_way_out(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.bench.pebble.http_port)):
        result = site.run(site.options(fresh_name()), fails=True)
    assert f"cannot listen on 127.0.0.1:{site.bench.pebble.http_port}" in result["msg"]
    assert "webroot" in result["msg"]


def test_a_challenge_that_the_ca_finds_invalid_fails_in_its_words_and_cleans_up(site: Site, webroot: Path) -> None:
    name = fresh_name()
    site.bench.challtestsrv.set_a(name, "127.0.0.9")
    try:
        result = site.run(site.options(name, http_01=site.http_webroot), fails=True)
    finally:
        site.bench.challtestsrv.clear_a(name)
    assert result["order_status"] == "error"
    assert "127.0.0.9" in result["msg"] or "onnection" in result["msg"]
    assert list(webroot.rglob("*")) == []
    assert site.leftovers() == []


def test_names_that_are_proven_already_need_no_challenge(site: Site) -> None:
    with Pebble(site.bench.ca, PebbleOptions(dns_server=site.bench.challtestsrv.dns_server, authz_reuse=100)) as pebble:
        account = site.bench.account_fields(directory_url=pebble.directory_url)
        site.engine.api("POST", "config/acme-account/reusing", account)
        site.engine.write_role("reusing", acme_account_name="reusing")
        here = {"listen": f"127.0.0.1:{pebble.http_port}"}
        options = site.options(fresh_name(), role_name="reusing", http_01=here)
        site.run(options)
        site.calls()
        result = site.run({**options, "http_01": None, "force": True})
    assert (result["changed"], result["source"], result["reason"]) == (True, "order", "force is set")
    assert not any("challenge" in call for call in site.calls())
