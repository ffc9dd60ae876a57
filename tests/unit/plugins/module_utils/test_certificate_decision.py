# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""When a certificate is good, and why it is not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import certificate_files as files
from ansible_collections.certops.vault_extca.plugins.module_utils.certificate_decision import (
    Decision,
    Wanted,
    decide,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.certificate_files import Found
from ansible_collections.certops.vault_extca.plugins.module_utils.certificates import summary
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import parse_renew_before

from ...issuing import NOW, SmallCA, key_pem, new_key, pem

CA = SmallCA()
LEAF = CA.issue("www.example.com", "example.com")
KEY = key_pem(LEAF.key)
MATERIAL = files.Material(pem(LEAF.certificate), [pem(CA.intermediate)], KEY)
PATHS = {kind: f"/ssl/{kind}" for kind in files.KINDS}
WANTED = Wanted(["www.example.com", "example.com"], parse_renew_before("33%"))
DAY = datetime.timedelta(days=1)


def found(material: files.Material = MATERIAL, *kinds: str) -> dict[str, Found]:
    return {kind: files.parse(kind, files.render(kind, material, passphrase="x"), "x") for kind in kinds or files.KINDS}


def decided(parts: dict[str, Found], wanted: Wanted = WANTED, *, day: float = 1) -> Decision:
    return decide({kind: PATHS[kind] for kind in parts}, parts, wanted, NOW + day * DAY)


def test_a_good_certificate_is_good_and_says_until_when() -> None:
    decision = decided(found())
    assert decision.good == MATERIAL
    assert decision.stale == []
    assert decision.reason == "valid until 2026-05-01T12:00:00Z, due for renewal from 2026-04-01T19:12:00Z on"


@pytest.mark.parametrize("kind", [kind for kind in files.KINDS if kind in files.WITH_LEAF])
def test_each_kind_that_has_a_leaf_is_enough_alone(kind: str) -> None:
    assert decided(found(MATERIAL, kind)).good is not None


@pytest.mark.parametrize(
    ("renew_before", "day", "reason"),
    [
        ("33%", 60, None),
        ("33%", 61, "expires in 29 days"),
        ("30d", 59.9, None),
        ("30d", 60, "expires in 30 days"),
        ("0s", 89.9, None),
        ("0%", 90, "expired 0 s ago"),
        ("30d", 93, "expired 3 days ago"),
        ("1h", 89.99, "expires in 14 min"),
    ],
)
def test_the_moment_of_renewal(renew_before: str, day: float, reason: str | None) -> None:
    wanted = WANTED._replace(renew_before=parse_renew_before(renew_before))
    decision = decided(found(), wanted, day=day)
    assert (decision.good is None) == (reason is not None)
    assert reason is None or decision.reason == reason


@pytest.mark.parametrize(
    ("identifiers", "good"),
    [
        (["example.com", "www.example.com"], True),
        (["www.example.com"], False),
        (["www.example.com", "example.com", "shop.example.com"], False),
        (["*.example.com"], False),
    ],
)
def test_names_must_be_these_and_no_others(identifiers: list[str], good: bool) -> None:
    decision = decided(found(), WANTED._replace(identifiers=identifiers))
    assert (decision.good is not None) == good
    if not good:
        assert decision.reason == f"it is for www.example.com, example.com and not for {', '.join(identifiers)}"


OTHER = CA.issue("www.example.com", "example.com")
NEWER = files.Material(pem(OTHER.certificate), [pem(CA.intermediate)], key_pem(OTHER.key))
STRANGER = SmallCA("Stranger")


def changed(**parts: Found) -> dict[str, Found]:
    return {**found(), **parts}


def only(*kinds: str, **parts: Found) -> dict[str, Found]:
    return {**found(MATERIAL, *kinds), **parts}


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (only("private_key", certificate="does not exist"), "/ssl/certificate does not exist"),
        (only("fullchain", private_key="does not exist"), "/ssl/private_key does not exist"),
        (
            only("fullchain", private_key=files.Part(private_key=key_pem(new_key()))),
            "the private key does not belong to the certificate",
        ),
        (only("private_key", fullchain=files.Part(MATERIAL.leaf, [])), "its chain is missing"),
        (
            only("private_key", fullchain=files.Part(MATERIAL.leaf, [pem(STRANGER.intermediate)])),
            "the chain is not in order: its certificate 1 (CN=Stranger) did not issue CN=www.example.com",
        ),
        (
            only("private_key", fullchain=files.Part(MATERIAL.leaf, [pem(CA.root), pem(CA.intermediate)])),
            "the chain is not in order: its certificate 1 (CN=Unit CA root) did not issue CN=www.example.com",
        ),
        (
            only(
                "private_key",
                fullchain=files.Part("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", []),
            ),
            "the certificate cannot be parsed",
        ),
    ],
)
def test_each_fault_has_its_reason(parts: dict[str, Found], reason: str) -> None:
    decision = decided(parts)
    assert decision.good is None
    assert reason in decision.reason
    assert decision.stale == list(parts)


@pytest.mark.parametrize("kind", files.KINDS)
def test_a_file_that_the_others_make_up_for_is_stale(kind: str) -> None:
    decision = decided(changed(**{kind: "does not exist"}))
    assert decision.good == MATERIAL
    assert decision.stale == [kind]
    assert decision.reason == f"/ssl/{kind} does not exist"


def test_of_two_mixed_sets_the_one_that_is_good_is_found() -> None:
    parts = found(NEWER)
    parts["private_key"] = files.Part(private_key=KEY)
    parts["certificate"] = files.Part(leaf=MATERIAL.leaf)
    decision = decided(parts)
    assert decision.good is not None
    assert decision.stale
    assert "does not belong to the certificate beside it" in decision.reason


def test_without_a_file_for_the_chain_none_is_asked_for() -> None:
    assert decided(found(MATERIAL, "certificate", "private_key")).good is not None


def test_a_set_that_lacks_its_chain_alone_is_told_apart() -> None:
    decision = decided(only("private_key", fullchain=files.Part(MATERIAL.leaf, [])))
    assert decision.but_for_chain == files.Material(MATERIAL.leaf, [], KEY)
    assert decided(only("fullchain", private_key="does not exist")).but_for_chain is None


def test_a_certificate_for_another_key_than_the_one_that_is_given_is_no_good() -> None:
    wanted = WANTED._replace(private_key=key_pem(new_key()))
    assert decided(found(), wanted).reason == "the private key does not belong to the certificate"
    assert decided(found(), WANTED._replace(private_key=KEY)).good is not None


def test_a_key_of_another_type_is_no_good() -> None:
    assert decided(found(), WANTED._replace(key_type="rsa-2048")).reason == "its key is ec-256 and not rsa-2048"
    assert decided(found(), WANTED._replace(key_type="ec-256")).good is not None


def test_what_is_told_of_a_certificate_holds_no_key() -> None:
    shown: dict[str, Any] = summary(decided(found()).facts)
    assert set(shown) == {"identifiers", "serial_number", "not_before", "not_after"}
    assert summary(None) == {}
