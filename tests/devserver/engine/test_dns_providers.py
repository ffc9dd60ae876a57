# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""DNS providers: stored, validated, tested, and put to work against BIND."""

from __future__ import annotations

from typing import Any

import pytest

from devserver.engine.dns_rfc2136 import NameServer
from tests.devserver.engine.harness import Server, eventually, fresh

EXAMPLES: dict[str, dict[str, Any]] = {
    "aws-route53": {"access_key_id": "AKIA", "secret_access_key": "S3CRET", "hosted_zone_id": "Z1"},
    "azure-dns": {"zone_name": "example.com", "client_id": "c", "client_secret": "S3CRET", "tenant_id": "t"},
    "google-cloud-dns": {"zone_name": "z", "project": "p", "credentials": '{"private_key": "S3CRET"}'},
    "rfc2136": {"nameserver": "ns1.example.com:53", "tsig_key_name": "k", "tsig_secret": "S3CRET"},
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_stored_without_its_secrets(server: Server, kind: str) -> None:
    path = f"config/dns/{kind}/main"
    assert server.request("GET", path).status_code == 404
    written = server.ok("POST", path, identifiers="example.com,*.example.com", **EXAMPLES[kind])
    assert written == server.ok("GET", path)
    assert "S3CRET" not in str(written)
    assert written["identifiers"] == ["example.com", "*.example.com"]
    assert written["ttl"] == ("10s" if kind == "google-cloud-dns" else "1m0s")
    after = server.ok("POST", path, ttl=120)
    assert after["ttl"] == "2m0s"
    assert {**after, "ttl": written["ttl"], "last_updated_date": written["last_updated_date"]} == written
    assert server.ok("LIST", f"config/dns/{kind}")["keys"] == ["main"]
    listed = server.ok("LIST", "config/dns")
    assert listed == {"keys": [f"{kind}/main"], "key_info": {f"{kind}/main": {"name": "main", "type": kind}}}
    server.ok("DELETE", path)
    assert server.request("LIST", f"config/dns/{kind}").status_code == 404
    assert server.request("LIST", "config/dns").status_code == 404


def test_defaults(server: Server) -> None:
    assert server.ok("POST", "config/dns/aws-route53/a", identifiers="a.b")["region"] == "us-east-1"
    assert server.ok("POST", "config/dns/azure-dns/a", identifiers="a.b")["environment"] == "AzurePublic"
    rfc2136 = server.ok("POST", "config/dns/rfc2136/a", identifiers="a.b", **EXAMPLES["rfc2136"])
    assert rfc2136["tsig_algorithm"] == "hmac-sha256"


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("aws-route53", {"identifiers": []}, "'identifiers'"),
        ("aws-route53", {"identifiers": ["a.*.com"]}, "'a.*.com'"),
        ("aws-route53", {"ttl": "soon"}, "'ttl'"),
        ("aws-route53", {"ttl": "0s"}, "ttl must be a positive duration"),
        ("aws-route53", {"ttl": 2**31}, "at most 2147483647 seconds"),
        ("azure-dns", {"environment": "AzureMoon"}, "AzurePublic"),
        ("google-cloud-dns", {"credentials": "S3CRET"}, "credentials is not a JSON object"),
        ("google-cloud-dns", {"credentials": '"S3CRET"'}, "credentials is not a JSON object"),
        ("rfc2136", {"nameserver": ""}, "'nameserver'"),
        ("rfc2136", {"tsig_key_name": ""}, "'tsig_key_name'"),
        ("rfc2136", {"tsig_secret": ""}, "'tsig_secret'"),
        ("rfc2136", {"nameserver": "ns1.example.com"}, "not of the form host:port"),
        ("rfc2136", {"nameserver": "::1:53"}, "not of the form host:port"),
        ("rfc2136", {"nameserver": "ns1:0"}, "no valid port"),
        ("rfc2136", {"tsig_algorithm": "hmac-md5"}, "hmac-sha256"),
    ],
)
def test_what_a_write_refuses(server: Server, kind: str, changes: dict[str, Any], words: str) -> None:
    parameters = {"identifiers": ["example.com"], **EXAMPLES[kind], **changes}
    refusal = server.refused("POST", f"config/dns/{kind}/new", **parameters)
    assert words in refusal
    assert "S3CRET" not in refusal
    assert server.request("GET", f"config/dns/{kind}/new").status_code == 404


def test_a_provider_that_a_role_names_stays(server: Server) -> None:
    for kind, example in EXAMPLES.items():
        server.ok("POST", f"config/dns/{kind}/main", identifiers="example.com", **example)
        server.role(dns_provider_name="main", dns_provider_type=kind)
        assert "in use by role(s): web" in server.refused("DELETE", f"config/dns/{kind}/main")
    server.role(dns_provider_name="", dns_provider_type="")
    server.ok("DELETE", "config/dns/rfc2136/main")


