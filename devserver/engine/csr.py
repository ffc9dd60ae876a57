# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Keys and certificate signing requests: reading a client's, making the engine's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from . import domains

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CSR_KEY_TYPES = ("ec-256", "ec-384", "ec-521", "rsa-2048", "rsa-4096")
ACCOUNT_KEY_TYPES = (*CSR_KEY_TYPES, "rsa-8192")
POPULATIONS = ("cn_first", "sans_only")

_CURVES: dict[str, ec.EllipticCurve] = {"ec-256": ec.SECP256R1(), "ec-384": ec.SECP384R1(), "ec-521": ec.SECP521R1()}
_LONGEST_COMMON_NAME = 64  # RFC 5280 ub-common-name


def generate_key(key_type: str) -> PrivateKey:
    """A new private key of one of ACCOUNT_KEY_TYPES."""
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type])
    return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("rsa-")))


def key_to_pem(key: PrivateKey) -> str:
    """The key as ``EC PRIVATE KEY`` or ``RSA PRIVATE KEY``, as Vault's PKI engines write them."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode("ascii")


def key_from_pem(pem: str) -> PrivateKey:
    """A private key from PEM of any spelling. Raises ValueError, never quoting the text."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("not an unencrypted private key in PEM") from None
    except UnsupportedAlgorithm:
        raise ValueError("the key is of a kind that is not known here") from None
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("the key is neither EC nor RSA")
    return key


def own_key(pem: str) -> PrivateKey:
    """A private key that was made or checked here, without the check of its primes.

    That check takes seconds for rsa-8192, in which nothing else in this process runs.
    """
    key = serialization.load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("the key is neither EC nor RSA")
    return key


def key_type_of(key: PrivateKey) -> str:
    """``ec-256``, ``rsa-2048`` and so on; a curve that is none of NIST's goes by its own name."""
    if isinstance(key, rsa.RSAPrivateKey):
        return f"rsa-{key.key_size}"
    names = {curve.name: key_type for key_type, curve in _CURVES.items()}
    return names.get(key.curve.name, key.curve.name)


def make_request(key: PrivateKey, identifiers: Sequence[str], population: str) -> str:
    """A CSR in PEM: every identifier a subject alternative name and, with cn_first, the first the common name."""
    first = identifiers[0]
    subject = []
    if population == "cn_first" and len(first) <= _LONGEST_COMMON_NAME:
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, first))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(subject))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in identifiers]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def identifiers_of_request(pem: str) -> list[str]:
    """The canonical identifiers of a client's CSR: its common name, then its alternative names.

    Raises ValueError that says what is wrong with the CSR.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        verified = request.is_signature_valid
    except (ValueError, InvalidSignature):
        raise ValueError("csr could not be parsed: it is no certificate request in PEM, or not a whole one") from None
    except UnsupportedAlgorithm:
        raise ValueError("csr has a key or a signature of a kind that is not known here") from None
    if not verified:
        raise ValueError("csr is not signed by its own key")
    names = [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    for name in _alternative_names(request):
        if not isinstance(name, x509.DNSName):
            raise ValueError(f"csr asks for {_kind(name)}; only DNS names can be ordered")
        names.append(name.value)
    if not names:
        raise ValueError("csr holds neither a common name nor a DNS name")
    return [domains.normalise(name) for name in names]


def _kind(name: x509.GeneralName) -> str:
    if isinstance(name, x509.IPAddress):
        return f"the IP address {name.value}"
    if isinstance(name, x509.RFC822Name):
        return f"the e-mail address {name.value}"
    if isinstance(name, x509.UniformResourceIdentifier):
        return f"the URI {name.value}"
    return f"a name of the type {type(name).__name__}"


def same_key(request: str, certificate: str) -> bool:
    """Whether a certificate is for the key of a CSR, both in PEM."""
    wanted = x509.load_pem_x509_csr(request.encode()).public_key()
    return wanted == x509.load_pem_x509_certificate(certificate.encode()).public_key()


def _alternative_names(request: x509.CertificateSigningRequest) -> list[Any]:
    try:
        extension = request.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return []
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(f"the extensions of csr could not be parsed: {error}") from None
    names = extension.value
    return list(names) if isinstance(names, x509.SubjectAlternativeName) else []
