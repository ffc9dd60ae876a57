# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""DNS providers of the engine as resources: four types, each with fields of its own."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .durations import parse_duration, same_duration
from .external_ca import DNS_PROVIDER_TYPES, ExternalCA
from .resource import Field, Resource, plain_moments, same_names
from .vault_errors import ExtcaError, InvalidInput

_COMMON = (Field("identifiers", same=same_names), Field("ttl", same=same_duration))
_OF_TYPE: Mapping[str, Sequence[Field]] = {
    "aws-route53": (
        Field("access_key_id"),
        Field("secret_access_key", write_only=True, of="access_key_id"),
        Field("region"),
        Field("hosted_zone_id"),
        Field("external_id"),
        Field("assume_role_arn"),
    ),
    "azure-dns": (
        Field("zone_name"),
        Field("client_id"),
        Field("client_secret", write_only=True, of="client_id"),
        Field("tenant_id"),
        Field("subscription_id"),
        Field("resource_group_name"),
        Field("environment"),
    ),
    "google-cloud-dns": (
        Field("zone_name"),
        Field("credentials", write_only=True),
        Field("project"),
        Field("impersonate_service_account"),
    ),
    "rfc2136": (
        Field("nameserver"),
        Field("tsig_key_name"),
        Field("tsig_secret", write_only=True, of="tsig_key_name"),
        Field("tsig_algorithm"),
    ),
}
# The options of a module for these fields.
FIELD_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    **{one.name: dict(type="str", no_log=one.write_only) for fields in _OF_TYPE.values() for one in fields},
    "credentials": dict(type="json", no_log=True),
    "environment": dict(type="str", choices=["AzurePublic", "AzureChina", "AzureGovernment"]),
    "tsig_algorithm": dict(
        type="str", choices=["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
    ),
}
# Without these Vault refuses to create one.
_REQUIRED = {"rfc2136": ("nameserver", "tsig_key_name", "tsig_secret")}
# Vault's documents disagree on its own default.
_WHEN_CREATED = {"rfc2136": {"tsig_algorithm": "hmac-sha256"}}
DNS_PROVIDERS = {
    kind: Resource(f"DNS provider {kind}", (*_COMMON, *_OF_TYPE[kind]), known={"type": kind})
    for kind in DNS_PROVIDER_TYPES
}


def find_provider(external_ca: ExternalCA, provider_type: str, name: str) -> Optional[Dict[str, Any]]:
    """The provider without its secrets, or None; ``ttl`` in seconds."""
    provider = external_ca.dns_provider(provider_type, name)
    return None if provider is None else _described(provider_type, name, provider)


def write_provider(external_ca: ExternalCA, provider_type: str, name: str, fields: Mapping[str, Any]) -> Dict[str, Any]:
    """Create or update a provider."""
    return _described(provider_type, name, external_ca.write_dns_provider(provider_type, name, fields))


def _described(provider_type: str, name: str, provider: Mapping[str, Any]) -> Dict[str, Any]:
    ttl = provider.get("ttl")
    with suppress(ValueError):  # a spelling that only a later Vault knows is shown as it is, and equals itself
        ttl = parse_duration(ttl)
    return {**plain_moments(provider), "name": name, "type": provider_type, "ttl": ttl}


def wanted_of_type(provider_type: str, params: Mapping[str, Any]) -> Dict[str, Any]:
    """The fields that a module's options give a value.

    Raises InvalidInput for a field of another type, and for a secret that is not of its form (and is not shown).
    """
    own = DNS_PROVIDERS[provider_type].wanted(params)
    for kind in DNS_PROVIDER_TYPES:
        for name in DNS_PROVIDERS[kind].wanted(params):
            if name not in {one.name for one in (*_COMMON, *_OF_TYPE[provider_type])}:
                raise InvalidInput(
                    f"{name} is an option of type {kind}, not of {provider_type}, whose own options are "
                    f"{', '.join(one.name for one in _OF_TYPE[provider_type])}."
                )
    for name, (is_right, form) in _FORMS.items():
        if own.get(name) and not is_right(own[name]):
            raise InvalidInput(f"{name} is not {form}. Its value is not shown.")
    return own


def to_create(provider_type: str, name: str, wanted: Mapping[str, Any]) -> Dict[str, Any]:
    """``wanted`` with the defaults that depend on Vault's version otherwise. Raises InvalidInput for want of fields."""
    missing: List[str] = [one for one in ("identifiers", *_REQUIRED.get(provider_type, ())) if not wanted.get(one)]
    if missing:
        raise InvalidInput(
            f"DNS provider {provider_type}/{name} does not exist yet; to create it, {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} needed."
        )
    return {**_WHEN_CREATED.get(provider_type, {}), **wanted}


def _is_base64(value: str) -> bool:
    try:
        return bool(base64.b64decode(value.strip(), validate=True))
    except ValueError:
        return False


def _is_json_object(value: str) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


_FORMS: Mapping[str, Tuple[Callable[[str], bool], str]] = {
    "tsig_secret": (_is_base64, "base64, as tsig-keygen prints it"),
    "credentials": (_is_json_object, "a JSON object, as Google's key file is"),
}


def try_provider(
    external_ca: ExternalCA, provider_type: str, name: str, identifier: str, *, omit_cleanup: bool, check_mode: bool
) -> Dict[str, Any]:
    """Let Vault test a provider, or in check mode only see that it exists. Raises ExtcaError with what went wrong."""
    about = {"identifier": identifier, "provider_type": provider_type, "provider_name": name}
    if check_mode:
        if external_ca.dns_provider(provider_type, name) is None:
            raise InvalidInput(
                f"There is no DNS provider {provider_type}/{name} on mount {external_ca.mount}.", **about
            )
        return about
    outcome = external_ca.test_dns_provider(provider_type, name, identifier, omit_cleanup)
    if not outcome.get("success"):
        said = outcome.pop("message", "") or "it does not say why"
        raise ExtcaError(
            f"Vault cannot set records for {identifier} through DNS provider {provider_type}/{name}: {said.rstrip('.')}. "
            "Check the provider's options, and what its DNS servers permit to Vault.",
            **{**about, **outcome},
        )
    return {**about, **outcome}
