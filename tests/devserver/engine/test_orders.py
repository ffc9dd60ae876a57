# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""From new-order to a certificate, and what happens to it afterwards."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from devserver.engine import csr as engine_csr
from tests.devserver.engine.harness import Server, Services, eventually, fresh

WORK = (
    "notify-acme-server-challenges-completed",
    "processing-challenge",
    "fetching-certificate",
)


# Of openssl req: cryptography makes neither.
OF_AN_UNKNOWN_CURVE = """\
-----BEGIN CERTIFICATE REQUEST-----
MIGGMFMCAQAwGDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTAyMBAGByqGSM49AgEG
BSuBBAAGAx4ABDl0JPDjsh3JoA7ytMGFxCQjbnqRc+mu8hfs3mmgADAKBggqhkjO
PQQDAgMjADAgAg4Mo6YqHq2ixzJFgAdIuwIOejTIAvEvrKSkMAaUirA=
-----END CERTIFICATE REQUEST-----
"""
TWO_ALTERNATIVE_NAMES = """\
-----BEGIN CERTIFICATE REQUEST-----
MIIBGDCBvwIBADAYMRYwFAYDVQQDDA1hLmV4YW1wbGUuY29tMFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAESZtRLa5DCQID0xej20k4WNGOPqkQQyZRmdnsyE6RehVR
BkUPDMr+wW6FltQWS1DY4YuRSHEQqTOfcEmvUHh1XKBFMEMGCSqGSIb3DQEJDjE2
MDQwGAYDVR0RBBEwD4INYS5leGFtcGxlLmNvbTAYBgNVHREEETAPgg1iLmV4YW1w
bGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIDZHak+5rXist3cixi633Hf0bs7I4l6K
+uLl9wrhB0e/AiEA7MjUo4mNQNx/qYDA6zElkYHl7OFYAylFdX4WsQJ8G+M=
-----END CERTIFICATE REQUEST-----
"""


def names_of(pem: str) -> set[str]:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


