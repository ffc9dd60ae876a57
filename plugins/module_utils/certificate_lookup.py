# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Certificates that Vault has issued, found by their names or by their order, for the lookup plugin."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from .durations import RenewBefore, parse_renew_before
from .external_ca import ExternalCA, OrderReference, parse_order_reference
from .found_results import found_certificate
from .identifiers import normalise_identifiers
from .order_results import certificate_result
from .orders import OrderFailed, obtain_certificate
from .reuse import find_cached
from .vault_connection import VaultConnection
from .vault_errors import ExtcaError, InvalidInput, NotFound, PermissionDenied

Warn = Callable[[str], None]
_OF_THE_WAIT = ("elapsed", "polls")


def look_up_certificates(terms: Sequence[Any], options: Mapping[str, Any], *, warn: Warn) -> List[Dict[str, Any]]:
    """A dictionary for each term, or for the one order that the options name. Raises ExtcaError."""
    connection = VaultConnection(options, warn=warn)
    try:
        return _look_up(terms, options, connection, warn)
    except ExtcaError as error:
        if isinstance(error, PermissionDenied):
            lacking = connection.missing_capability(error)
            error.message += f" On {error.path} {lacking}." if lacking else " Check the token and its policies."
        # Ansible hides secrets in what a module says, and not in what a lookup says.
        error.message = connection.concealed(error.message)
        raise
    finally:
        connection.close()


def _look_up(
    terms: Sequence[Any], options: Mapping[str, Any], connection: VaultConnection, warn: Warn
) -> List[Dict[str, Any]]:
    mount, role_name, order_id = options["mount"], options.get("role_name"), options.get("order_id")
    if options.get("id"):
        mount, reference = parse_order_reference(options["id"])
        role_name, order_id = reference
    if bool(terms) == bool(order_id):
        raise InvalidInput("give either the DNS names of a certificate, or an order by order_id or id.")
    if not role_name:
        raise InvalidInput("role_name is not given.")
    external_ca = ExternalCA(connection, mount)
    if order_id:
        return [_of_order(external_ca, OrderReference(role_name, order_id), options["certificate_format"])]
    try:
        min_validity = parse_renew_before(options["min_validity"])
        names = [normalise_identifiers(_names(term)) for term in terms]
    except ValueError as error:
        raise InvalidInput(f"{error}.") from None
    return [_cached(external_ca, role_name, one, min_validity, options["certificate_format"], warn) for one in names]


def _names(term: Any) -> List[str]:
    if isinstance(term, (list, tuple)):
        return [str(one) for one in term]
    return [one.strip() for one in str(term).split(",") if one.strip()]


def _of_order(external_ca: ExternalCA, reference: OrderReference, certificate_format: str) -> Dict[str, Any]:
    issued = obtain_certificate(external_ca, reference, None, certificate_format=certificate_format)
    if issued.certificate is None:
        state = issued.order["order_status"] if issued.order else "not completed"
        raise OrderFailed(
            f"Order {reference.order_id} of role {reference.role_name} is {state} and has no certificate yet. Wait for it with "
            "vault_extca_order_certificate."
        )
    result = certificate_result(external_ca.mount, reference, issued)
    return {key: value for key, value in result.items() if key not in _OF_THE_WAIT}


def _cached(
    external_ca: ExternalCA,
    role_name: str,
    names: List[str],
    min_validity: RenewBefore,
    certificate_format: str,
    warn: Warn,
) -> Dict[str, Any]:
    found = find_cached(external_ca, role_name, names, min_validity, warn, certificate_format)
    if found is None or found.certificate is None:
        raise NotFound(
            f"Role {role_name} at {external_ca.mount} has no cached certificate for {', '.join(names)} that is valid for long "
            "enough (see min_validity). Order one with vault_extca_certificate or vault_extca_order."
        )
    return found_certificate(external_ca.mount, role_name, found)
