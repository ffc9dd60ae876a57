# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Keys that are made on the host, and the certificate signing requests that leave it in their place."""

from __future__ import annotations

from typing import Any, Sequence

from .certificate_files import private_key_block
from .certificates import load_private_key
from .vault_errors import InvalidInput

_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name


def new_private_key(key_type: str) -> str:
    """A new private key as PEM (PKCS#8), of a type of ``external_ca.CSR_KEY_TYPES``."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    family, size = key_type.split("-")
    key: Any
    if family == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=int(size))
    else:
        key = ec.generate_private_key({"256": ec.SECP256R1(), "384": ec.SECP384R1(), "521": ec.SECP521R1()}[size])
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def read_private_key(path: str) -> str:
    """The PEM private key of a file. Raises InvalidInput, without any of its text."""
    try:
        with open(path, encoding="utf-8") as file:
            key = private_key_block(file.read(1024 * 1024))
    except OSError as error:
        raise InvalidInput(f"private_key_path {path!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        key = None
    if key is None:
        raise InvalidInput(f"private_key_path {path!r} holds no PEM private key.")
    try:
        load_private_key(key)
    except ValueError as error:
        raise InvalidInput(f"private_key_path {path!r} cannot be used: {error}.") from None
    return key


def new_csr(private_key: str, identifiers: Sequence[str]) -> str:
    """A PEM request for these names; the first is the common name too, if it is short enough for one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = load_private_key(private_key)
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise InvalidInput("The private key is neither RSA nor EC; ACME CAs issue for these two.")
    common_name = [identifiers[0]] if len(identifiers[0]) <= _LONGEST_COMMON_NAME else []
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_name]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in identifiers]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem: bytes = request.public_bytes(Encoding.PEM)
    return pem.decode()
