# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What the files of a certificate hold: a kind of file is a selection of leaf, chain and private key, in one of two encodings."""

from __future__ import annotations

import re
from typing import List, Mapping, NamedTuple, Optional, Sequence, Union, cast

from .certificates import BadCertificate, as_pem, key_as_pem, load_private_key, pem_blocks

CERTIFICATE = "certificate"
CHAIN = "chain"
FULLCHAIN = "fullchain"
PRIVATE_KEY = "private_key"
PEM_BUNDLE = "pem_bundle"
PKCS12 = "pkcs12"
# In the order in which they are renamed: a key is there before the certificate that needs it.
KINDS = (PRIVATE_KEY, PEM_BUNDLE, PKCS12, CHAIN, FULLCHAIN, CERTIFICATE)
WITH_LEAF = (CERTIFICATE, FULLCHAIN, PEM_BUNDLE, PKCS12)
WITH_CHAIN = (CHAIN, FULLCHAIN, PEM_BUNDLE, PKCS12)
WITH_KEY = (PRIVATE_KEY, PEM_BUNDLE, PKCS12)

_KEY_BLOCK = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----\r?\n.*?-----END \1-----", re.DOTALL)


class Material(NamedTuple):
    """A certificate with what belongs to it, as PEM. ``private_key`` is None where the key is kept elsewhere."""

    leaf: str
    chain: List[str]
    private_key: Optional[str]


class Part(NamedTuple):
    """What one file holds of it; None for what files of its kind do not hold."""

    leaf: Optional[str] = None
    chain: Optional[List[str]] = None
    private_key: Optional[str] = None


# What was found at a path: its part, or the rest of a sentence that says why there is none ("does not exist").
Found = Union[Part, str]


def parse(kind: str, content: bytes, passphrase: Optional[str] = None) -> Part:
    """Read a file of this kind. Raises BadCertificate with the rest of a sentence that began with the file's path."""
    if kind == PKCS12:
        return _parse_pkcs12(content, passphrase or "")
    try:
        text = content.decode()  # PEM is ASCII, but what stands between its blocks need not be
    except UnicodeDecodeError:
        raise BadCertificate("is not a PEM file") from None
    certificates = pem_blocks(text, "CERTIFICATE")
    key = private_key_block(text) if kind in WITH_KEY else None
    if kind in WITH_KEY:
        if key is None:
            raise BadCertificate("holds no private key")
        try:
            load_private_key(key)
        except BadCertificate:
            raise BadCertificate("holds a private key that cannot be read: it is encrypted or damaged") from None
    if kind in WITH_LEAF and not certificates:
        raise BadCertificate("holds no certificate")
    leaf, chain = (None, certificates) if kind == CHAIN else (certificates[:1], certificates[1:])
    return Part(
        leaf=leaf[0] if leaf else None,
        chain=chain if kind in WITH_CHAIN else None,
        private_key=key,
    )


def private_key_block(text: str) -> Optional[str]:
    """The first PEM private key in a text, whatever its form, or None."""
    found = _KEY_BLOCK.search(text)
    return found.group(0).replace("\r\n", "\n") + "\n" if found else None


def render(kind: str, material: Material, *, passphrase: Optional[str] = None, name: str = "") -> bytes:
    """The content of a file of this kind. ``name`` is the friendly name of a PKCS#12 entry (keytool's alias)."""
    if kind == PKCS12:
        return _render_pkcs12(material, passphrase or "", name)
    key = [material.private_key or ""] if kind in WITH_KEY else []
    leaf = [material.leaf] if kind in WITH_LEAF else []
    chain = material.chain if kind in WITH_CHAIN else []
    return "".join(key + leaf + chain).encode()


def holds(part: Part, material: Material) -> bool:
    """Whether a file's part is this material's, whatever white space and encoding."""
    return (
        (part.leaf is None or same_pem(part.leaf, material.leaf))
        and (
            part.chain is None
            or (
                len(part.chain) == len(material.chain)
                and all(same_pem(one, other) for one, other in zip(part.chain, material.chain))
            )
        )
        and (
            part.private_key is None
            or (material.private_key is not None and same_key(part.private_key, material.private_key))
        )
    )


def same_pem(one: str, other: str) -> bool:
    """Whether two PEM blocks hold the same bytes."""
    return one == other or _body(one) == _body(other)


def same_key(one: str, other: str) -> bool:
    """Whether two PEM private keys are the same key, in whatever form. Raises BadCertificate."""
    return one == other or public_der(one) == public_der(other)


def public_der(private_key: str) -> bytes:
    """The public half of a PEM private key (SubjectPublicKeyInfo, DER). Raises BadCertificate."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = load_private_key(private_key).public_key()
    encoded: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def distinct(blocks: Sequence[str]) -> List[str]:
    """Each PEM block once, in the order given."""
    by_body = {_body(one): one for one in reversed(blocks)}
    order = dict.fromkeys(_body(one) for one in blocks)
    return [by_body[body] for body in order]


def assemble(values: Mapping[str, object], private_key: Optional[str]) -> Material:
    """The material of a certificate as Vault gave it (and ``verify`` has checked it), with its key."""
    leaf = pem_blocks(as_pem(str(values["certificate"])), "CERTIFICATE")[0]
    issuers = cast(List[str], values["ca_chain"])
    chain = [block for one in issuers for block in pem_blocks(as_pem(str(one)), "CERTIFICATE")]
    return Material(leaf, chain, key_as_pem(private_key) if private_key else None)


def _body(pem: str) -> str:
    return "".join(line for line in pem.split() if line and not line.startswith("-----"))


def _parse_pkcs12(content: bytes, passphrase: str) -> Part:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

    try:
        # cryptography has had load_pkcs12 since version 36 only.
        key, leaf, others = pkcs12.load_key_and_certificates(content, passphrase.encode())
    except (
        Exception
    ) as error:  # ValueError for a wrong passphrase and for junk, UnsupportedAlgorithm for exotic ciphers
        known = isinstance(error, ValueError)
        text = "cannot be opened with pkcs12_passphrase" if known else "is encrypted in a way that is not supported"
        raise BadCertificate(text) from None
    if leaf is None or key is None:
        raise BadCertificate("holds no private key with its certificate")
    return Part(
        leaf=leaf.public_bytes(Encoding.PEM).decode(),
        chain=[one.public_bytes(Encoding.PEM).decode() for one in others],
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def _render_pkcs12(material: Material, passphrase: str, name: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    key = load_private_key(material.private_key or "")
    encoded: bytes = pkcs12.serialize_key_and_certificates(
        name.encode() or None,
        key,
        x509.load_pem_x509_certificate(material.leaf.encode()),
        [x509.load_pem_x509_certificate(one.encode()) for one in material.chain],
        BestAvailableEncryption(passphrase.encode()),
    )
    return encoded
