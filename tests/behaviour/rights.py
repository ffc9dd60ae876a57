# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What each module needs to be permitted in Vault: one row a module, held against what it really asks for.

The documentation of the modules, docs/endpoints.md, docs/rights.md and docs/policies are made of
this (``python -m tests.tools.reference``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
MOUNT = "{mount}"

FAILS = "fails"  # without it, the task fails
WARNS = "warns"  # without it, the task goes on with a warning
GOES_ON = "goes on"  # without it, the task reaches its end all the same


@dataclass(frozen=True)
class Right:
    """Capabilities on a path (a template of the contract) and what they are for; empty, they are always needed."""

    path: str
    capabilities: tuple[str, ...]
    purpose: str = ""
    without: str = FAILS


def _below(path: str, *capabilities: str, purpose: str = "", without: str = FAILS) -> Right:
    return Right(f"/{MOUNT}/{path}", capabilities, purpose, without)


_ACCOUNT = "config/acme-account/{name}"
_PROVIDER = "config/dns/{type}/{name}"
_ORDER = "role/{name}/order/{order_id}"
_IF_CHANGED = "to create and to change it"
_IF_ABSENT = "for O(state=absent)"

RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "mount": (
        Right("/sys/mounts", ("read",)),
        Right("/sys/mounts/{path}", ("update",), "to enable it"),
        Right("/sys/mounts/{path}/tune", ("update",), "to change it"),
        Right("/sys/mounts/{path}", ("delete",), _IF_ABSENT),
        _below("lookup/orders", "list", purpose="for O(state=absent) without O(force)"),
    ),
    "acme_account": (
        _below(_ACCOUNT, "read"),
        _below(_ACCOUNT, "create", "update", purpose=_IF_CHANGED),
        _below(_ACCOUNT, "delete", purpose="for O(state=absent) and O(recreate)"),
        _below(f"{_ACCOUNT}/import", "create", purpose="for O(account_key)"),
    ),
    "acme_account_info": (
        _below(_ACCOUNT, "read"),
        _below("config/acme-account", "list", purpose="without O(name)"),
    ),
    "acme_account_rotate_key": (_below(_ACCOUNT, "read"), _below(f"{_ACCOUNT}/rotate-key", "update")),
    "role": (
        _below("role/{name}", "read"),
        _below("role/{name}", "create", "update", purpose=_IF_CHANGED),
        _below("role/{name}", "delete", purpose=_IF_ABSENT),
    ),
    "role_info": (_below("role/{name}", "read"), _below("role", "list", purpose="without O(name)")),
    "dns_provider": (
        _below(_PROVIDER, "read"),
        _below(_PROVIDER, "create", "update", purpose=_IF_CHANGED),
        _below(_PROVIDER, "delete", purpose=_IF_ABSENT),
    ),
    "dns_provider_info": (
        _below(_PROVIDER, "read"),
        _below("config/dns/{type}", "list", purpose="with O(type) and without O(name)"),
        _below("config/dns", "list", purpose="without O(type)"),
    ),
    "dns_provider_test": (
        _below("dns/test/workflow", "update"),
        _below(_PROVIDER, "read", purpose="in check mode"),
    ),
    "order": (
        _below("role/{name}/new-order", "update"),
        _below(f"{_ORDER}/status", "read", without=WARNS),
        _below("role/{name}/cached", "read", purpose="to find a valid certificate", without=WARNS),
        _below("lookup/cert/{serial}", "read", purpose="to find the order of a valid certificate", without=WARNS),
        _below("lookup/orders/recent", "list", purpose="to find an order that is under way", without=WARNS),
    ),
    "order_info": (
        _below(f"{_ORDER}/status", "read", purpose="with O(role_name)"),
        _below("lookup/order/{order_id}", "read", purpose="with O(order_id) alone"),
        _below("role/{name}/active-orders", "list", purpose="with O(role_name) alone"),
        _below("lookup/orders/recent", "list", purpose="with O(within)"),
        _below("lookup/orders", "list", purpose="without any of them"),
    ),
    "order_challenge_info": (_below(f"{_ORDER}/status", "read"), _below(f"{_ORDER}/challenge", "read")),
    "order_challenge_fulfilled": (
        _below(f"{_ORDER}/status", "read"),
        _below(f"{_ORDER}/fulfilled-challenge", "update"),
    ),
    "order_certificate": (
        _below(f"{_ORDER}/fetch-cert", "read"),
        _below(f"{_ORDER}/status", "read", purpose="to tell why there is no certificate", without=GOES_ON),
    ),
    "order_certificates": (
        _below(f"{_ORDER}/fetch-cert", "read"),
        _below(f"{_ORDER}/status", "read", purpose="to tell why there is no certificate", without=GOES_ON),
    ),
    "certificate_info": (
        _below("role/{name}/cached", "read", purpose="with O(role_name)"),
        _below("lookup/cert/{serial}", "read"),
        _below(f"{_ORDER}/fetch-cert", "read", purpose="with O(serial_number)", without=WARNS),
    ),
    "certificate_revoke": (
        _below(f"{_ORDER}/revoke", "update"),
        _below(f"{_ORDER}/status", "read", purpose="with O(order_id) or O(id)"),
        _below("lookup/cert/{serial}", "read", purpose="with O(serial_number)"),
    ),
    "certificate": (
        _below("role/{name}/new-order", "update"),
        _below(f"{_ORDER}/status", "read"),
        _below(f"{_ORDER}/challenge", "read"),
        _below(f"{_ORDER}/fulfilled-challenge", "update"),
        _below(f"{_ORDER}/fetch-cert", "read"),
        _below("role/{name}/cached", "read", purpose="to find a valid certificate", without=WARNS),
        _below("lookup/cert/{serial}", "read", purpose="to find its order", without=WARNS),
        _below("lookup/cert/{serial}", "read", purpose="for O(check_revocation)"),
        _below("lookup/orders/recent", "list", purpose="to find an order that is under way", without=WARNS),
    ),
}


