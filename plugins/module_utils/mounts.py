# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The engine's mount as a resource. Source: https://developer.hashicorp.com/vault/api-docs/system/mounts"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from .durations import same_duration
from .external_ca import ENGINE_TYPE, ExternalCA
from .resource import Field, Resource
from .vault_errors import InvalidInput, UnexpectedAnswer

_TTLS = ("default_lease_ttl", "max_lease_ttl")
_WHEN_ENABLED = ("local", "seal_wrap")

MOUNT = Resource(
    "Mount",
    (
        Field("description"),
        *(Field(name, same=same_duration) for name in _TTLS),
        *(Field(name, fixed=True) for name in _WHEN_ENABLED),
    ),
    key="path",
    known={"type": ENGINE_TYPE},
)


def find_mount(external_ca: ExternalCA) -> Optional[Dict[str, Any]]:
    """The mount, or None where nothing is mounted; TTLs in seconds, 0 for the system's own.

    Raises InvalidInput where something else is mounted.
    """
    found = external_ca.mount_configuration()
    if found is None:
        return None
    if found.get("type") != ENGINE_TYPE:
        raise InvalidInput(
            f"mount {external_ca.mount} is a mount of type {found.get('type')}, not of {ENGINE_TYPE}; it is left alone. "
            "Choose another path."
        )
    config = found["config"]
    return {
        "path": external_ca.mount,
        "type": ENGINE_TYPE,
        "accessor": found.get("accessor") or "",
        "description": found.get("description") or "",
        **{name: config.get(name) or 0 for name in _TTLS},
        **{name: bool(found.get(name)) for name in _WHEN_ENABLED},
    }


def write_mount(external_ca: ExternalCA, fields: Mapping[str, Any], *, enabled: bool) -> Dict[str, Any]:
    """Enable the engine, or tune it where it is enabled, and read what came of it."""
    ttls = {name: f"{fields[name]}s" for name in _TTLS if name in fields}
    if enabled:
        external_ca.tune({"description": fields.get("description", ""), **ttls})
    else:
        others = {name: value for name, value in fields.items() if name not in _TTLS}
        external_ca.enable({**others, "config": ttls})
    found = find_mount(external_ca)
    if found is None:
        raise UnexpectedAnswer(f"Vault says that the engine is enabled at {external_ca.mount}, but does not list it.")
    return found


def refuse_to_lose_orders(external_ca: ExternalCA) -> None:
    """Raise InvalidInput if the mount holds orders: with it go the means to read and to revoke their certificates."""
    orders = external_ca.order_ids()
    if orders:
        raise InvalidInput(
            f"Mount {external_ca.mount} holds {len(orders)} order{'s' if len(orders) > 1 else ''}, such as {orders[0]}. "
            "Without it, their certificates can neither be read nor revoked through Vault. Set force: true to disable it anyway."
        )
