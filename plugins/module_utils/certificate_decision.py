# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Is the certificate at its destination good? Decided from the files alone, without asking anybody."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import certificate_files as files
from .certificate_files import Found, Material, Part
from .certificates import BadCertificate, CertificateFacts, certificate_facts, check_certificate, key_type_of
from .durations import RenewBefore, format_moment, say_duration


class Wanted(NamedTuple):
    """What a good certificate is."""

    identifiers: List[str]
    renew_before: RenewBefore
    private_key: Optional[str] = None  # PEM of the one key that it must be for
    key_type: Optional[str] = None  # such as ec-256; None: any


class Decision(NamedTuple):
    """What the files say. ``reason`` is for a person, and complete without the task's name.

    ``good`` is the set that the files hold, or that can be put together from them; None where a certificate is needed.
    ``stale`` are the kinds of file that do not hold it. ``facts`` describe the certificate that is there, good or not.
    ``but_for_chain`` is a set that would be good if its chain were.
    """

    good: Optional[Material]
    stale: List[str]
    reason: str
    facts: Optional[CertificateFacts]
    but_for_chain: Optional[Material] = None


def decide(paths: Mapping[str, str], found: Mapping[str, Found], wanted: Wanted, now: datetime) -> Decision:
    """Decide on what was found (by kind of file) at ``paths`` (by kind of file)."""
    parts = {kind: part for kind, part in found.items() if isinstance(part, Part)}
    leaves = files.distinct([part.leaf for part in parts.values() if part.leaf])
    if not leaves:
        kind = next(kind for kind in files.WITH_LEAF if kind in paths)
        return Decision(None, list(paths), f"{paths[kind]} {found[kind]}", None)
    keys: List[Optional[str]] = list(_distinct_keys(parts)) or [None]
    chains = _distinct_chains(parts)
    first: Optional[_Problem] = None
    for leaf, chain, key in product(leaves, chains, keys):
        material = Material(leaf, chain, key)
        problem = _problem(material, paths, found, wanted, now)
        if problem is None:
            return _good(material, paths, found, wanted)
        if problem.but_for_chain is not None:
            return Decision(None, list(paths), problem.text, certificate_facts(leaf), problem.but_for_chain)
        first = first or problem
    return Decision(None, list(paths), first.text if first else "", _facts(leaves[0]))


class _Problem(NamedTuple):
    text: str
    but_for_chain: Optional[Material] = None


def _good(material: Material, paths: Mapping[str, str], found: Mapping[str, Found], wanted: Wanted) -> Decision:
    facts = certificate_facts(material.leaf)
    stale = []
    reasons = []
    for kind, path in paths.items():
        part = found[kind]
        if isinstance(part, Part) and files.holds(part, material):
            continue
        stale.append(kind)
        reasons.append(f"{path} {part if isinstance(part, str) else 'does not belong to the certificate beside it'}")
    if reasons:
        return Decision(material, stale, "; ".join(reasons), facts)
    due = next_renewal(facts, wanted.renew_before)
    reason = f"valid until {format_moment(facts.not_after)}, due for renewal from {due} on"
    return Decision(material, [], reason, facts)


def _problem(
    material: Material, paths: Mapping[str, str], found: Mapping[str, Found], wanted: Wanted, now: datetime
) -> Optional[_Problem]:
    """The first thing that makes this set no good, or None."""
    try:
        facts = certificate_facts(material.leaf)
    except BadCertificate as error:
        return _Problem(str(error))
    if set(facts.identifiers) != set(wanted.identifiers):
        return _Problem(f"it is for {', '.join(facts.identifiers)} and not for {', '.join(wanted.identifiers)}")
    due = due_reason(facts, wanted.renew_before, now)
    if due:
        return _Problem(due)
    if material.private_key is None and any(kind in paths for kind in files.WITH_KEY):
        return _Problem(_missing(files.WITH_KEY, paths, found))
    try:
        check_certificate(material.leaf, [], private_key=material.private_key)
        if wanted.private_key is not None:
            check_certificate(material.leaf, [], private_key=wanted.private_key)
        if wanted.key_type is not None and material.private_key is not None:
            has = key_type_of(material.private_key)
            if has != wanted.key_type:
                return _Problem(f"its key is {has} and not {wanted.key_type}")
    except BadCertificate as error:
        return _Problem(str(error))
    if not any(kind in paths for kind in files.WITH_CHAIN):
        return None
    if not material.chain:
        return _Problem("its chain is missing", material)
    try:
        check_certificate(material.leaf, material.chain)
    except BadCertificate as error:
        return _Problem(str(error), material)
    return None


def next_renewal(facts: CertificateFacts, renew_before: RenewBefore) -> str:
    """The first whole second at which a certificate is due for renewal (RFC 3339)."""
    moment = renew_before.moment(facts.not_before, facts.not_after)
    return format_moment(moment + timedelta(microseconds=-moment.microsecond % 1_000_000))


def due_reason(facts: CertificateFacts, renew_before: RenewBefore, now: datetime) -> Optional[str]:
    """Why a certificate is due for renewal at this moment, or None."""
    left = (facts.not_after - now).total_seconds()
    if left <= 0:
        return f"expired {say_duration(-left)} ago"
    if now >= renew_before.moment(facts.not_before, facts.not_after):
        return f"expires in {say_duration(left)}"
    return None


def _missing(kinds: Sequence[str], paths: Mapping[str, str], found: Mapping[str, Found]) -> str:
    kind = next(kind for kind in kinds if kind in paths)
    return f"{paths[kind]} {found[kind]}"


def _facts(leaf: str) -> Optional[CertificateFacts]:
    try:
        return certificate_facts(leaf)
    except BadCertificate:
        return None


def _distinct_keys(parts: Mapping[str, Part]) -> List[str]:
    keys: Dict[bytes, str] = {}
    for part in parts.values():
        if part.private_key is not None:
            keys.setdefault(files.public_der(part.private_key), part.private_key)
    return list(keys.values())


def _distinct_chains(parts: Mapping[str, Part]) -> List[List[str]]:
    chains: Dict[str, List[str]] = {}
    for part in parts.values():
        if part.chain:
            chains.setdefault("".join("".join(one.split()) for one in part.chain), part.chain)
    return list(chains.values()) or [[]]