# Modules that never speak to Vault.
WITHOUT_VAULT = ("certificate_files",)


def modules() -> list[str]:
    """All modules of the collection that speak to Vault, without their common prefix."""
    found = (path.stem.removeprefix("vault_extca_") for path in MODULES.glob("vault_extca_*.py"))
    return sorted(name for name in found if name not in WITHOUT_VAULT)


def needed(module: str) -> Iterator[tuple[str, str, str]]:
    """(path, capability, what a module does without it), one capability at a time."""
    for right in RIGHTS[module]:
        for capability in right.capabilities:
            yield right.path, capability, right.without


def policy(module: str, mount: str, *, without: tuple[str, str] | None = None, types: Sequence[str] = ("+",)) -> str:
    """The module's least policy for an engine on this mount, as HCL, or that policy less one (path, capability).

    ``types`` are those of DNS providers.
    """
    by_path: dict[str, list[str]] = {}
    for path, capability, _what in needed(module):
        if (path, capability) != without:
            by_path.setdefault(path, []).append(capability)
    rules = []
    for path, capabilities in by_path.items():
        for kind in types if "{type}" in path else ("+",):
            rules.append(rule(path.replace("{type}", kind), capabilities, mount))
    return "\n".join(rules)


def rule(path: str, capabilities: Sequence[str], mount: str) -> str:
    """One path of a policy. Any name, order id and serial number is meant."""
    concrete = path.removeprefix("/").replace("{mount}", mount).replace("{path}", mount)
    for parameter in ("{name}", "{order_id}", "{serial}"):
        concrete = concrete.replace(parameter, "+")
    quoted = ", ".join(f'"{one}"' for one in sorted(set(capabilities)))
    return f'path "{concrete}" {{\n  capabilities = [{quoted}]\n}}'
