# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What an ACME server issued, and the forms in which the engine hands it out."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .timestamps import zulu

FORMATS = ("pem", "der", "pem_bundle")

_SERIAL = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2})*", re.IGNORECASE)

_BLOCK = re.compile(
    r"^-----BEGIN (?:X509 )?CERTIFICATE-----\s*$.*?^-----END (?:X509 )?CERTIFICATE-----[^\S\n]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Issued:
    """A certificate with its chain, as stored with an order. PEM texts without the last line break."""

    certificate: str
    chain: tuple[str, ...]  # issuer first
    serial_number: str  # lower-case hex pairs joined by colons
    authority_key_id: str
    not_before: datetime
    not_after: datetime


def parse_chain(pem: str) -> Issued:
    """The leaf and the chain of an ``application/pem-certificate-chain``. Raises ValueError for anything else."""
    certificates = x509.load_pem_x509_certificates(pem.encode())
    leaf = certificates[0]
    texts = [certificate.public_bytes(Encoding.PEM).decode("ascii").strip() for certificate in certificates]
    return Issued(
        certificate=texts[0],
        chain=tuple(texts[1:]),
        serial_number=_colons(leaf.serial_number.to_bytes((leaf.serial_number.bit_length() + 7) // 8 or 1)),
        authority_key_id=_authority_key_id(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def parse_serial(text: str) -> str | None:
    """A serial number as stored, from hex pairs joined by colons or hyphens; None for other text."""
    return text.lower().replace("-", ":") if _SERIAL.fullmatch(text) else None


def certificates_alone(bundle: str) -> str:
    """The PEM blocks of a bundle without the words around them, which need not be ASCII as OpenSSL wants it."""
    return "\n".join(_BLOCK.findall(bundle))


def load_trusted(pem: str) -> None:
    """Check that the text holds PEM certificates, for OpenSSL too, which is less patient. Raises ValueError."""
    bundle = certificates_alone(pem)
    x509.load_pem_x509_certificates(bundle.encode())
    try:
        ssl.create_default_context(cadata=bundle)
    except ssl.SSLError as error:
        raise ValueError(str(error)) from None


def answer(issued: Issued, private_key: str, certificate_format: str) -> dict[str, Any]:
    """The fields of fetch-cert and cached. ``private_key`` is PEM, or empty where the engine has none."""
    certificate, chain = issued.certificate, list(issued.chain)
    if certificate_format == "pem_bundle":
        certificate = "\n".join([certificate, *chain])
    elif certificate_format == "der":
        certificate, chain = _der(certificate), [_der(one) for one in chain]
    data = {
        "certificate": certificate,
        "ca_chain": chain,
        "certificate_format": certificate_format,
        "serial_number": issued.serial_number,
        "authority_key_id": issued.authority_key_id,
        "not_before": zulu(issued.not_before),
        "not_after": zulu(issued.not_after),
    }
    if private_key:
        data["private_key"] = _der(private_key) if certificate_format == "der" else private_key.strip()
        data["private_key_type"] = "RSA" if "BEGIN RSA PRIVATE KEY" in private_key else "EC"
    return data


def _der(pem: str) -> str:
    """Base64 of the DER inside a PEM text, which is what stands between its first and last line."""
    return "".join(pem.strip().splitlines()[1:-1])


def _authority_key_id(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return ""
    return _colons(extension.value.key_identifier or b"")


def _colons(octets: bytes) -> str:
    return octets.hex(":")
