# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ``cert`` auth method: https://developer.hashicorp.com/vault/api-docs/auth/cert.

The TLS layer has verified the client's certificate against ``--tls-client-ca``; here it is matched with what is
configured: a certificate of its own, or the CA that issued it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from ..framework import Clock, Field, Kind, MountContext, Operation, Path, Request, Response, invalid
from .common import Method, Table, login

_FIELDS: Mapping[str, Field] = {
    "certificate": Field(),
    "display_name": Field(),
    "allowed_names": Field(Kind.LIST),
    "allowed_common_names": Field(Kind.LIST),
    "allowed_dns_sans": Field(Kind.LIST),
    "allowed_email_sans": Field(Kind.LIST),
    "allowed_uri_sans": Field(Kind.LIST),
    "allowed_organizational_units": Field(Kind.LIST),
}


class Certificates(Method):
    """Clients that come with a certificate, over mutual TLS."""

    type = "cert"

    def __init__(self, context: MountContext) -> None:
        self._clock = context.clock
        self._storage = context.storage
        self._roles = Table(context.storage, "certs", _FIELDS, check=_check)
        self.paths: Sequence[Path] = [
            Path("login", {Operation.UPDATE: self._login}, {"name": Field()}, unauthenticated=True),
            *self._roles.paths(),
        ]

    def _login(self, request: Request) -> Response:
        if not request.client_certificates:
            raise invalid("client certificate must be supplied")
        leaf = x509.load_der_x509_certificate(request.client_certificates[0])
        names = [request.get("name")] if request.get("name") else self._storage.keys("certs/")
        for name in names:
            role = self._roles.get(name)
            if role is not None and _matches(role, leaf, self._clock):
                return _logged_in(name, role, leaf)
        raise invalid("no chain matching all constraints could be found for this login certificate")


def _check(request: Request, stored: dict[str, Any]) -> None:
    try:
        certificates = x509.load_pem_x509_certificates(stored["certificate"].encode())
    except ValueError:
        certificates = []
    if not certificates:
        raise invalid("failed to parse certificate: it has to be PEM")
    stored["display_name"] = stored["display_name"] or request.get("name")


def _matches(role: Mapping[str, Any], leaf: x509.Certificate, clock: Clock) -> bool:
    now = clock.now()
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        return False
    trusted = x509.load_pem_x509_certificates(role["certificate"].encode())
    return any(one == leaf or _issued(one, leaf) for one in trusted) and _names_allowed(role, leaf)


def _issued(issuer: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names_allowed(role: Mapping[str, Any], leaf: x509.Certificate) -> bool:
    common_names = _subject(leaf, NameOID.COMMON_NAME)
    dns, email, uri = _sans(leaf)
    for field, values in (
        ("allowed_names", [*common_names, *dns, *email]),
        ("allowed_common_names", common_names),
        ("allowed_dns_sans", dns),
        ("allowed_email_sans", email),
        ("allowed_uri_sans", uri),
        ("allowed_organizational_units", _subject(leaf, NameOID.ORGANIZATIONAL_UNIT_NAME)),
    ):
        patterns = role[field]
        if patterns and not any(fnmatch.fnmatchcase(value, pattern) for value in values for pattern in patterns):
            return False
    return True


def _logged_in(name: str, role: Mapping[str, Any], leaf: x509.Certificate) -> Response:
    common_name = next(iter(_subject(leaf, NameOID.COMMON_NAME)), "")
    metadata = {
        "cert_name": name,
        "common_name": common_name,
        "serial_number": str(leaf.serial_number),
        "subject_key_id": _key_id(leaf, x509.SubjectKeyIdentifier),
        "authority_key_id": _key_id(leaf, x509.AuthorityKeyIdentifier),
    }
    return login(role, alias=common_name or name, display_name=role["display_name"], metadata=metadata)


def _subject(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]


def _sans(certificate: x509.Certificate) -> tuple[list[str], list[str], list[str]]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], [], []
    return (
        names.get_values_for_type(x509.DNSName),
        names.get_values_for_type(x509.RFC822Name),
        names.get_values_for_type(x509.UniformResourceIdentifier),
    )


def _key_id(
    certificate: x509.Certificate, kind: type[x509.SubjectKeyIdentifier] | type[x509.AuthorityKeyIdentifier]
) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return ""
    identifier = extension.digest if isinstance(extension, x509.SubjectKeyIdentifier) else extension.key_identifier
    return ":".join(f"{byte:02x}" for byte in identifier or b"")
