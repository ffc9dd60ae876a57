# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A small CA for unit tests: real certificates, made in memory."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.timezone.utc)


def new_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Any) -> str:
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()


def pem(thing: Any) -> str:
    encoded: bytes = thing.public_bytes(serialization.Encoding.PEM)
    return encoded.decode()


def _moment(certificate: x509.Certificate, name: str) -> str:
    """One end of the validity in RFC 3339; cryptography before 42 has it without a time zone only."""
    moment = getattr(certificate, f"{name}_utc", None) or getattr(certificate, name)
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


@dataclass
class Issued:
    """A leaf, its key and its chain, with the fetch-cert data that Vault would give."""

    certificate: x509.Certificate
    key: Any
    chain: list[x509.Certificate]

    def data(self, **changes: Any) -> dict[str, Any]:
        digits = f"{self.certificate.serial_number:x}"
        digits = digits.zfill(len(digits) + len(digits) % 2)
        data: dict[str, Any] = {
            "certificate": pem(self.certificate),
            "certificate_format": "pem",
            "ca_chain": [pem(one) for one in self.chain],
            "private_key": key_pem(self.key),
            "private_key_type": "EC",
            "serial_number": ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)),
            "authority_key_id": "9a:0f",
            "not_before": _moment(self.certificate, "not_valid_before"),
            "not_after": _moment(self.certificate, "not_valid_after"),
        }
        data.update(changes)
        return {key: value for key, value in data.items() if value is not None}


class SmallCA:
    """A root and an intermediate that issue leaves."""

    def __init__(self, name: str = "Unit CA") -> None:
        self._root_key, self._key = new_key(), new_key()
        self.root = self._sign(f"{name} root", self._root_key.public_key(), f"{name} root", self._root_key, [], ca=True)
        self.intermediate = self._sign(name, self._key.public_key(), f"{name} root", self._root_key, [], ca=True)

    def issue(self, *names: str, days: int = 90, not_before: datetime.datetime = NOW, key: Any = None) -> Issued:
        key = key or new_key()
        issuer = self.intermediate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        leaf = self._sign(
            names[0], key.public_key(), str(issuer), self._key, list(names), days=days, not_before=not_before
        )
        return Issued(leaf, key, [self.intermediate])

    @staticmethod
    def _sign(
        subject: str,
        public_key: Any,
        issuer: str,
        issuer_key: Any,
        names: list[str],
        *,
        days: int = 3650,
        not_before: datetime.datetime = NOW,
        ca: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_before + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
            )
        return builder.sign(issuer_key, hashes.SHA256())


def new_csr(*names: str, key: Any = None) -> str:
    """A PEM certificate signing request."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .sign(key or new_key(), hashes.SHA256())
    )
    return pem(request)
