# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Orders as a scripted Vault answers with them."""

from __future__ import annotations

from typing import Any

from .support import Answer

MOUNT = "pki-external-ca"
ROLE = f"{MOUNT}/role/web"
ORDER_ID = "7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f"
OTHER_ID = "0b5c9f3a-8f5e-4b0e-b7a4-1f6a2d7c8e90"
ORDER = f"{ROLE}/order/{ORDER_ID}"
ID = f"{ORDER}/certificate"
AWAITING = "awaiting-challenge-fulfillment"
DENIED = Answer(status=403, errors=["1 error occurred:\n\t* permission denied\n\n"])
NEVER = "0001-01-01T00:00:00Z"


def challenge(challenge_type: str, challenge_status: str = "pending", manual: str | None = "true") -> dict[str, str]:
    row = {"challenge_type": challenge_type, "challenge_status": challenge_status, "expires": "2026-02-07T12:00:00Z"}
    return row if manual is None else {**row, "requires_manual_fulfillment": manual}


def order_data(order_status: str, *names: str, **changes: Any) -> dict[str, Any]:
    """The data of an order's status; every name has an http-01 and a dns-01 challenge, a wildcard only the latter."""
    names = names or ("www.example.com",)
    data: dict[str, Any] = {
        "order_status": order_status,
        "role_name": "web",
        "identifiers": list(names),
        "creation_date": "2026-01-31T12:00:00.123456789Z",
        "last_update": "2026-01-31T13:00:01+01:00",
        "next_work_date": NEVER,
        "expires": "2026-02-07T12:00:00Z",
        "last_error": "",
        "serial_number": "",
        "csr": "",
        "challenges": {
            name: [challenge(one) for one in ("http-01", "dns-01") if one == "dns-01" or not name.startswith("*.")]
            for name in names
        },
    }
    data.update(changes)
    return data


def order_status(status: str, *names: str, **changes: Any) -> Answer:
    return Answer(order_data(status, *names, **changes))


def recent(*rows: tuple[str, dict[str, Any]]) -> Answer:
    """An answer of lookup/orders/recent from (id, data of the order's status)."""
    keys = ("creation_date", "identifiers", "last_update", "order_status", "role_name")
    return Answer(
        {
            "keys": [order_id for order_id, _data in rows],
            "key_info": {order_id: {key: data[key] for key in keys} for order_id, data in rows},
        }
    )


def looked_up(order_id: str = ORDER_ID, status: str = "completed", *names: str, **changes: Any) -> Answer:
    """An answer of lookup/cert."""
    return Answer(
        {
            "order_status": status,
            "role_name": "web",
            "order_id": order_id,
            "identifiers": list(names or ("www.example.com",)),
            "not_before": "2026-01-31T12:00:00Z",
            "not_after": "2026-05-01T12:00:00Z",
            **changes,
        }
    )
