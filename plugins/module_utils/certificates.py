# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""X.509, through ``cryptography``, which is imported when a function first needs it.

Texts in, plain values out; every function raises :class:`BadCertificate` (a ValueError) with a text for a person.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from .durations import format_moment

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----", re.DOTALL)
# 100 names of 253 characters are 25 kB; a certificate of a megabyte is an attack or an accident.
_LARGEST = 1024 * 1024


class BadCertificate(ValueError):
    """What was to be a certificate, key or request is not, or does not fit the rest."""


class CertificateFacts(NamedTuple):
    """What a certificate says of itself. ``serial_number`` is lower-case hex pairs joined by colons."""

    serial_number: str
    not_before: datetime
    not_after: datetime
    subject: str
    issuer: str
    identifiers: List[str]  # subjectAltName's DNS names, or the common name where there are none; lower case


def pem_blocks(text: str, label: str) -> List[str]:
    """The PEM blocks with this label (``CERTIFICATE``), each ending in one newline; text around them is left out."""
    if len(text) > _LARGEST:
        raise BadCertificate(f"a text of {len(text)} characters is no certificate chain; at most {_LARGEST} are read")
    return [found.group(0).replace("\r\n", "\n") + "\n" for found in _PEM.finditer(text) if found.group(1) == label]


def certificate_facts(pem: str) -> CertificateFacts:
    """Parse one PEM certificate."""
    with _parsing("the certificate"):
        certificate = _load(pem)
        return CertificateFacts(
            serial_number=format_serial(certificate.serial_number),
            not_before=_utc(certificate, "not_valid_before"),
            not_after=_utc(certificate, "not_valid_after"),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            identifiers=_identifiers(certificate),
        )


def summary(facts: Optional[CertificateFacts]) -> Dict[str, Any]:
    """What results and diffs tell of a certificate: names, serial number and validity."""
    if facts is None:
        return {}
    return {
        "identifiers": facts.identifiers,
        "serial_number": facts.serial_number,
        "not_before": format_moment(facts.not_before),
        "not_after": format_moment(facts.not_after),
    }


def format_serial(number: int) -> str:
    """Lower-case hex pairs joined by colons, as Vault prints a serial number."""
    digits = f"{number:x}"
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def normalise_serial(serial_number: str) -> str:
    """The one spelling of a serial number: hex pairs joined by colons or dashes, or bare hex. Raises ValueError."""
    digits = re.sub(r"[:\- ]", "", serial_number.strip()).lower()
    if not re.fullmatch(r"[0-9a-f]{1,64}", digits):
        raise BadCertificate(
            f"{serial_number[:80]!r} is not a serial number; write hex pairs joined by colons, such as '0a:1b:2c'"
        )
    return format_serial(int(digits, 16))


def check_certificate(
    certificate: str,
    ca_chain: Sequence[str],
    *,
    private_key: Optional[str] = None,
    csr: Optional[str] = None,
    serial_number: Optional[str] = None,
    identifiers: Optional[Sequence[str]] = None,
) -> CertificateFacts:
    """Check that a leaf parses and that key, request, serial number, names and chain agree with it.

    Raises :class:`BadCertificate` for the first thing that does not; ``None`` leaves a check out.
    """
    leaf = _load(certificate)
    facts = certificate_facts(certificate)
    if serial_number and not _same_serial(serial_number, facts.serial_number):
        raise BadCertificate(
            f"the certificate's serial number is {facts.serial_number}, but Vault says {serial_number[:80]}"
        )
    if private_key is not None and _public(load_private_key(private_key)) != _public(leaf):
        raise BadCertificate("the private key does not belong to the certificate")
    if csr is not None and _public(_load_csr(csr)) != _public(leaf):
        raise BadCertificate("the certificate is for another key than the certificate signing request's")
    if identifiers is not None and set(identifiers) != set(facts.identifiers):
        raise BadCertificate(
            f"the certificate is for {', '.join(sorted(facts.identifiers))}, not for {', '.join(sorted(identifiers))}"
        )
    with _parsing("the chain"):
        _check_chain(leaf, [_load(one) for one in ca_chain])
    return facts


def _same_serial(given: str, normalised: str) -> bool:
    try:
        return normalise_serial(given) == normalised
    except ValueError:
        return False


