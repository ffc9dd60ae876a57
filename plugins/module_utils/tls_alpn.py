# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The tls-alpn-01 challenge's certificate, shown and looked at (RFC 8737)."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from datetime import datetime, timedelta, timezone
from typing import Any, Tuple

ACME_TLS_1 = "acme-tls/1"
ACME_IDENTIFIER = "1.3.6.1.5.5.7.1.31"
# DER of an OCTET STRING of 32 bytes.
_OCTET_STRING = b"\x04\x20"


def challenge_context(name: str, digest: str) -> ssl.SSLContext:
    """A server's TLS context that shows the challenge certificate for ``name``; ``digest`` is hex (RFC 8737 section 3)."""
    certificate, key = _challenge_certificate(name, bytes.fromhex(digest))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ACME_TLS_1])
    # The ssl module reads files only; this key proves nothing after the challenge, and its file is readable by nobody else.
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + certificate)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return context


def answered_digest(address: Tuple[Any, ...], name: str, timeout: float) -> str:
    """The digest (hex) that a server shows for ``name``. Raises OSError or ValueError if it does not speak acme-tls/1."""
    from cryptography import x509

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate is self-signed by definition: what counts is its extension.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ACME_TLS_1])
    with (
        socket.create_connection(address, timeout) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        if connection.selected_alpn_protocol() != ACME_TLS_1:
            raise ValueError(f"it does not speak the protocol {ACME_TLS_1}")
        der = connection.getpeercert(binary_form=True) or b""
    certificate = x509.load_der_x509_certificate(der)
    try:
        extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(ACME_IDENTIFIER))
    except x509.ExtensionNotFound:
        raise ValueError("its certificate has no acmeIdentifier extension") from None
    value = extension.value.value  # type: ignore[attr-defined]  # an extension that cryptography does not know by name
    return bytes(value[len(_OCTET_STRING) :]).hex()


def _challenge_certificate(name: str, digest: bytes) -> Tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=not subject)
        .add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(ACME_IDENTIFIER), _OCTET_STRING + digest), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