def workflow(server: Server, **changes: Any) -> Any:
    defaults = {"identifier": "x.dyn.example.com", "provider_type": "rfc2136", "provider_name": "bind"}
    return server.request("POST", "dns/test/workflow", **(defaults | changes))


def test_the_test_workflow(dns_server: Server) -> None:
    bind = dns_server.services.bind
    assert bind is not None
    dns_server.provider()
    done = workflow(dns_server, identifier="*.x.dyn.example.com")
    assert done.status_code == 200
    assert done.data["success"] is True
    assert done.data["record_name"] == "_acme-challenge.x.dyn.example.com."
    assert bind.query("_acme-challenge.x.dyn.example.com") == []
    assert workflow(dns_server, omit_cleanup=True).status_code == 200
    assert len(bind.query("_acme-challenge.x.dyn.example.com")) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tsig_secret": "d3Jvbmc="}, "the TSIG signature does not verify (BADSIG)"),
        ({"tsig_key_name": "nobody"}, "it does not know the TSIG key (BADKEY)"),
        ({"tsig_algorithm": "hmac-sha512"}, "it does not know the TSIG key (BADKEY)"),
        ({"tsig_secret": "no base64 at all!"}, "tsig_secret is not valid base64"),
        ({"nameserver": "nowhere.invalid:53"}, "does not resolve"),
        ({"nameserver": f"{'a' * 64}.example:53"}, "does not resolve"),
    ],
)
def test_what_goes_wrong_in_the_test_workflow(dns_server: Server, changes: dict[str, str], words: str) -> None:
    dns_server.provider(**changes)
    failed = workflow(dns_server)
    assert failed.status_code == 400
    assert words in failed.error
    assert failed.body["data"]["success"] is False
    assert failed.body["data"]["message"] == failed.error
    assert changes.get("tsig_secret", "no secret") not in failed.error


def test_test_workflow_of_what_is_not_there(dns_server: Server) -> None:
    assert "rfc2136/bind does not exist" in workflow(dns_server).error
    dns_server.provider()
    assert "not authoritative for a zone" in workflow(dns_server, identifier="www.example.edu").error
    assert "REFUSED" in workflow(dns_server, identifier="www.example.com").error
    assert "not a valid DNS name" in workflow(dns_server, identifier="a b").error
    for kind in ("aws-route53", "azure-dns", "google-cloud-dns"):
        dns_server.ok("POST", f"config/dns/{kind}/cloud", identifiers="example.com", **EXAMPLES[kind])
        failed = workflow(dns_server, provider_type=kind, provider_name="cloud")
        assert "no connection to that cloud" in failed.error
        assert failed.body["data"]["success"] is False


def test_no_manual_challenge_at_all(dns_server: Server) -> None:
    bind = dns_server.services.bind
    assert bind is not None
    dns_server.provider()
    parent = fresh("dyn.example.com")
    dns_server.vault.scripts.put({"stay": {"vault-challenge-propagating": 0.3}})
    order_id = dns_server.order(f"*.{parent}", parent)
    status = dns_server.wait(order_id, "vault-challenge-propagating")
    assert {one["requires_manual_fulfillment"] for one in status["challenges"][f"*.{parent}"]} == {"false"}
    by_hand = {one["challenge_type"]: one["requires_manual_fulfillment"] for one in status["challenges"][parent]}
    assert by_hand == {"dns-01": "false", "http-01": "true", "tls-alpn-01": "true"}
    assert len(bind.query(f"_acme-challenge.{parent}")) == 2
    dns_server.wait(order_id, "completed")
    eventually(lambda: not bind.query(f"_acme-challenge.{parent}"))


def test_a_hybrid_order(dns_server: Server) -> None:
    dns_server.provider()
    by_hand, by_provider = fresh(), fresh("dyn.example.com")
    order_id = dns_server.order(by_hand, by_provider)
    dns_server.wait(order_id, "awaiting-challenge-fulfillment")
    dns_server.fulfil(order_id, by_hand)
    done = dns_server.wait(order_id, "completed")
    assert {
        one["challenge_status"] for one in done["challenges"][by_provider] if one["challenge_type"] == "dns-01"
    } == {"valid"}


def test_an_automated_identifier_may_be_fulfilled_by_hand(dns_server: Server) -> None:
    dns_server.provider(tsig_secret="d3Jvbmc=")
    names = [fresh(), fresh("dyn.example.com")]
    order_id = dns_server.order(*names)
    dns_server.wait(order_id, "awaiting-challenge-fulfillment")
    for name in reversed(names):
        dns_server.fulfil(order_id, name)
    dns_server.wait(order_id, "completed")


def test_a_wrong_secret_fails_the_order(dns_server: Server) -> None:
    dns_server.provider(tsig_secret="d3Jvbmc=")
    failed = dns_server.wait(dns_server.order(fresh("dyn.example.com")), "error")
    assert "in state vault-challenge-fulfillment" in failed["last_error"]
    assert "TSIG signature does not verify (BADSIG)" in failed["last_error"]
    assert "d3Jvbmc" not in failed["last_error"]


