# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a user sees of a task, without what differs from run to run: ids, moments, serial numbers, keys, ports."""

from __future__ import annotations

import re
from typing import Any

_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_REPLACED = (
    (re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL), r"<PEM \1>"),
    (_ID, "<id>"),
    # Before tokens, as one may seem to stand between two characters of this.
    (re.compile(r"BC[A-D][A-Za-z0-9+/]{43}=="), "<extension>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<moment>"),
    (re.compile(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){3,}\b"), "<hex pairs>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"(?<![\w-])[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}(?![\w-])"), "<key authorization>"),
    (re.compile(r"(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-])"), "<token>"),
    (re.compile(r"(localhost|127\.0\.0\.1):\d+"), r"\1:<port>"),
    (re.compile(r"pki-external-ca_[0-9a-f]+"), "<accessor>"),
)
# How long it took, and what was asked.
_LEFT_OUT = ("elapsed", "polls", "invocation")


def plain(value: Any, mount: str, folder: str) -> Any:
    """A result in a form that equals that of another run with the same outcome."""
    if isinstance(value, dict):
        kept = [(key, value[key]) for key in sorted(value) if key not in _LEFT_OUT]
        # Ids of orders sort by their age, so those of two runs get the same numbers.
        return {_key(key, number): plain(one, mount, folder) for number, (key, one) in enumerate(kept)}
    if isinstance(value, (list, tuple)):
        # An ACME server names the challenges of an identifier in any order.
        by_type = isinstance(value, list) and all(isinstance(one, dict) and "challenge_type" in one for one in value)
        ordered = sorted(value, key=lambda one: str(one["challenge_type"])) if by_type else value
        return [plain(one, mount, folder) for one in ordered]
    if not isinstance(value, str):
        return value
    text = value.replace(folder, "<folder>").replace(mount, "<mount>")
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    return text


def _key(key: str, number: int) -> str:
    return f"<id {number}>" if _ID.fullmatch(key) else key


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two plain results differ, a line each."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [line for key in keys for line in differences(one.get(key, "-"), other.get(key, "-"), f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for index, (left, right) in pairs for line in differences(left, right, f"{where}[{index}]")]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def beyond_marking(result: dict[str, Any]) -> dict[str, Any]:
    """The result of marking challenges, whichever state the order has reached by the time that it is read."""
    if result.get("order_status") != "awaiting-challenge-fulfillment":
        # What an order that is completed has, or has no more.
        moves_on = ("challenges", "serial_number", "next_work_date")
        result = {key: value for key, value in result.items() if key not in moves_on}
        result["order_status"] = "beyond awaiting-challenge-fulfillment"
    return result