def as_pem(text: str, label: str = "CERTIFICATE") -> str:
    """The PEM of a text that is PEM already, or base64 of DER. Raises BadCertificate."""
    import base64
    import binascii

    if "-----BEGIN" in text:
        return text if text.endswith("\n") else text + "\n"
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        der = b""
    if not der:
        raise BadCertificate("the text is neither PEM nor base64 of DER")
    encoded = base64.b64encode(der).decode()
    lines = "\n".join(encoded[at : at + 64] for at in range(0, len(encoded), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def key_as_pem(text: str) -> str:
    """The PEM of a private key that is PEM already, or base64 of DER in any of its three structures. Raises BadCertificate."""
    if "-----BEGIN" in text:
        return as_pem(text)
    for label in ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"):  # PKCS #8, SEC 1, PKCS #1
        pem = as_pem(text, label)
        try:
            load_private_key(pem)
            return pem
        except BadCertificate:
            continue
    raise BadCertificate("the private key cannot be read: it is neither PEM nor base64 of DER")


def load_private_key(pem: str, passphrase: Optional[str] = None) -> Any:
    """A private key object of ``cryptography``. Its text is never part of an error."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem.encode(), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError) as error:
        hint = "it is encrypted or not PEM" if isinstance(error, TypeError) else "it is not a PEM private key"
        raise BadCertificate(f"the private key cannot be read: {hint}") from None
    except Exception as error:  # UnsupportedAlgorithm is no ValueError
        raise BadCertificate(f"the private key cannot be read: {type(error).__name__}") from None


def key_type_of(private_key: str) -> str:
    """The engine's name of a PEM private key's type, such as ``ec-256`` or ``rsa-2048``; what it has none for is called otherwise."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = load_private_key(private_key)
    if isinstance(key, rsa.RSAPrivateKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curve: str = key.curve.name
        return f"ec-{key.key_size}" if re.fullmatch(r"secp\d+r1", curve) else curve
    return type(key).__name__.lstrip("_")


def csr_block(text: str) -> str:
    """The one PEM request in a text, so that nothing beside it (a private key) is sent anywhere. Raises BadCertificate."""
    blocks = pem_blocks(text, "CERTIFICATE REQUEST") or pem_blocks(text, "NEW CERTIFICATE REQUEST")
    if len(blocks) != 1:
        raise BadCertificate(
            f"there {'is no' if not blocks else 'are ' + str(len(blocks))} certificate signing request"
            f"{'s' if blocks else ''} in PEM (BEGIN CERTIFICATE REQUEST) in the text; exactly one is needed"
        )
    return blocks[0]


def csr_identifiers(pem: str) -> List[str]:
    """The DNS names that a certificate signing request asks for, lower case, sorted."""
    with _parsing("the certificate signing request"):
        names = _identifiers(_load_csr(pem))
    if not names:
        raise BadCertificate("the certificate signing request asks for no DNS name")
    return sorted(names)


def csr_fingerprint(pem: str) -> str:
    """SHA-256 of a request's DER, hex: the same request whatever its white space."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding

    return hashlib.sha256(_load_csr(pem).public_bytes(Encoding.DER)).hexdigest()


def same_certificates(one: Any, other: Any) -> bool:
    """Whether two PEM bundles hold the same certificates in the same order, whatever their white space."""
    if one == other:
        return True
    return _der_list(one or "") == _der_list(other or "")


def _der_list(text: str) -> List[Any]:
    import base64

    # Comparing needs no parsing: the bytes between the PEM markers are the certificate.
    blocks = pem_blocks(text, "CERTIFICATE")
    if not blocks:
        return [text.strip()]
    return [base64.b64decode("".join(block.split("\n")[1:-2])) for block in blocks]


@contextmanager
def _parsing(what: str) -> Iterator[None]:
    """cryptography parses the parts of a certificate when they are first looked at, so that any look may find a fault."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except BadCertificate:
        raise
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise BadCertificate(f"{what} cannot be parsed: {error}") from None


def _load(pem: str) -> Any:
    from cryptography import x509

    blocks = pem_blocks(pem, "CERTIFICATE")
    if not blocks:
        raise BadCertificate("there is no PEM certificate in the text")
    with _parsing("the certificate"):
        return x509.load_pem_x509_certificate(blocks[0].encode())


def _load_csr(pem: str) -> Any:
    from cryptography import x509

    try:
        csr = x509.load_pem_x509_csr(pem.encode())
    except (ValueError, x509.InvalidVersion):
        raise BadCertificate(
            "the certificate signing request cannot be parsed; it must be PEM (BEGIN CERTIFICATE REQUEST)"
        ) from None
    with _parsing("the certificate signing request"):
        if not csr.is_signature_valid:
            raise BadCertificate("the certificate signing request's signature is not valid")
        return csr


def _public(holder: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    with _parsing("the public key"):
        encoded: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return encoded


def _utc(certificate: Any, name: str) -> datetime:
    # The aware properties came with cryptography 42; the naive ones are deprecated since.
    moment = getattr(certificate, name + "_utc", None)
    if moment is None:
        moment = getattr(certificate, name).replace(tzinfo=timezone.utc)
    aware: datetime = moment
    return aware


def _identifiers(holder: Any) -> List[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        names = holder.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        return [str(one.value).lower() for one in holder.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _check_chain(leaf: Any, chain: Sequence[Any]) -> None:
    for position, (one, issuer) in enumerate(zip([leaf, *chain], chain), start=1):
        if one.issuer != issuer.subject or not _signed_by(one, issuer):
            raise BadCertificate(
                f"the chain is not in order: its certificate {position} ({issuer.subject.rfc4514_string()}) "
                f"did not issue {one.subject.rfc4514_string() or 'the certificate before it'}"
            )


_RSA_PSS = "1.2.840.113549.1.1.10"


def _signed_by(certificate: Any, issuer: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    try:
        key, oid = issuer.public_key(), certificate.signature_algorithm_oid.dotted_string
        if isinstance(key, rsa.RSAPublicKey) and oid == _RSA_PSS:
            return any(_verifies(key, certificate, *scheme) for scheme in _pss_schemes())
        if isinstance(key, rsa.RSAPublicKey):
            return _verifies(key, certificate, padding.PKCS1v15(), certificate.signature_hash_algorithm)
        if isinstance(key, ec.EllipticCurvePublicKey):
            return _verifies(key, certificate, ec.ECDSA(certificate.signature_hash_algorithm))
        return _verifies(key, certificate)  # Ed25519 and Ed448 sign without parameters
    except (TypeError, ValueError):
        return False


def _pss_schemes() -> List[Any]:
    """Which hash a PSS signature was made with, cryptography tells since version 41; trying tells with any."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return [
        # CAs salt with as many bytes as the hash has (RFC 8017 section 9.1); AUTO, newer than 3.4, is not needed.
        (padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)
        for algorithm in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
    ]


def _verifies(key: Any, certificate: Any, *scheme: Any) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, *scheme)
    except InvalidSignature:
        return False
    return True
