# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Waiting for orders, and why they fail."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import (
    ExternalCA,
    NoCertificateYet,
    Order,
    OrderReference,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import (
    Issued,
    OrderFailed,
    failure,
    obtain_certificate,
    patiently,
    public,
    survives,
    unfulfilled,
    unread_order,
    verify,
    wait_for_order,
    with_challenges,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.polling import Patience
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import (
    BadRequest,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    VaultError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ...issuing import NOW, SmallCA, key_pem, new_csr, new_key, pem
from ...ordering import AWAITING, DENIED, ORDER, ORDER_ID, challenge, order_status
from ...support import NOTHING_THERE, Answer, FakeVault, ManualClock

REFERENCE = OrderReference("web", ORDER_ID)
LEAF = SmallCA().issue("www.example.com", "xn--rksmrgs-5wao1o.se")


def order(external_ca: ExternalCA, vault: FakeVault, state: str, *names: str, **changes: Any) -> Order:
    vault.on("GET", f"{ORDER}/status", order_status(state, *names, **changes))
    found = external_ca.order(REFERENCE)
    assert found is not None
    return found


# ---------------------------------------------------------------------- what is survived


@pytest.mark.parametrize(
    ("error", "at_first", "later"),
    [
        (NotFound("no such order"), True, False),
        (NotFound("no such mount", errors=["no handler for route"]), False, False),
        (Unavailable("sealed"), True, True),
        (UnexpectedAnswer("HTML"), True, True),
        (NoCertificateYet("not yet"), True, True),
        (Unreachable("refused", path="x", transient=True), True, True),
        (Unreachable("no trust", path="x", transient=False), False, False),
        (PermissionDenied("no", capabilities=["read"]), False, False),
        (BadRequest("no"), False, False),
        (InvalidInput("no"), False, False),
        (KeyError(), False, False),
    ],
)
def test_trouble_that_passes(error: Exception, at_first: bool, later: bool) -> None:
    assert (survives(error, 0), survives(error, 6)) == (at_first, later)


def test_trouble_that_lasts_is_raised_at_the_deadline(external_ca: ExternalCA, vault: FakeVault) -> None:
    clock = ManualClock()
    vault.on("GET", f"{ORDER}/status", Answer(status=503, errors=["Vault is sealed"]))
    with pytest.raises(Unavailable, match="Unseal it"):
        wait_for_order(external_ca, REFERENCE, Patience(3), until=lambda order: True, clock=clock)
    assert sum(clock.slept) == pytest.approx(3, abs=0.01)

    def look(_seconds: float) -> int:
        raise Unavailable("sealed")

    with pytest.raises(Unavailable):
        patiently(look, Patience(1), clock=clock)


def test_an_order_that_has_its_challenges_is_not_read_again(external_ca: ExternalCA, vault: FakeVault) -> None:
    known = unread_order(REFERENCE, AWAITING, ["www.example.com"])
    early = unread_order(REFERENCE, "submitted", ["www.example.com"])
    assert with_challenges(external_ca, REFERENCE, known, Patience(5)) is known
    assert with_challenges(external_ca, REFERENCE, early, None) is early
    assert vault.calls == []
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING))
    assert with_challenges(external_ca, REFERENCE, early, Patience(5))["order_status"] == AWAITING


# ---------------------------------------------------------------------- obtaining


def test_a_look_at_an_order_that_goes_on_is_no_failure(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", f"{ORDER}/status", order_status("processing-challenge"))
    issued = obtain_certificate(external_ca, REFERENCE, None)
    assert issued.order is not None
    assert (issued.certificate, issued.polls) == (None, 1)


@pytest.mark.parametrize("patience", [None, Patience(0), Patience(2)])
def test_without_the_status_nobody_knows_why_there_is_none(
    external_ca: ExternalCA, vault: FakeVault, patience: Patience | None
) -> None:
    vault.on("GET", f"{ORDER}/status", DENIED)
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(status=400, errors=["not completed"]))
    with pytest.raises(OrderFailed, match=f"but not read {ORDER}/status. Permit read there") as caught:
        obtain_certificate(external_ca, REFERENCE, patience, clock=ManualClock())
    assert caught.value.details["polls"] >= 1


