# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The engine's roles as resources."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional

from .external_ca import ExternalCA
from .resource import Field, Resource, plain_moments, same_names, same_set
from .vault_errors import BadRequest, InvalidInput

DOMAIN_OPTIONS = ("bare_domains", "subdomains", "wildcards", "globs")
CSR_POPULATIONS = ("cn_first", "sans_only")
# Vault 2.0 does not know these: it ignores them with a warning, and does not read them back.
_DNS_PROVIDER = ("dns_provider_name", "dns_provider_type")

ROLE = Resource(
    "Role",
    (
        Field("acme_account_name", fixed=True),
        Field("allowed_domains", same=same_names),
        Field("allowed_domain_options", same=same_set),
        Field("allowed_challenge_types", same=same_set),
        Field("csr_generate_key_type"),
        Field("csr_identifier_population"),
        *(Field(name) for name in _DNS_PROVIDER),
    ),
)

Warn = Callable[[str], None]


def described(role: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """A role as it is returned; one from a Vault that knows nothing of DNS providers in roles has none."""
    return None if role is None else {**dict.fromkeys(_DNS_PROVIDER, ""), **plain_moments(role)}


def check_dns_provider(wanted: Mapping[str, Any]) -> None:
    """Raise InvalidInput unless name and type of the DNS provider are both given, both empty, or both left out."""
    name, kind = (wanted.get(one) for one in _DNS_PROVIDER)
    if bool(name) != bool(kind):
        raise InvalidInput(
            f"dns_provider_name is {name!r} and dns_provider_type is {kind!r}; give both, or empty texts for both to "
            "take the provider away."
        )


def settable(wanted: Mapping[str, Any], role: Optional[Mapping[str, Any]], warn: Warn) -> Dict[str, Any]:
    """What of ``wanted`` this Vault can set, as far as an existing role tells; ``warn`` is told of the rest."""
    if role is None or _DNS_PROVIDER[0] in role:
        return dict(wanted)
    _warn_if_ignored(wanted, role, warn)
    return {name: value for name, value in wanted.items() if name not in _DNS_PROVIDER}


def write_role(external_ca: ExternalCA, name: str, fields: Mapping[str, Any], warn: Warn) -> Dict[str, Any]:
    """Create or update a role; ``warn`` is told what Vault has ignored, and what else it has to say."""
    role, warnings = external_ca.write_role(name, fields)
    _warn_if_ignored(fields, role, warn)
    for warning in warnings:
        if not any(unknown in warning for unknown in _DNS_PROVIDER):
            warn(f"Vault says of role {name}: {warning}")
    return {**dict.fromkeys(_DNS_PROVIDER, ""), **plain_moments(role)}


def _warn_if_ignored(wanted: Mapping[str, Any], role: Mapping[str, Any], warn: Warn) -> None:
    if wanted.get(_DNS_PROVIDER[0]) and _DNS_PROVIDER[0] not in role:
        warn(
            f"This Vault does not know dns_provider_name and dns_provider_type of roles (2.1 and newer do), and ignores "
            f"{wanted[_DNS_PROVIDER[1]]}/{wanted[_DNS_PROVIDER[0]]}: the identifiers of the DNS providers decide which is used."
        )


def delete_role(external_ca: ExternalCA, name: str, *, force: bool) -> None:
    """Delete a role; the refusal of one with active orders tells of ``force``."""
    try:
        external_ca.delete_role(name, force)
    except BadRequest as error:
        if force:
            raise
        advice = "If that is for its active orders, wait for them, or set force: true to end them with it."
        raise InvalidInput(f"{error.message} {advice}", **error.details) from None
