# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""ACME accounts (RFC 8555 section 7.3) as resources, and their keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Mapping, Optional

from .certificates import BadCertificate, certificate_facts, key_type_of, pem_blocks, same_certificates
from .durations import parse_moment
from .external_ca import ExternalCA
from .resource import Field, Resource, plain_moments
from .vault_errors import InvalidInput, UnexpectedAnswer

KEY_TYPES = ("ec-256", "ec-384", "ec-521", "rsa-2048", "rsa-4096", "rsa-8192")


def same_contacts(one: Any, other: Any) -> bool:
    """Whether two lists name the same contacts, as addresses or as mailto URLs."""
    return bool(_addresses(one) == _addresses(other))


def _addresses(contacts: Any) -> Any:
    return {contact[7:] if contact.startswith("mailto:") else contact for contact in contacts or ()}


ACME_ACCOUNT = Resource(
    "ACME account",
    (
        Field("directory_url", fixed=True),
        Field("email_contacts", same=same_contacts, fixed=True),
        Field("key_type", fixed=True, remedy="vault_extca_acme_account_rotate_key changes it"),
        Field("trusted_ca", same=same_certificates),
        Field("eab_kid", write_only=True),
        Field("eab_key", write_only=True),
        Field("account_key", write_only=True),
    ),
    recreatable=True,
)


def find_account(external_ca: ExternalCA, name: str) -> Optional[Dict[str, Any]]:
    """The account, or None; with ``key_type`` of its active key."""
    account = external_ca.acme_account(name)
    return None if account is None else _described(account)


def write_account(external_ca: ExternalCA, name: str, fields: Mapping[str, Any]) -> Dict[str, Any]:
    """Register an account, import one whose account_key is given, or change trusted_ca of one that exists."""
    if "account_key" not in fields:
        return _described(external_ca.write_acme_account(name, fields))
    # What the ACME server knows of the account comes from there.
    imported = {key: fields[key] for key in ("directory_url", "account_key", "trusted_ca") if key in fields}
    return _described(external_ca.import_acme_account(name, imported))


def _described(account: Mapping[str, Any]) -> Dict[str, Any]:
    active = account["account_keys"].get(str(account["active_key_version"]))
    if active is None:
        raise UnexpectedAnswer(f"Vault names no active key of the ACME account {account.get('name')}.")
    return {**plain_moments(account), "key_type": active["key_type"]}


def key_type_to_import(account_key: str, current: Optional[Mapping[str, Any]]) -> str:
    """The type that an account has, or will have, of which this is the key (PEM). Raises InvalidInput.

    A key that Vault has rotated since the import still is the account's: its type is among those of the older keys.
    """
    try:
        key_type = key_type_of(account_key)
    except BadCertificate as error:
        raise InvalidInput(f"account_key: {error}.") from None
    if key_type not in KEY_TYPES:
        raise InvalidInput(
            f"account_key is of the type {key_type}, which the engine does not know; it must be one of {', '.join(KEY_TYPES)}."
        )
    held = [] if current is None else [one.get("key_type") for one in current["account_keys"].values()]
    return str(current["key_type"]) if current is not None and key_type in held else key_type


def parse_bundle(text: str) -> str:
    """The certificates of a text as a PEM bundle, without what stands around them. Raises ValueError.

    OpenSSL and Go stumble over what may stand there, such as a backslash and an n for a new line.
    """
    blocks = pem_blocks(text, "CERTIFICATE")
    if text.strip() and not blocks:
        raise ValueError("it is the text of one or more certificates in PEM, and this one holds none")
    for block in blocks:
        certificate_facts(block)
    return "".join(blocks)


def key_is_due(
    account: Mapping[str, Any], *, key_type: Optional[str], older_than: Optional[int], now: datetime
) -> bool:
    """Whether the active key is of another type than ``key_type``, or at least ``older_than`` seconds old."""
    if key_type is not None and account["key_type"] != key_type:
        return True
    if older_than is None:
        return False
    moment = account["account_keys"][str(account["active_key_version"])].get("key_creation_date")
    try:
        created = parse_moment(moment or "")
    except ValueError as error:
        raise UnexpectedAnswer(
            f"Vault's answer has key_creation_date as {error}. Check mount, and that nothing between answers for Vault."
        ) from None
    return created is not None and (now - created).total_seconds() >= older_than
