# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What proves control of an identifier: RFC 8555 section 8 (http-01, dns-01) and RFC 8737 (tls-alpn-01)."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Dict

HTTP_01 = "http-01"
DNS_01 = "dns-01"
TLS_ALPN_01 = "tls-alpn-01"
CHALLENGE_TYPES = (HTTP_01, DNS_01, TLS_ALPN_01)

_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}")


def base_name(identifier: str) -> str:
    """The name that is validated: a wildcard is proven at the name below its star (RFC 8555 section 7.1.3)."""
    return identifier[2:] if identifier.startswith("*.") else identifier


def proof(challenge_type: str, identifier: str, token: str, challenge_auth: str) -> Dict[str, Any]:
    """Everything that fulfils a challenge, under the key of its type.

    ``http_01`` holds ``path``, ``url`` and ``content``; ``dns_01`` holds ``record_name`` and ``txt_value``;
    ``tls_alpn_01`` holds ``server_name``, ``digest`` (hex, what the certificate's extension carries) and
    ``extension`` (the whole critical extension value, base64 DER). http-01 and tls-alpn-01 have ``key_authorization`` beside it;
    for dns-01 some Vaults give only the finished TXT value, which is all that a DNS server is told.
    """
    name = base_name(identifier)
    if challenge_type == HTTP_01:
        path = f"/.well-known/acme-challenge/{token}"
        served = {"path": path, "url": f"http://{name}{path}", "content": challenge_auth}
        return {"key_authorization": challenge_auth, "http_01": served}
    if challenge_type == DNS_01:
        # A key authorization always has a dot, a base64url digest never: the two cannot be confused.
        finished = _DIGEST.fullmatch(challenge_auth) is not None
        digest_text = base64.urlsafe_b64encode(_sha256(challenge_auth)).decode().rstrip("=")
        txt_value = challenge_auth if finished else digest_text
        return {"dns_01": {"record_name": f"_acme-challenge.{name}", "txt_value": txt_value}}
    digest = _sha256(challenge_auth)
    shown = {
        "server_name": name,
        "digest": digest.hex(),
        # The value of id-pe-acmeIdentifier is a DER OCTET STRING of the digest (RFC 8737 section 3).
        "extension": base64.b64encode(b"\x04\x20" + digest).decode(),
    }
    return {"key_authorization": challenge_auth, "tls_alpn_01": shown}


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
