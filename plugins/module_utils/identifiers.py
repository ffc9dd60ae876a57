# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Identifiers of an order: DNS names, as RFC 8555 section 7.1.4 and Vault's engine take them."""

from __future__ import annotations

import re
from typing import Iterable, List

# Underscores are no host names, but CAs and Vault are the ones to say so; here only what can never be right is refused.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}|\[?[0-9a-f.]*:[0-9a-f:.]*\]?", re.IGNORECASE)


def normalise_identifier(identifier: str) -> str:
    """The one spelling of a DNS name: lower case, A-labels (``xn--``), no trailing dot. Raises ValueError.

    A wildcard keeps its leading ``*.``.
    """
    name = identifier.strip()
    if _ADDRESS.fullmatch(name.rstrip(".")):
        raise ValueError(
            f"identifier {identifier!r} is an IP address; the pki-external-ca engine orders for DNS names only"
        )
    wildcard, name = (True, name[2:]) if name.startswith("*.") else (False, name)
    name = _to_ascii(identifier, name.rstrip(".") if name.endswith(".") and not name.endswith("..") else name)
    if "*" in name:
        raise ValueError(
            f"identifier {identifier!r} has a wildcard in the wrong place; only a whole leftmost label may be '*'"
        )
    if len(name) > 253:
        raise ValueError(f"identifier {identifier[:60]!r}… has {len(name)} characters; a DNS name has at most 253")
    labels = name.split(".")
    if not name or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"identifier {identifier[:80]!r} is not a DNS name such as 'www.example.com'")
    return f"*.{name}" if wildcard else name


def normalise_identifiers(identifiers: Iterable[str]) -> List[str]:
    """Each name once, in the order given. Raises ValueError for the first that is no DNS name, and for an empty list."""
    names = list(dict.fromkeys(normalise_identifier(one) for one in identifiers))
    if not names:
        raise ValueError("identifiers is empty; name at least one DNS name")
    return names


def same_spelling(identifier: str) -> str:
    """``normalise_identifier`` for a name that Vault gave: what is no DNS name to us stays as it is, and equals only itself."""
    try:
        return normalise_identifier(identifier)
    except ValueError:
        return identifier


def _to_ascii(identifier: str, name: str) -> str:
    if name.isascii():
        return name.lower()
    # The idna package is always there with hvac (requests needs it); plain names do not pay for its import.
    import idna

    try:
        return idna.encode(name.lower(), uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"identifier {identifier[:80]!r} is not an internationalised DNS name: {error}") from None