def test_other_trouble_without_the_status_is_told_as_it_is(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", f"{ORDER}/status", DENIED)
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(status=502, text="<html>"))
    with pytest.raises(Unavailable, match="answered 502"):
        obtain_certificate(external_ca, REFERENCE, Patience(1), clock=ManualClock())


def test_an_unknown_order_is_told_in_words(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", f"{ORDER}/status", NOTHING_THERE)
    with pytest.raises(NotFound, match="Check role_name, order_id, mount and namespace"):
        obtain_certificate(external_ca, REFERENCE, Patience(10), clock=ManualClock())


def test_a_certificate_that_is_gone_is_not_waited_for(external_ca: ExternalCA, vault: FakeVault) -> None:
    clock = ManualClock()
    vault.on("GET", f"{ORDER}/status", order_status("completed"))
    vault.on("GET", f"{ORDER}/fetch-cert", NOTHING_THERE)
    with pytest.raises(VaultError, match=f"Vault has no certificate for order {ORDER_ID}"):
        obtain_certificate(external_ca, REFERENCE, None, clock=clock)
    assert clock.slept == []
    with pytest.raises(VaultError, match=f"Vault has no certificate for order {ORDER_ID}"):
        obtain_certificate(external_ca, REFERENCE, Patience(60), clock=clock)
    assert 5 <= sum(clock.slept) < 8


@pytest.mark.parametrize("missing", [NOTHING_THERE, Answer(status=400, errors=["not completed"]), Answer(None)])
def test_a_standby_that_has_not_caught_up_with_the_certificate_is_given_time(
    external_ca: ExternalCA, vault: FakeVault, missing: Answer
) -> None:
    vault.on("GET", f"{ORDER}/status", *[order_status("processing-challenge")] * 20, order_status("completed"))
    vault.on("GET", f"{ORDER}/fetch-cert", missing, missing, issued_data())
    issued = obtain_certificate(external_ca, REFERENCE, Patience(300), clock=ManualClock())
    assert (issued.certificate is not None, issued.polls) == (True, 23)


# ---------------------------------------------------------------------- verifying


def issued_data(**changes: Any) -> Answer:
    return Answer(LEAF.data(**changes))


@pytest.mark.parametrize("names", [("www.example.com", "xn--rksmrgs-5wao1o.se"), ("RÄKSMÖRGÅS.se", "WWW.example.com.")])
def test_names_agree_whatever_their_spelling(external_ca: ExternalCA, vault: FakeVault, names: tuple[str, ...]) -> None:
    of_order = order(external_ca, vault, "completed", *names)
    vault.on("GET", f"{ORDER}/fetch-cert", issued_data())
    facts = verify(Issued(of_order, external_ca.certificate(REFERENCE), 1, 0.0))
    assert facts.serial_number == LEAF.data()["serial_number"]


@pytest.mark.parametrize(
    ("certificate", "of_order", "complaint"),
    [
        ({"certificate": "-----BEGIN X-----"}, {}, "there is no PEM certificate in the text"),
        ({"serial_number": "not one"}, {}, "but Vault says not one"),
        ({"ca_chain": ["junk!"]}, {}, "neither PEM nor base64"),
        ({"private_key": "junk!"}, {}, "neither PEM nor base64"),
        ({"private_key": None}, {"csr": new_csr("www.example.com")}, "for another key than the certificate signing"),
        ({"private_key": None}, {"csr": "junk"}, "certificate signing request cannot be parsed"),
        ({}, {"identifiers": ["other.example.com"]}, "and lacks other.example.com"),
    ],
)
def test_what_does_not_fit_is_told_with_the_order(
    external_ca: ExternalCA,
    vault: FakeVault,
    certificate: dict[str, Any],
    of_order: dict[str, Any],
    complaint: str,
) -> None:
    known = order(external_ca, vault, "completed", **of_order)
    vault.on("GET", f"{ORDER}/fetch-cert", issued_data(**certificate))
    with pytest.raises(OrderFailed, match=complaint) as caught:
        verify(Issued(known, external_ca.certificate(REFERENCE), 1, 0.0))
    assert caught.value.details["order_id"] == ORDER_ID
    assert "csr" not in caught.value.details


def test_a_certificate_without_a_name_is_none(external_ca: ExternalCA, vault: FakeVault) -> None:
    key, nobody = new_key(), x509.Name([])
    nameless = (
        x509.CertificateBuilder(nobody, nobody, key.public_key(), 1, NOW, NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("192.0.2.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    of_no_name = LEAF.data(certificate=pem(nameless), private_key=key_pem(key), ca_chain=[], serial_number="01")
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(of_no_name))
    # Which names were ordered, a token that may not read the status does not know.
    with pytest.raises(OrderFailed, match="the certificate is for no DNS name"):
        verify(Issued(None, external_ca.certificate(REFERENCE), 1, 0.0))


# ---------------------------------------------------------------------- why

CAUSES = [
    ("new", "Vault has not got the order to the ACME server; check directory_url and trusted_ca"),
    (AWAITING, "Nobody has marked a challenge of www.example.com as fulfilled"),
    ("vault-challenge-fulfillment", "vault_extca_dns_provider_test tells why"),
    ("vault-challenge-propagating", "vault_extca_dns_provider_test tells why"),
    ("notify-acme-server-challenges-completed", "has not finished validating"),
    ("processing-challenge", "has not finished validating"),
    ("fetching-certificate", "The CA has validated everything and not issued yet"),
    ("error", "a failed one cannot be resumed"),
    ("expired", "not fulfilled in time. Create a new order"),
    ("revoked", "Create a new order if one is still needed"),
    ("a-state-of-the-future", "is still a-state-of-the-future after 7 s."),
]


@pytest.mark.parametrize(("state", "cause"), CAUSES)
def test_every_state_has_its_cause(external_ca: ExternalCA, vault: FakeVault, state: str, cause: str) -> None:
    error = failure(order(external_ca, vault, state), REFERENCE, 7.0, 3)
    assert cause in error.message
    assert (error.details["order_status"], error.details["polls"], error.details["elapsed"]) == (state, 3, 7.0)


def test_it_says_what_is_known_and_nothing_else(external_ca: ExternalCA, vault: FakeVault) -> None:
    known = order(external_ca, vault, AWAITING, "b.example.com", "a.example.com", last_error="dns: no such host.")
    error = failure(known, REFERENCE, 20.4, 9, Unavailable("Vault is sealed."))
    assert error.message == (
        f"Order {ORDER_ID} of role web is still {AWAITING} after 20 s: dns: no such host. "
        "The last look failed: Vault is sealed. "
        "Nobody has marked a challenge of at least one of b.example.com, a.example.com as fulfilled: publish it and run "
        "vault_extca_order_challenge_fulfilled. "
        "Challenges: a.example.com http-01 pending, dns-01 pending; b.example.com http-01 pending, dns-01 pending."
    )


def test_marked_challenges_are_not_blamed_on_anybody(external_ca: ExternalCA, vault: FakeVault) -> None:
    rows = {"www.example.com": [challenge("http-01", "processing")]}
    error = failure(order(external_ca, vault, AWAITING, challenges=rows), REFERENCE, 1, 1)
    assert "are marked as fulfilled; Vault has not gone on yet" in error.message


def test_many_names_are_cut_short(external_ca: ExternalCA, vault: FakeVault) -> None:
    names = [f"h{n:02d}.example.com" for n in range(30)]
    rows = {name: [challenge("http-01", "invalid")] for name in names}
    message = failure(order(external_ca, vault, "error", *names, challenges=rows), REFERENCE, 1, 1).message
    assert "http-01 of h04.example.com and 25 more invalid" in message
    assert message.endswith("h09.example.com http-01 invalid; and 20 more.")


def test_who_waits_for_whom(external_ca: ExternalCA, vault: FakeVault) -> None:
    rows = {
        "somebody.example.com": [challenge("http-01"), challenge("dns-01")],
        "vault.example.com": [challenge("http-01"), challenge("dns-01", manual="false")],
        "unknown.example.com": [challenge("dns-01", manual=None)],
        "proven.example.com": [challenge("http-01", "valid")],
        "nothing.example.com": [],
    }
    known = order(external_ca, vault, AWAITING, *rows, challenges=rows)
    assert unfulfilled(known) == ["somebody.example.com", "unknown.example.com"]
    assert "csr" not in public(known)