def make_csr(key: Any, *names: str, common_name: str = "") -> str:
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_http_01(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    status = server.wait(order_id, "awaiting-challenge-fulfillment")
    assert status["identifiers"] == [name]
    assert {one["challenge_type"] for one in status["challenges"][name]} == {"http-01", "dns-01", "tls-alpn-01"}
    assert {one["challenge_status"] for one in status["challenges"][name]} == {"pending"}
    assert status["serial_number"] == status["csr"] == status["last_error"] == ""
    assert status["expires"].endswith("Z")
    assert status["creation_date"].endswith("+00:00")
    server.fulfil(order_id, name)
    done = server.wait(order_id, "completed")
    assert done["next_work_date"] == "0001-01-01T00:00:00Z"
    valid = [one["challenge_type"] for one in done["challenges"][name] if one["challenge_status"] == "valid"]
    assert valid == ["http-01"]

    fetched = server.fetch(order_id)
    assert names_of(fetched["certificate"]) == {name}
    assert fetched["serial_number"] == done["serial_number"]
    leaf = x509.load_pem_x509_certificate(fetched["certificate"].encode())
    issuer = x509.load_pem_x509_certificate(fetched["ca_chain"][0].encode())
    leaf.verify_directly_issued_by(issuer)
    key = serialization.load_pem_private_key(fetched["private_key"].encode(), None)
    assert key.public_key() == leaf.public_key()
    assert leaf.serial_number == int(fetched["serial_number"].replace(":", ""), 16)
    assert server.ok("GET", f"lookup/order/{order_id}") == server.status(order_id)


@pytest.mark.parametrize("kind", ["http-01", "dns-01", "tls-alpn-01"])
def test_every_challenge_type(server: Server, kind: str) -> None:
    name = fresh()
    assert names_of(server.fetch(server.issue(name, kind=kind))["certificate"]) == {name}


def test_a_wildcard_beside_its_parent(server: Server) -> None:
    parent = fresh()
    order_id = server.issue(f"*.{parent}", parent, kind="dns-01")
    assert names_of(server.fetch(order_id)["certificate"]) == {parent, f"*.{parent}"}
    assert {one["challenge_type"] for one in server.status(order_id)["challenges"][f"*.{parent}"]} == {"dns-01"}


def test_names_are_ordered_in_a_labels_and_once(server: Server) -> None:
    label = fresh().split(".")[0]
    order_id = server.issue(f"bücher-{label}.example.com", fresh())
    identifiers = server.status(order_id)["identifiers"]
    assert identifiers[0].startswith("xn--")
    again = server.order(f"BÜCHER-{label}.example.com", identifiers[0] + ".", identifiers[0])
    assert server.status(again)["identifiers"] == [identifiers[0]]


@pytest.mark.parametrize("key_type", ["ec-256", "ec-384", "ec-521", "rsa-2048", "rsa-4096"])
def test_key_types(server: Server, key_type: str) -> None:
    server.role(csr_generate_key_type=key_type)
    fetched = server.fetch(server.issue(fresh()))
    key = engine_csr.key_from_pem(fetched["private_key"])
    assert engine_csr.key_type_of(key) == key_type
    assert fetched["private_key_type"] == ("EC" if key_type.startswith("ec") else "RSA")


@pytest.mark.parametrize(("population", "has_common_name"), [("cn_first", True), ("sans_only", False)])
def test_population_of_the_request(population: str, has_common_name: bool) -> None:
    request = x509.load_pem_x509_csr(
        engine_csr.make_request(
            engine_csr.generate_key("ec-256"), ["b.example.com", "a.example.com"], population
        ).encode()
    )
    common_names = [one.value for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    assert common_names == (["b.example.com"] if has_common_name else [])


def test_both_populations_are_issued(server: Server) -> None:
    for population in ("cn_first", "sans_only"):
        server.role(csr_identifier_population=population)
        names = {fresh(), fresh()}
        assert names_of(server.fetch(server.issue(*names))["certificate"]) == names


def test_a_first_name_too_long_for_a_common_name(server: Server) -> None:
    name = f"{'a' * 60}.{fresh()}"
    assert names_of(server.fetch(server.issue(name))["certificate"]) == {name}


def test_formats(server: Server) -> None:
    order_id = server.issue(fresh())
    pem = server.fetch(order_id)
    bundle = server.fetch(order_id, certificate_format="pem_bundle")
    der = server.fetch(order_id, certificate_format="der")
    assert bundle["certificate"] == "\n".join([pem["certificate"], *pem["ca_chain"]])
    leaf = x509.load_der_x509_certificate(base64.b64decode(der["certificate"]))
    assert leaf == x509.load_pem_x509_certificate(pem["certificate"].encode())
    key = serialization.load_der_private_key(base64.b64decode(der["private_key"]), None)
    assert key.public_key() == leaf.public_key()
    assert {pem["serial_number"]} == {bundle["serial_number"], der["serial_number"]}
    assert [one["certificate_format"] for one in (pem, bundle, der)] == ["pem", "pem_bundle", "der"]
    refusal = server.refused("GET", f"role/web/order/{order_id}/fetch-cert", certificate_format="jks")
    assert "certificate_format" in refusal


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_the_clients_csr(server: Server, key: Any) -> None:
    names = [fresh(), fresh()]
    pem = make_csr(key, *reversed(names), common_name=names[0])
    order_id = server.issue(csr=pem)
    status = server.status(order_id)
    assert status["csr"] == pem
    assert status["identifiers"] == names
    fetched = server.fetch(order_id)
    assert "private_key" not in fetched
    assert x509.load_pem_x509_certificate(fetched["certificate"].encode()).public_key() == key.public_key()
    assert names_of(fetched["certificate"]) == set(names)


def test_bad_csrs(server: Server) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    mail = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name("a@example.com")]), False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    for pem, words in (
        ("rubbish", "could not be parsed"),
        (make_csr(key), "neither a common name nor a DNS name"),
        (make_csr(key, "a_b.example.com"), "not a valid DNS name"),
        (mail, "the e-mail address a@example.com"),
        (TWO_ALTERNATIVE_NAMES, "extensions of csr could not be parsed"),
        (OF_AN_UNKNOWN_CURVE, "of a kind that is not known"),
        (make_csr(key, "www.example.edu"), "not allowed by role 'web': www.example.edu"),
    ):
        assert words in server.refused("POST", "role/web/new-order", csr=pem)


