# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What proves control of an identifier (RFC 8555 section 8)."""

from __future__ import annotations

import base64
import hashlib


def key_authorization(token: str, thumbprint: str) -> str:
    """The text that ties a challenge to an account key (RFC 8555 section 8.1)."""
    return f"{token}.{thumbprint}"


def txt_value(authorization: str) -> str:
    """The TXT record of dns-01: base64url of the SHA-256 of the key authorization (RFC 8555 section 8.4)."""
    return base64.urlsafe_b64encode(hashlib.sha256(authorization.encode()).digest()).rstrip(b"=").decode("ascii")
