# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""DNS identifiers: their canonical form, and which of them a role or a DNS provider covers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import idna

OPTIONS = ("bare_domains", "subdomains", "wildcards", "globs")

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def normalise(identifier: str) -> str:
    """The identifier in lower-case A-labels, without a trailing dot; a leftmost ``*.`` stays.

    Raises ValueError, naming the identifier, for anything that is no DNS name.
    """
    name = identifier.strip().removesuffix(".")
    prefix, rest = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    labels = [_a_label(label, identifier) for label in rest.split(".")]
    canonical = prefix + ".".join(labels)
    if len(canonical) > 253:
        raise ValueError(f"identifier {identifier!r} is longer than 253 characters")
    return canonical


def covered_by_role(identifier: str, allowed_domains: Iterable[str], options: Sequence[str]) -> bool:
    """Whether a role with these ``allowed_domains`` and ``allowed_domain_options`` lets this identifier pass.

    The identifier is canonical. A name without a star stands for itself, unless options say otherwise; a name
    with a star means something under ``wildcards`` (itself) and ``globs`` (any text in place of the star) only.
    """
    wildcard = identifier.startswith("*.")
    if wildcard and "wildcards" not in options:
        return False
    return any(_covers(_canonical_pattern(domain), identifier, wildcard, options) for domain in allowed_domains)


def provider_match(identifier: str, patterns: Iterable[str]) -> int:
    """How specifically a DNS provider's identifiers cover this one: 0 is not at all, more labels are more specific.

    A wildcard identifier is proved at its parent, so the parent is what counts.
    """
    name = identifier.removeprefix("*.")
    best = 0
    for pattern in map(_canonical_pattern, patterns):
        labels = 2 * (pattern.count(".") + 1)
        if pattern in (name, identifier):
            best = max(best, labels + 1)
        elif pattern.startswith("*.") and name.endswith(pattern[1:]):
            best = max(best, labels)
    return best


def record_name(identifier: str) -> str:
    """Where the TXT record of a dns-01 challenge stands, with the trailing dot (RFC 8555 section 8.4)."""
    return f"_acme-challenge.{identifier.removeprefix('*.')}."


def _covers(domain: str, identifier: str, wildcard: bool, options: Sequence[str]) -> bool:
    if "*" in domain:
        if "globs" in options and re.fullmatch(".*".join(map(re.escape, domain.split("*"))), identifier):
            return True
        return wildcard and identifier == domain
    if identifier == domain:
        return not options or "bare_domains" in options
    name = identifier.removeprefix("*.")
    return "subdomains" in options and (name.endswith("." + domain) or (wildcard and name == domain))


def _canonical_pattern(pattern: str) -> str:
    """As normalise(), for text that may hold stars anywhere; what is no name cannot match and stays as it is."""
    labels = pattern.strip().removesuffix(".").split(".")
    try:
        return ".".join(label.lower() if "*" in label else _a_label(label, pattern) for label in labels)
    except ValueError:
        return pattern


def _a_label(label: str, identifier: str) -> str:
    lowered = label.lower()
    if not lowered.isascii():
        try:
            lowered = idna.encode(label, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"identifier {identifier!r} is not a valid internationalised name: {error}") from None
    if not _LABEL.fullmatch(lowered):
        raise ValueError(f"identifier {identifier!r} is not a valid DNS name")
    return lowered