def test_what_new_order_refuses(server: Server) -> None:
    new_order = "role/web/new-order"
    assert "exactly one" in server.refused("POST", new_order)
    assert "exactly one" in server.refused("POST", new_order, identifiers=["a.example.com"], csr="x")
    assert "exactly one" in server.refused("POST", new_order, identifiers=[])
    assert "'a b'" in server.refused("POST", new_order, identifiers=["a b"])
    refusal = server.refused("POST", new_order, identifiers=["a.example.com", "b.example.edu", "c.example.edu"])
    assert refusal.endswith("b.example.edu, c.example.edu")
    assert "role 'nowhere' does not exist" in server.refused("POST", "role/nowhere/new-order", identifiers=["a.b"])


def test_comma_separated_identifiers(server: Server) -> None:
    first, second = fresh(), fresh()
    order_id = server.ok("POST", "role/web/new-order", identifiers=f"{first}, {second}")["order_id"]
    assert server.status(order_id)["identifiers"] == [first, second]


def test_states_are_the_documented_ones_in_their_order(server: Server) -> None:
    stay = dict.fromkeys(("new", "submitted", *WORK), 0.15)
    server.vault.scripts.put({"role": "web", "stay": stay})
    name = fresh()
    order_id = server.order(name)
    seen: list[str] = []

    def finished() -> bool:
        status = server.status(order_id)
        if not seen or seen[-1] != status["order_status"]:
            seen.append(status["order_status"])
            if status["order_status"] == "awaiting-challenge-fulfillment":
                server.fulfil(order_id, name)
        return bool(status["order_status"] == "completed")

    eventually(finished)
    assert seen == ["new", "submitted", "awaiting-challenge-fulfillment", *WORK, "completed"]


def test_several_identifiers_wait_for_the_last(server: Server) -> None:
    names = [fresh(), fresh(), fresh()]
    order_id = server.order(*names)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    for name in names[:-1]:
        server.fulfil(order_id, name)
        assert server.status(order_id)["order_status"] == "awaiting-challenge-fulfillment"
    server.fulfil(order_id, names[-1], "dns-01")
    server.wait(order_id, "completed")
    assert names_of(server.fetch(order_id)["certificate"]) == set(names)


def test_authorizations_that_are_valid_already(
    pebbles: Callable[..., Services], servers: Callable[..., Server]
) -> None:
    server = servers(pebbles(authz_reuse=100))
    server.prepare()
    old, new = fresh(), fresh()
    server.issue(old)
    again = server.order(old)
    done = server.wait(again, "completed")
    assert not done["challenges"]
    assert "needs no challenge" in server.refused(
        "GET", f"role/web/order/{again}/challenge", identifier=old, challenge_type="http-01"
    )
    mixed = server.order(old, new)
    status = server.wait(mixed, "awaiting-challenge-fulfillment")
    assert set(status["challenges"]) == {new}
    server.fulfil(mixed, new)
    server.wait(mixed, "completed")


def test_a_chain_of_several_certificates(pebbles: Callable[..., Services], servers: Callable[..., Server]) -> None:
    server = servers(pebbles(chain_length=3))
    server.prepare()
    fetched = server.fetch(server.issue(fresh()))
    chain = [x509.load_pem_x509_certificate(one.encode()) for one in (fetched["certificate"], *fetched["ca_chain"])]
    assert len(chain) == 4
    for below, above in itertools.pairwise(chain):
        below.verify_directly_issued_by(above)


