# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What files hold, read and written."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import certificate_files as files
from ansible_collections.certops.vault_extca.plugins.module_utils.certificates import BadCertificate
from hypothesis import given, settings
from hypothesis import strategies as st

from ...issuing import SmallCA, key_pem, new_key, pem

CA = SmallCA()
LEAF = CA.issue("www.example.com")
MATERIAL = files.Material(pem(LEAF.certificate), [pem(CA.intermediate), pem(CA.root)], key_pem(LEAF.key))


@pytest.mark.parametrize("kind", files.KINDS)
def test_what_is_written_is_read_back(kind: str) -> None:
    content = files.render(kind, MATERIAL, passphrase="wörd", name="www.example.com")
    part = files.parse(kind, content, "wörd")
    assert files.holds(part, MATERIAL)
    assert (part.leaf is not None) == (kind in files.WITH_LEAF)
    assert (part.chain is not None) == (kind in files.WITH_CHAIN)
    assert (part.private_key is not None) == (kind in files.WITH_KEY)


def test_a_bundle_has_key_leaf_and_chain_in_this_order() -> None:
    text = files.render(files.PEM_BUNDLE, MATERIAL).decode()
    assert text == (MATERIAL.private_key or "") + MATERIAL.leaf + "".join(MATERIAL.chain)


@pytest.mark.parametrize("kind", [kind for kind in files.KINDS if kind != files.PKCS12])
def test_line_ends_and_text_around_blocks_make_no_difference(kind: str) -> None:
    content = b"a comment\r\n" + files.render(kind, MATERIAL).replace(b"\n", b"\r\n") + b"\r\nmore\r\n"
    assert files.holds(files.parse(kind, content), MATERIAL)


def test_a_key_in_its_older_form_is_the_same_key() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    older = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert b"EC PRIVATE KEY" in older
    assert files.holds(files.parse(files.PRIVATE_KEY, older), MATERIAL)


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        (files.CERTIFICATE, b"", "holds no certificate"),
        (files.CERTIFICATE, b"\xff\xfe", "is not a PEM file"),
        (files.PRIVATE_KEY, b"", "holds no private key"),
        (files.PEM_BUNDLE, MATERIAL.leaf.encode(), "holds no private key"),
        (files.PEM_BUNDLE, key_pem(LEAF.key).encode(), "holds no certificate"),
        (
            files.PRIVATE_KEY,
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "holds a private key that cannot be read: it is encrypted or damaged",
        ),
        (files.PKCS12, b"junk", "cannot be opened with pkcs12_passphrase"),
    ],
)
def test_what_a_file_lacks_is_said(kind: str, content: bytes, problem: str) -> None:
    with pytest.raises(BadCertificate, match=problem):
        files.parse(kind, content, "x")


def test_another_passphrase_does_not_open_a_keystore() -> None:
    content = files.render(files.PKCS12, MATERIAL, passphrase="one")
    with pytest.raises(BadCertificate, match="cannot be opened"):
        files.parse(files.PKCS12, content, "two")


def test_an_encrypted_key_is_refused_without_its_text() -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    encrypted = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    with pytest.raises(BadCertificate) as refused:
        files.parse(files.PRIVATE_KEY, encrypted)
    assert encrypted.decode().split("\n")[1] not in str(refused.value)


@pytest.mark.parametrize(
    "other",
    [
        MATERIAL._replace(leaf=pem(CA.issue("www.example.com").certificate)),
        MATERIAL._replace(chain=MATERIAL.chain[:1]),
        MATERIAL._replace(chain=MATERIAL.chain[::-1]),
        MATERIAL._replace(private_key=key_pem(new_key())),
        MATERIAL._replace(private_key=None),
    ],
)
def test_a_difference_is_seen(other: files.Material) -> None:
    part = files.parse(files.PEM_BUNDLE, files.render(files.PEM_BUNDLE, MATERIAL))
    assert not files.holds(part, other)


def test_blocks_are_told_apart_by_their_bytes() -> None:
    other = MATERIAL.chain[0]
    spaced = MATERIAL.leaf.replace("\n", "\r\n")
    assert files.distinct([MATERIAL.leaf, other, spaced, other]) == [MATERIAL.leaf, other]


@pytest.mark.parametrize("kind", files.KINDS)
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_whatever_stands_in_a_file_is_read_or_refused(kind: str, content: bytes) -> None:
    with contextlib.suppress(BadCertificate):
        files.parse(kind, content, "x")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(min_value=0, max_value=3000), byte=st.integers(min_value=0, max_value=255))
def test_a_damaged_bundle_is_read_or_refused(at: int, byte: int) -> None:
    content = bytearray(files.render(files.PEM_BUNDLE, MATERIAL))
    content[at % len(content)] = byte
    with contextlib.suppress(BadCertificate):
        files.parse(files.PEM_BUNDLE, bytes(content))
