# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""X.509: what fits together, and what does not."""

from __future__ import annotations

import base64
import contextlib
import datetime
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.certificates import (
    BadCertificate,
    as_pem,
    certificate_facts,
    check_certificate,
    csr_block,
    csr_fingerprint,
    csr_identifiers,
    format_serial,
    key_as_pem,
    key_type_of,
    load_private_key,
    normalise_serial,
    pem_blocks,
    same_certificates,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ...issuing import NOW, SmallCA, key_pem, new_csr, new_key, pem

CA = SmallCA()
LEAF = CA.issue("www.example.com", "example.com")
PEM, CHAIN = pem(LEAF.certificate), [pem(one) for one in LEAF.chain]
DATA = LEAF.data()
SHA256 = hashes.SHA256()
RSA_KEY = rsa.generate_private_key(65537, 2048)


def der_of(text: str) -> bytes:
    return base64.b64decode("".join(text.strip().splitlines()[1:-1]))


def self_signed(key: Any, algorithm: Any = SHA256, names: bool = True, **how: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root.Example.com")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x8001)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("A.example.com")]), critical=False)
    return builder.sign(key, algorithm, **how)


# ---------------------------------------------------------------------- what fits


def test_facts_of_a_certificate() -> None:
    facts = certificate_facts("a text before\n" + PEM)
    assert facts.serial_number == DATA["serial_number"]
    assert (facts.not_before, facts.not_after) == (NOW, NOW + datetime.timedelta(days=90))
    assert (facts.subject, facts.issuer) == ("CN=www.example.com", "CN=Unit CA")
    assert facts.identifiers == ["www.example.com", "example.com"]


def test_without_alternative_names_the_common_name_counts() -> None:
    assert certificate_facts(pem(self_signed(new_key(), names=False))).identifiers == ["root.example.com"]
    assert certificate_facts(pem(self_signed(new_key()))).identifiers == ["a.example.com"]


def test_everything_that_belongs_together_is_accepted() -> None:
    facts = check_certificate(
        PEM,
        [*CHAIN, pem(CA.root)],
        private_key=key_pem(LEAF.key),
        csr=new_csr("www.example.com", key=LEAF.key),
        serial_number=DATA["serial_number"].upper(),
        identifiers=["example.com", "www.example.com"],
    )
    assert facts == certificate_facts(PEM)


# Made with openssl: cryptography cannot sign so before version 41.
RSA_PSS_ROOT = b"""
-----BEGIN CERTIFICATE-----
MIIDgTCCAjWgAwIBAgIUDGSHERxfsOBsN4uiv84+LDCeoRIwQQYJKoZIhvcNAQEK
MDSgDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEF
AKIDAgEgMBsxGTAXBgNVBAMMEHJvb3QuZXhhbXBsZS5jb20wIBcNMjYxMTI4MDYy
NzIwWhgPMjEyNjExMDQwNjI3MjBaMBsxGTAXBgNVBAMMEHJvb3QuZXhhbXBsZS5j
b20wggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCu2h9R72fbcDQJgJ5I
9rdka5o9O2B87iwPUu1tptq8RfpOsiVoP+RuuuBdI4eVFSl/HGCrFiNWOxKAFT2A
ob0k+kiIB3e9L1kFWAZCumzGc+zqZw12D+shDEAz8K4Ye8UdS2QM5NjLPGOl8gVc
o4//IUPTDwD6wFLwtOQMsax7Sed6TihoYCKmsJdVqwB6QbDpc7DNH1Kv3AnNTbxt
pm8BExokBFOvaEcPi+6IsJsjcUl8wyw67/QSmSTBxJNbqyIIwdGzr4K9TkOUeTbO
BIoQ/vRZzA5fba+P+lOfeV3FjXKQstcKn8iwhBn6hTa5wjiGHnm/Cgg3nd9B2vr6
5mlrAgMBAAGjUzBRMB0GA1UdDgQWBBT/BXkU5IBB95q34+Kt8xUTha61hTAfBgNV
HSMEGDAWgBT/BXkU5IBB95q34+Kt8xUTha61hTAPBgNVHRMBAf8EBTADAQH/MEEG
CSqGSIb3DQEBCjA0oA8wDQYJYIZIAWUDBAIBBQChHDAaBgkqhkiG9w0BAQgwDQYJ
YIZIAWUDBAIBBQCiAwIBIAOCAQEALxJq/+66v3AuVNkruwEwSapqTIrZm1Pv+PJO
aQe8F8UUwQIYq13Xns4+o6o2cv3XpoqNXWP8IEPl22I9XOmE9bDwSX/RAyjvbwlf
gAY4CSMlyLLV4ypCsBpWiTLQdCNhD0jZcdS0NfKURr4Rn13+duVc1VcikR7iRzSq
d3u0tRsA8t29z2tbOQZTPPiBFKkUEUACQA1ZFMPdGL+QktBjUoHxV8TLdsEoA6fA
AJGPivYqVGyF3mzx9JWrm5ZTsb6tHH+VkHtZR/QZS2uyWlJvIurAcBndw5OJNR4c
QXFHv/yAJehIalA0Uz/AWw7q8rPcY5g0XrSyftZFCZEaa0/r2g==
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize(
    "root",
    [
        self_signed(RSA_KEY),
        x509.load_pem_x509_certificate(RSA_PSS_ROOT),
        self_signed(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
        self_signed(ed25519.Ed25519PrivateKey.generate(), None),
        self_signed(ed448.Ed448PrivateKey.generate(), None),
    ],
    ids=["rsa", "rsa-pss", "ec", "ed25519", "ed448"],
)
def test_signatures_of_every_kind_are_checked(root: x509.Certificate) -> None:
    check_certificate(pem(root), [pem(root)])
    other = pem(root).splitlines()
    # The last bits of the signature changed.
    der = bytearray(der_of("\n".join(other)))
    der[-1] ^= 1
    forged = as_pem(base64.b64encode(bytes(der)).decode())
    with pytest.raises(BadCertificate, match="chain is not in order"):
        check_certificate(forged, [pem(root)])


# ---------------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"serial_number": "01:02"}, "serial number is .*, but Vault says 01:02"),
        ({"serial_number": "junk"}, "serial number is .*, but Vault says junk"),
        ({"private_key": key_pem(new_key())}, "the private key does not belong to the certificate"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
            "private key cannot be read",
        ),
        ({"csr": new_csr("www.example.com")}, "for another key than the certificate signing request's"),
        ({"identifiers": ["www.example.com"]}, "is for example.com, www.example.com, not for www.example.com"),
    ],
)
def test_what_does_not_belong_together_is_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadCertificate, match=complaint):
        check_certificate(PEM, CHAIN, **changes)


@pytest.mark.parametrize(
    "chain",
    [
        [pem(CA.root), *CHAIN],
        [pem(SmallCA().intermediate)],
        [*CHAIN, pem(SmallCA().root)],
    ],
)
def test_a_chain_out_of_order_is_refused(chain: list[str]) -> None:
    with pytest.raises(BadCertificate, match="the chain is not in order: its certificate"):
        check_certificate(PEM, chain)


def test_a_signature_algorithm_that_nobody_knows_is_no_crash() -> None:
    root = self_signed(new_key())
    # ecdsa-with-SHA256 (1.2.840.10045.4.3.2) made into something that is not registered.
    der = der_of(pem(root)).replace(bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040379"))
    with pytest.raises(BadCertificate, match="chain cannot be checked|chain is not in order|cannot be parsed"):
        check_certificate(as_pem(base64.b64encode(der).decode()), [pem(root)])


def test_a_public_key_that_nobody_knows_is_no_crash() -> None:
    # id-ecPublicKey (1.2.840.10045.2.1) made into something that is not registered.
    der = der_of(PEM).replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0279"))
    with pytest.raises(BadCertificate):
        check_certificate(as_pem(base64.b64encode(der).decode()), [], private_key=key_pem(LEAF.key))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no PEM certificate"),
        (key_pem(LEAF.key), "no PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be parsed"),
        ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "cannot be parsed"),
    ],
)
def test_what_is_no_certificate_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadCertificate, match=complaint):
        certificate_facts(text)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 255))
def test_no_bytes_crash_the_parser(noise: bytes, at: int, byte: int) -> None:
    flipped = bytearray(der_of(PEM))
    flipped[at % len(flipped)] = byte
    for der in (noise, bytes(flipped)):
        with contextlib.suppress(BadCertificate):
            check_certificate(as_pem(base64.b64encode(der).decode()), CHAIN, private_key=key_pem(LEAF.key))


# ---------------------------------------------------------------------- PEM


def test_blocks_of_one_kind_are_taken_out_of_a_text() -> None:
    text = "subject=x\r\n" + PEM.replace("\n", "\r\n") + key_pem(LEAF.key) + CHAIN[0]
    assert pem_blocks(text, "CERTIFICATE") == [PEM, CHAIN[0]]
    assert pem_blocks(text, "PRIVATE KEY") == [key_pem(LEAF.key)]
    assert pem_blocks("nothing", "CERTIFICATE") == []


def test_a_text_that_is_too_large_is_not_read() -> None:
    with pytest.raises(BadCertificate, match="a text of 1048577 characters is no certificate chain"):
        pem_blocks("x" * (1024 * 1024 + 1), "CERTIFICATE")


def test_der_becomes_pem() -> None:
    encoded = base64.b64encode(der_of(PEM)).decode()
    assert as_pem(encoded) == as_pem(encoded[:50] + "\n" + encoded[50:]) == PEM
    assert as_pem(PEM.rstrip()) == PEM
    for junk in ("", "  ", "no base64!"):
        with pytest.raises(BadCertificate, match="neither PEM nor base64 of DER"):
            as_pem(junk)


@given(st.binary(min_size=1, max_size=500))
def test_every_der_survives_being_pem(der: bytes) -> None:
    assert der_of(as_pem(base64.b64encode(der).decode())) == der


def test_white_space_between_certificates_does_not_matter() -> None:
    bundle = PEM + CHAIN[0]
    assert same_certificates(bundle, "\n# a comment\n" + bundle.replace("\n", "\r\n"))
    assert same_certificates(None, "")
    assert same_certificates("", " \n")
    assert not same_certificates(bundle, CHAIN[0] + PEM)
    assert not same_certificates(bundle, PEM)
    assert not same_certificates(bundle, None)


# ---------------------------------------------------------------------- private keys


@pytest.mark.parametrize(
    ("key", "structure"),
    [
        (LEAF.key, serialization.PrivateFormat.PKCS8),
        (LEAF.key, serialization.PrivateFormat.TraditionalOpenSSL),
        (RSA_KEY, serialization.PrivateFormat.PKCS8),
        (RSA_KEY, serialization.PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_a_key_in_der_becomes_the_pem_of_its_structure(key: Any, structure: Any) -> None:
    nothing = serialization.NoEncryption()
    in_pem = key.private_bytes(serialization.Encoding.PEM, structure, nothing).decode()
    in_der = base64.b64encode(key.private_bytes(serialization.Encoding.DER, structure, nothing)).decode()
    assert key_as_pem(in_der) == key_as_pem(in_pem.rstrip()) == in_pem


def test_what_is_no_key_says_nothing_of_its_text() -> None:
    with pytest.raises(BadCertificate, match="neither PEM nor base64 of DER"):
        key_as_pem(base64.b64encode(b"secret").decode())
    with pytest.raises(BadCertificate, match="it is not a PEM private key"):
        load_private_key(PEM)
    encrypted = LEAF.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pass")
    ).decode()
    with pytest.raises(BadCertificate, match="it is encrypted or not PEM"):
        load_private_key(encrypted)
    assert load_private_key(encrypted, "pass").private_numbers() == LEAF.key.private_numbers()


# ---------------------------------------------------------------------- requests


def test_names_of_a_request_are_lower_case_and_sorted() -> None:
    assert csr_identifiers(new_csr("WWW.example.com", "*.Example.com")) == ["*.example.com", "www.example.com"]


def test_a_request_is_the_same_whatever_its_white_space() -> None:
    csr = new_csr("www.example.com")
    assert csr_fingerprint(csr) == csr_fingerprint("\n" + csr.replace("\n", "\r\n"))
    assert csr_fingerprint(csr) != csr_fingerprint(new_csr("www.example.com"))


def test_one_request_is_taken_out_of_a_text() -> None:
    csr = new_csr("www.example.com")
    old = csr.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
    assert csr_block(key_pem(LEAF.key) + csr + PEM) == csr
    assert csr_block(old) == old
    for text, complaint in ((PEM, "there is no certificate"), (csr + csr, "there are 2 certificate signing requests")):
        with pytest.raises(BadCertificate, match=complaint):
            csr_block(text)


def test_a_request_with_a_wrong_signature_is_refused() -> None:
    der = bytearray(der_of(new_csr("www.example.com")))
    der[-1] ^= 1
    with pytest.raises(BadCertificate, match="signature is not valid|cannot be parsed"):
        csr_fingerprint(as_pem(base64.b64encode(bytes(der)).decode(), "CERTIFICATE REQUEST"))


# ---------------------------------------------------------------------- serial numbers


@given(st.integers(0, 2**159))
def test_a_serial_number_has_one_spelling(number: int) -> None:
    serial = format_serial(number)
    for spelling in (serial, serial.upper(), serial.replace(":", "-"), serial.replace(":", ""), f" {serial} "):
        assert normalise_serial(spelling) == serial


@pytest.mark.parametrize("text", ["", ":", "0x12", "12 xy", "f" * 65])
def test_what_is_no_serial_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a serial number"):
        normalise_serial(text)


def test_types_of_keys_have_the_engines_names() -> None:
    from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import CSR_KEY_TYPES
    from ansible_collections.certops.vault_extca.plugins.module_utils.local_keys import new_private_key

    for key_type in CSR_KEY_TYPES:
        assert key_type_of(new_private_key(key_type)) == key_type
    assert key_type_of(key_pem(ec.generate_private_key(ec.SECP256K1()))) == "secp256k1"
    assert key_type_of(key_pem(ed25519.Ed25519PrivateKey.generate())) == "Ed25519PrivateKey"
