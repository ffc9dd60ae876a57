# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What fulfils a challenge, against the words of the RFCs."""

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_proofs import base_name, proof
from hypothesis import given
from hypothesis import strategies as st

# RFC 8555 section 8.1 and 8.3.
TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
AUTHORIZATION = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_http_01_is_the_rfcs_example() -> None:
    assert proof("http-01", "example.org", TOKEN, AUTHORIZATION) == {
        "key_authorization": AUTHORIZATION,
        "http_01": {
            "path": f"/.well-known/acme-challenge/{TOKEN}",
            "url": f"http://example.org/.well-known/acme-challenge/{TOKEN}",
            "content": AUTHORIZATION,
        },
    }


@pytest.mark.parametrize("identifier", ["example.org", "*.example.org"])
def test_dns_01_is_the_digest_at_the_base_name(identifier: str) -> None:
    found = proof("dns-01", identifier, TOKEN, AUTHORIZATION)["dns_01"]
    digest = base64.urlsafe_b64decode(found["txt_value"] + "=")
    assert digest == hashlib.sha256(AUTHORIZATION.encode()).digest()
    assert found["record_name"] == "_acme-challenge.example.org"


@given(st.text(BASE64URL, min_size=1, max_size=80), st.text(BASE64URL, min_size=43, max_size=43))
def test_a_key_authorization_and_a_finished_value_are_never_confused(token: str, thumbprint: str) -> None:
    authorization = f"{token}.{thumbprint}"
    computed = proof("dns-01", "example.org", token, authorization)
    given_ready = proof("dns-01", "example.org", token, computed["dns_01"]["txt_value"])
    assert given_ready == computed


def test_tls_alpn_01_is_a_der_octet_string() -> None:
    found = proof("tls-alpn-01", "example.org", TOKEN, AUTHORIZATION)["tls_alpn_01"]
    digest = hashlib.sha256(AUTHORIZATION.encode())
    assert found["server_name"] == "example.org"
    assert found["digest"] == digest.hexdigest()
    assert base64.b64decode(found["extension"]) == bytes([4, 32]) + digest.digest()


def test_only_a_whole_leftmost_star_is_a_wildcard() -> None:
    assert base_name("*.example.org") == "example.org"
    assert base_name("example.org") == "example.org"