def test_records_are_removed_when_the_order_fails(dns_server: Server) -> None:
    bind = dns_server.services.bind
    assert bind is not None
    dns_server.provider()
    name = fresh("dyn.example.com")
    dns_server.vault.scripts.put({"fail": "scripted", "in": "vault-challenge-propagating"})
    dns_server.wait(dns_server.order(name), "error")
    eventually(lambda: not bind.query(f"_acme-challenge.{name}"))
    dns_server.vault.scripts.put({"stay": {"vault-challenge-propagating": 3600}})
    dns_server.wait(dns_server.order(name), "vault-challenge-propagating")
    assert bind.query(f"_acme-challenge.{name}")
    dns_server.ok("DELETE", "role/web", force=True)
    eventually(lambda: not bind.query(f"_acme-challenge.{name}"))


def test_the_ca_hears_nothing_before_the_record_is_served(dns_server: Server) -> None:
    bind = dns_server.services.bind
    assert bind is not None
    dns_server.provider()
    name = fresh("dyn.example.com")
    dns_server.vault.scripts.put({"stay": {"vault-challenge-propagating": 0.5}})
    order_id = dns_server.order(name)
    dns_server.wait(order_id, "vault-challenge-propagating")
    record = f"_acme-challenge.{name}."
    (value,) = bind.query(record)
    key = bind.keys["hmac-sha256"]
    name_server = NameServer(bind.server, key.name, key.secret, key.algorithm, 1)
    name_server.remove_txt(record, value)
    eventually(lambda: dns_server.status(order_id)["next_work_date"] and not bind.query(record))
    dns_server.vault.clock.advance(1)
    other = dns_server.order(fresh("dyn.example.com"))
    dns_server.wait(other, "completed")
    assert dns_server.status(order_id)["order_status"] == "vault-challenge-propagating"
    name_server.add_txt(record, value)
    dns_server.wait(order_id, "completed")


def test_a_record_that_never_appears(dns_server: Server) -> None:
    bind = dns_server.services.bind
    assert bind is not None
    dns_server.provider()
    name = fresh("dyn.example.com")
    dns_server.vault.scripts.put({"stay": {"vault-challenge-propagating": 0.5}})
    order_id = dns_server.order(name)
    dns_server.wait(order_id, "vault-challenge-propagating")
    (value,) = bind.query(f"_acme-challenge.{name}")
    key = bind.keys["hmac-sha256"]
    NameServer(bind.server, key.name, key.secret, key.algorithm, 1).remove_txt(f"_acme-challenge.{name}.", value)
    dns_server.vault.clock.advance(61)
    failed = dns_server.wait(order_id, "error")
    assert f"the TXT record _acme-challenge.{name}. did not appear" in failed["last_error"]


def test_a_cloud_provider_fails_the_order_honestly(dns_server: Server) -> None:
    dns_server.ok("POST", "config/dns/aws-route53/aws", identifiers="*.example.com", **EXAMPLES["aws-route53"])
    failed = dns_server.wait(dns_server.order(fresh()), "error")
    assert "no connection to that cloud" in failed["last_error"]


def test_the_role_names_its_provider(dns_server: Server) -> None:
    dns_server.provider("good")
    dns_server.provider("bad", tsig_secret="d3Jvbmc=")
    dns_server.role(dns_provider_name="good", dns_provider_type="rfc2136")
    dns_server.wait(dns_server.order(fresh("dyn.example.com")), "completed")
    dns_server.role(dns_provider_name="bad", dns_provider_type="rfc2136")
    dns_server.wait(dns_server.order(fresh("dyn.example.com")), "error")


def test_without_a_name_the_most_specific_pattern_chooses(dns_server: Server) -> None:
    dns_server.provider("broad", tsig_secret="d3Jvbmc=", identifiers="*.example.com,*.dyn.example.com")
    name = fresh("dyn.example.com")
    dns_server.provider("narrow", identifiers=[name])
    dns_server.wait(dns_server.order(name), "completed")


def test_dns_01_that_the_role_forbids_is_not_automated(dns_server: Server) -> None:
    dns_server.provider()
    dns_server.role(allowed_challenge_types="http-01")
    name = fresh("dyn.example.com")
    order_id = dns_server.order(name)
    dns_server.wait(order_id, "awaiting-challenge-fulfillment")
    dns_server.fulfil(order_id, name)
    dns_server.wait(order_id, "completed")


def test_a_name_server_that_stays_away(dns_server: Server) -> None:
    dns_server.provider(nameserver="127.0.0.1:1")
    order_id = dns_server.order(fresh("dyn.example.com"))
    status = eventually(lambda: (now := dns_server.status(order_id))["last_error"] and now)
    assert status["order_status"] == "vault-challenge-fulfillment"
    assert "Connection refused" in status["last_error"]
    dns_server.vault.clock.advance(61)
    dns_server.wait(order_id, "error")