def test_refused_nonces_are_survived(pebbles: Callable[..., Services], servers: Callable[..., Server]) -> None:
    server = servers(pebbles(nonce_reject=60))
    server.prepare()
    server.issue(fresh(), fresh())


def test_challenge_types_of_the_role(server: Server) -> None:
    server.role(allowed_challenge_types=["dns-01"])
    name = fresh()
    order_id = server.order(name)
    status = server.wait(order_id, "awaiting-challenge-fulfillment")
    assert [one["challenge_type"] for one in status["challenges"][name]] == ["dns-01"]
    for method, what in (("GET", "challenge"), ("POST", "fulfilled-challenge")):
        path = f"role/web/order/{order_id}/{what}"
        assert "there is dns-01" in server.refused(method, path, identifier=name, challenge_type="http-01")
        assert "not part of order" in server.refused(method, path, identifier="a.b", challenge_type="dns-01")
        assert "challenge_type" in server.refused(method, path, identifier=name, challenge_type="tls-sni-01")


def test_a_wildcard_that_no_allowed_challenge_can_prove(server: Server) -> None:
    server.role(allowed_challenge_types=["http-01", "tls-alpn-01"])
    failed = server.wait(server.order(f"*.{fresh()}"), "error")
    assert "no challenge for *.n" in failed["last_error"]
    assert "http-01, tls-alpn-01" in failed["last_error"]


def test_the_last_challenge_marked_is_the_one_that_counts(server: Server) -> None:
    name = fresh()
    server.vault.scripts.put({"stay": {"awaiting-challenge-fulfillment": 0.3}})
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.mark(order_id, name, "tls-alpn-01")
    server.fulfil(order_id, name, "http-01")
    done = server.wait(order_id, "completed")
    states = {one["challenge_type"]: one["challenge_status"] for one in done["challenges"][name]}
    assert states["http-01"] == "valid"


def test_before_there_are_challenges(server: Server) -> None:
    server.vault.scripts.put({"stay": {"new": 60}})
    name = fresh()
    order_id = server.order(name)
    assert server.status(order_id)["challenges"] is None
    path = f"role/web/order/{order_id}/challenge"
    assert "no challenges yet" in server.refused("GET", path, identifier=name, challenge_type="http-01")
    path = f"role/web/order/{order_id}/fulfilled-challenge"
    assert "no challenges yet" in server.refused("POST", path, identifier=name, challenge_type="http-01")


def test_revocation_reaches_the_ca(server: Server) -> None:
    order_id = server.issue(fresh())
    serial = server.status(order_id)["serial_number"]
    path = f"role/web/order/{order_id}/revoke"
    assert "'reason'" in server.refused("POST", path)
    assert "expected one of" in server.refused("POST", path, reason="boredom")
    server.ok("POST", path, reason="superseded")
    assert server.status(order_id)["order_status"] == "revoked"
    at_the_ca = server.services.pebble.certificate_status(int(serial.replace(":", ""), 16))
    assert at_the_ca["Status"] == "Revoked"
    assert "revoked already" in server.refused("POST", path, reason="superseded")
    assert server.ok("GET", f"lookup/cert/{serial}")["order_status"] == "revoked"
    assert order_id not in (server.request("LIST", "lookup/orders").body.get("data") or {"keys": []})["keys"]


def test_revoked_behind_the_engines_back(server: Server) -> None:
    first = server.issue(fresh())
    twin = server.vault.namespaces[""].mounts["pki-external-ca/"].backend
    issued = twin._orders.get(first).issued  # type: ignore[attr-defined]
    with twin._accounts.client("le") as acme:  # type: ignore[attr-defined]
        acme.revoke(issued.certificate, 0)
    server.ok("POST", f"role/web/order/{first}/revoke", reason="unspecified")
    assert server.status(first)["order_status"] == "revoked"


