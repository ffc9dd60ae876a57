# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every answer of every open question, changed while the server runs."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from devserver.answers import ANSWERS
from tests.devserver.engine.harness import Server, fresh
from tests.devserver.engine.test_orders import make_csr

REVOKE = {"hyphens": "key-compromise", "underscores": "key_compromise"}
NOWHERE = "00000000-0000-7000-8000-000000000000"


def test_no_question_is_left_out() -> None:
    asked = {name.split("_")[1].upper() for name in globals() if name.startswith("test_oq")}
    assert asked == {question.replace("-", "") for question in ANSWERS}


def test_oq1_fetch_before_completion(server: Server) -> None:
    order_id = server.order(fresh())
    path = f"role/web/order/{order_id}/fetch-cert"
    assert "is not completed" in server.refused("GET", path)
    server.set_answers(OQ_1="404")
    assert server.request("GET", path).body == {"errors": []}
    server.set_answers(OQ_1="200")
    answer = server.request("GET", path)
    assert (answer.status_code, answer.data) == (200, None)


def test_oq2_reads_below_what_is_not_there(server: Server) -> None:
    order_id = server.order(fresh())
    server.role("other")
    challenge = {"identifier": "a.b", "challenge_type": "http-01"}
    paths: list[tuple[str, dict[str, str]]] = [
        (f"role/web/order/{NOWHERE}/status", {}),
        (f"role/web/order/{NOWHERE}/fetch-cert", {}),
        (f"role/web/order/{NOWHERE}/challenge", challenge),
        (f"role/other/order/{order_id}/status", {}),
        (f"role/nowhere/order/{order_id}/status", {}),
        ("role/nowhere/cached", {"identifiers": "a.b", "min_validity_duration": "1h"}),
    ]
    for path, parameters in paths:
        server.set_answers()
        assert server.request("GET", path, **parameters).body == {"errors": []}
        server.set_answers(OQ_2="400")
        assert "does not exist" in server.request("GET", path, **parameters).error
    assert "does not exist" in server.refused("LIST", "role/nowhere/active-orders")
    server.set_answers()
    assert server.request("LIST", "role/nowhere/active-orders").status_code == 404


def test_oq3_nothing_cached(server: Server) -> None:
    asked = {"identifiers": fresh(), "min_validity_duration": "1h"}
    for answer in ANSWERS["OQ-3"]:
        server.set_answers(OQ_3=answer)
        assert server.request("GET", "role/web/cached", **asked).status_code == int(answer)


def test_oq4_fulfilled_twice_and_too_late(server: Server) -> None:
    first, second = fresh(), fresh()
    order_id = server.order(first, second)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.fulfil(order_id, first)
    path, again = f"role/web/order/{order_id}/fulfilled-challenge", {"identifier": first, "challenge_type": "http-01"}
    server.ok("POST", path, identifier=first, challenge_type="http-01")
    server.set_answers(OQ_4="400")
    assert "cannot be marked" in server.request("POST", path, **again).error
    server.fulfil(order_id, second)
    server.wait(order_id, "completed")
    assert "in state completed" in server.request("POST", path, **again).error
    server.set_answers()
    assert server.request("POST", path, **again).status_code == 204
    assert server.status(order_id)["order_status"] == "completed"