def test_an_order_without_certificate_cannot_be_revoked(server: Server) -> None:
    order_id = server.order(fresh())
    server.wait(order_id, "awaiting-challenge-fulfillment")
    refusal = server.refused("POST", f"role/web/order/{order_id}/revoke", reason="unspecified")
    assert "has no certificate" in refusal


def test_lists(server: Server) -> None:
    assert server.request("LIST", "lookup/orders").status_code == 404
    assert server.request("LIST", "lookup/orders/recent").status_code == 404
    assert server.request("LIST", "role/web/active-orders").status_code == 404
    done, waiting = server.issue(fresh()), server.order(fresh())
    server.wait(waiting, "awaiting-challenge-fulfillment")
    assert server.ok("LIST", "lookup/orders")["keys"] == [done, waiting]
    assert server.ok("LIST", "role/web/active-orders")["keys"] == [waiting]
    recent = server.ok("LIST", "lookup/orders/recent", within="2h")
    assert recent["keys"] == [waiting, done]
    assert recent["key_info"][done]["order_status"] == "completed"
    assert set(recent["key_info"][waiting]) == {
        "creation_date",
        "identifiers",
        "last_update",
        "order_status",
        "role_name",
    }
    server.vault.clock.advance(2 * 3600)
    assert server.request("LIST", "lookup/orders/recent").status_code == 404
    assert server.ok("LIST", "lookup/orders/recent", within="3h")["keys"] == [waiting, done]
    for within in ("59m", "169h", "0", "soon"):
        assert "within" in server.refused("LIST", "lookup/orders/recent", within=within)


def test_lookup_of_a_certificate(server: Server) -> None:
    order_id = server.issue(fresh())
    fetched = server.fetch(order_id)
    serial = fetched["serial_number"]
    found = server.ok("GET", f"lookup/cert/{serial}")
    assert found["order_id"] == order_id
    assert found["not_after"] == fetched["not_after"]
    assert server.ok("GET", f"lookup/cert/{serial.replace(':', '-').upper()}") == found
    assert server.request("GET", "lookup/cert/01:02").status_code == 404
    assert server.request("GET", "lookup/order/00000000-0000-7000-8000-000000000000").status_code == 404


def test_cached(pebbles: Callable[..., Services], servers: Callable[..., Server]) -> None:
    server = servers(pebbles(validity=3600))
    server.prepare()
    names = [fresh(), fresh()]
    asked: dict[str, Any] = {"identifiers": ",".join(reversed(names))}
    assert server.request("GET", "role/web/cached", **asked, min_validity_duration="1s").status_code == 404
    key = ec.generate_private_key(ec.SECP256R1())
    server.issue(csr=make_csr(key, *names))
    assert server.request("GET", "role/web/cached", **asked, min_validity_duration="1s").status_code == 404
    first, second = server.issue(*names), server.issue(*names)
    cached = server.ok("GET", "role/web/cached", **asked, min_validity_percentage=50)
    assert cached == server.fetch(second)
    assert server.request("GET", "role/web/cached", **asked, min_validity_duration="2h").status_code == 404
    server.ok("POST", f"role/web/order/{second}/revoke", reason="superseded")
    assert server.ok("GET", "role/web/cached", **asked, min_validity_duration=60) == server.fetch(first)
    server.vault.clock.advance(1900)
    assert server.request("GET", "role/web/cached", **asked, min_validity_percentage=50).status_code == 404
    assert server.request("GET", "role/web/cached", **asked, min_validity_percentage=40).status_code == 200
    path = "role/web/cached"
    assert "exactly one" in server.refused("GET", path, **asked)
    both: dict[str, Any] = {"min_validity_duration": "1h", "min_validity_percentage": 3}
    assert "exactly one" in server.refused("GET", path, **asked, **both)
    assert "between 0 and 100" in server.refused("GET", path, **asked, min_validity_percentage=101)
    assert "identifiers" in server.refused("GET", path, min_validity_percentage=10)


def test_a_challenge_is_followed_at_once(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment", within=1.0)
    server.fulfil(order_id, name)
    server.wait(order_id, "completed", within=1.5)