def test_oq5_challenge_auth(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    whole = {kind: server.challenge(order_id, name, kind)["challenge_auth"] for kind in ("http-01", "dns-01")}
    assert {value.count(".") for value in whole.values()} == {1}
    server.set_answers(OQ_5="txt-value")
    assert server.challenge(order_id, name, "http-01")["challenge_auth"] == whole["http-01"]
    value = server.challenge(order_id, name, "dns-01")["challenge_auth"]
    assert len(value) == 43
    assert "." not in value
    server.services.chall.set_txt(f"_acme-challenge.{name}", value)
    server.mark(order_id, name, "dns-01")
    server.wait(order_id, "completed")


def test_oq6_revoked_twice(server: Server) -> None:
    order_id = server.issue(fresh())
    path = f"role/web/order/{order_id}/revoke"
    server.ok("POST", path, reason="unspecified")
    assert "revoked already" in server.refused("POST", path, reason="unspecified")
    server.set_answers(OQ_6="204")
    server.ok("POST", path, reason="unspecified")


def test_oq7_private_key_in_the_csr_workflow(server: Server) -> None:
    name = fresh()
    order_id = server.issue(csr=make_csr(ec.generate_private_key(ec.SECP256R1()), name))
    assert "private_key" not in server.fetch(order_id)
    server.set_answers(OQ_7="empty")
    fetched = server.fetch(order_id)
    assert (fetched["private_key"], fetched["private_key_type"]) == ("", "")


def test_oq8_spelling_of_states(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.set_answers(OQ_8="underscores")
    assert server.status(order_id)["order_status"] == "awaiting_challenge_fulfillment"
    assert server.ok("GET", f"lookup/order/{order_id}")["order_status"] == "awaiting_challenge_fulfillment"
    recent = server.ok("LIST", "lookup/orders/recent")["key_info"][order_id]
    assert recent["order_status"] == "awaiting_challenge_fulfillment"


def test_oq9_a_performance_standby(server: Server) -> None:
    for answer in ("404", "412"):
        server.set_answers(OQ_9=answer)
        order_id = server.order(fresh())
        paths = [
            f"role/web/order/{order_id}/status",
            f"role/web/order/{order_id}/fetch-cert",
            f"lookup/order/{order_id}",
        ]
        assert [server.request("GET", path).status_code for path in paths] == [int(answer)] * 3
        server.vault.clock.advance(1)
        assert server.request("GET", paths[0]).status_code == 200


def test_oq10_fetch_of_a_revoked_certificate(server: Server) -> None:
    order_id = server.issue(fresh())
    before = server.fetch(order_id)
    server.ok("POST", f"role/web/order/{order_id}/revoke", reason="unspecified")
    assert server.fetch(order_id) == before
    server.set_answers(OQ_10="400")
    assert "is revoked" in server.refused("GET", f"role/web/order/{order_id}/fetch-cert")


def test_oq11_an_unchanged_write(server: Server) -> None:
    path, account = "config/acme-account/le", server.services.account()
    before = server.ok("GET", path)["last_updated_date"]
    assert server.ok("POST", path, **account)["last_updated_date"] == before
    server.set_answers(OQ_11="yes")
    assert server.ok("POST", path, **account)["last_updated_date"] > before


@pytest.mark.parametrize("spelling", ANSWERS["OQ-12"])
def test_oq12_reason(server: Server, spelling: str) -> None:
    server.set_answers(OQ_12=spelling)
    order_id = server.issue(fresh())
    path = f"role/web/order/{order_id}/revoke"
    wrong = next(reason for name, reason in REVOKE.items() if name != spelling)
    assert "'reason'" in server.refused("POST", path, reason=wrong)
    if spelling == "hyphens":
        assert "'reason'" in server.refused("POST", path)
        server.ok("POST", path, reason=REVOKE[spelling])
    else:
        server.ok("POST", path)


def test_oq12_every_reason(server: Server) -> None:
    for reason in ("unspecified", "key-compromise", "ca-compromise", "affiliation-changed", "superseded"):
        server.ok("POST", f"role/web/order/{server.issue(fresh())}/revoke", reason=reason)
    for reason in ("cessation-of-operation", "certificate-hold", "remove-from-crl"):
        server.ok("POST", f"role/web/order/{server.issue(fresh())}/revoke", reason=reason)
    for reason in ("privilege-withdrawn", "aa-compromise"):
        order_id = server.issue(fresh())
        serial = int(server.status(order_id)["serial_number"].replace(":", ""), 16)
        server.ok("POST", f"role/web/order/{order_id}/revoke", reason=reason)
        told = server.services.pebble.certificate_status(serial)["Reason"]
        assert told == {"privilege-withdrawn": 9, "aa-compromise": 10}[reason]


def test_oq13_rotate_key(server: Server) -> None:
    path = "config/acme-account/le/rotate-key"
    assert server.request("POST", path).status_code == 204
    server.set_answers(OQ_13="200")
    rotated = server.ok("POST", path, key_type="ec-384")
    assert (rotated["old_active_key_version"], rotated["new_active_key_version"]) == (1, 2)
    assert (rotated["name"], rotated["key_type"]) == ("le", "ec-384")


def test_oq14_ttl(server: Server) -> None:
    path = "config/dns/aws-route53/aws"
    server.ok("POST", path, identifiers="a.b", ttl="60s")
    expected = {"go": "1m0s", "seconds": 60, "as-written": "60s"}
    for spelling in ANSWERS["OQ-14"]:
        server.set_answers(OQ_14=spelling)
        assert server.ok("GET", path)["ttl"] == expected[spelling]


def test_oq15_default_algorithm(server: Server) -> None:
    given = {"identifiers": "a.b", "nameserver": "ns:53", "tsig_key_name": "k", "tsig_secret": "cw=="}
    for answer in ANSWERS["OQ-15"]:
        server.set_answers(OQ_15=answer)
        written = server.request("POST", f"config/dns/rfc2136/{answer}", **given).data
        assert written["tsig_algorithm"] == answer


def test_oq16_type_of_a_provider(server: Server) -> None:
    path = "config/dns/aws-route53/aws"
    assert "type" not in server.ok("POST", path, identifiers="a.b")
    server.set_answers(OQ_16="present")
    assert server.ok("GET", path)["type"] == "aws-route53"


def test_oq17_dns_provider_of_a_role(server: Server) -> None:
    server.ok("POST", "config/dns/aws-route53/aws", identifiers="a.b")
    named = {"acme_account_name": "le", "dns_provider_name": "aws", "dns_provider_type": "aws-route53"}
    assert server.ok("POST", "role/known", **named)["dns_provider_name"] == "aws"
    server.set_answers(OQ_17="unknown")
    answer = server.request("POST", "role/unknown", **named)
    assert not {"dns_provider_name", "dns_provider_type"} & set(answer.data)
    assert answer.body["warnings"] == [
        "Endpoint ignored these unrecognized parameters: [dns_provider_name dns_provider_type]"
    ]
    assert "dns_provider_name" not in server.ok("GET", "role/known")
    server.set_answers()
    assert server.ok("GET", "role/unknown")["dns_provider_name"] == ""


def test_oq18_contacts_in_the_answer_to_import(server: Server) -> None:
    backend = server.vault.namespaces[""].mounts["pki-external-ca/"].backend
    key = backend._accounts._storage.get("acme-account/le")["account_keys"]["0"]["pem"]  # type: ignore[attr-defined]
    for answer in ANSWERS["OQ-18"]:
        server.set_answers(OQ_18=answer)
        imported = server.ok(
            "POST",
            f"config/acme-account/{answer}/import",
            directory_url=server.services.pebble.directory_url,
            account_key=key,
            trusted_ca=server.services.ca.pem,
        )
        assert ("email_contacts" in imported) is (answer == "present")


def test_oq19_requires_manual_fulfillment(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    status = server.wait(order_id, "awaiting-challenge-fulfillment")
    assert {one["requires_manual_fulfillment"] for one in status["challenges"][name]} == {"true"}
    server.set_answers(OQ_19="absent")
    assert not any("requires_manual_fulfillment" in one for one in server.status(order_id)["challenges"][name])
