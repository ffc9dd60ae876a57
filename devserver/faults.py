# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Faults on demand: which requests go wrong, and how."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .framework import Clock, invalid

KINDS = ("refuse", "reset", "delay", "hang", "status", "seal", "redirect", "revoke-token")
_KEYS = (
    "path",
    "method",
    "count",
    "seconds",
    "kind",
    "delay",
    "status",
    "body",
    "body_base64",
    "headers",
    "location",
    "skip",
)
_NUMBERS = {"count": int, "skip": int, "status": int, "seconds": (int, float), "delay": (int, float)}


@dataclass
class Fault:
    """What goes wrong with the requests that it matches.

    - ``refuse``: the connection is reset, and the port closed for ``delay`` seconds (default 1);
    - ``reset``: the connection is reset (TCP RST) without an answer;
    - ``delay``: the request is served ``delay`` seconds late;
    - ``hang``: there is no answer, for ``delay`` seconds or until the client gives up;
    - ``status``: ``status`` with ``body`` (text, or JSON) or ``body_base64``, and ``headers``;
    - ``seal``: 503, as a sealed Vault answers;
    - ``redirect``: 307 to ``location`` (a base URL; the path is kept), as a standby answers;
    - ``revoke-token``: the token of the request is revoked before it is served.
    """

    id: int
    kind: str
    path: re.Pattern[str]
    method: str = ""
    remaining: int | None = None  # None: without limit
    until: float | None = None  # on the monotonic clock
    skip: int = 0  # requests that still pass before the first one goes wrong
    delay: float | None = None
    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    location: str = ""
    hits: int = 0

    def shown(self) -> dict[str, Any]:
        """For ``GET /dev/faults``."""
        return {
            "id": self.id,
            "kind": self.kind,
            "path": self.path.pattern,
            "method": self.method or None,
            "count": self.remaining,
            "skip": self.skip,
            "hits": self.hits,
        }


class Faults:
    """The faults in force. The oldest one that matches a request decides."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, given: Mapping[str, Any]) -> Fault:
        """Put a fault in force. 400 that says what is wrong with it."""
        values = _checked(given)
        try:
            pattern = re.compile(values.get("path") or "")
        except re.error as error:
            raise invalid(f"path is no regular expression: {error}") from None
        seconds = values.get("seconds")
        fault = Fault(
            id=next(self._ids),
            kind=values["kind"],
            path=pattern,
            method=(values.get("method") or "").upper(),
            remaining=values.get("count"),
            until=None if seconds is None else self._clock.monotonic() + seconds,
            skip=values.get("skip") or 0,
            delay=values.get("delay"),
            status=values.get("status") or 500,
            body=_body(values),
            headers={str(name): str(value) for name, value in (values.get("headers") or {}).items()},
            location=values.get("location") or "",
        )
        self._faults.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, which uses up one of its count."""
        if not self._faults:
            return None
        now = self._clock.monotonic()
        self._faults = [fault for fault in self._faults if fault.until is None or fault.until > now]
        for fault in self._faults:
            if (fault.method and fault.method != method) or fault.path.search(path) is None:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            if fault.remaining is not None:
                fault.remaining -= 1
                if fault.remaining <= 0:
                    self._faults.remove(fault)
            return fault
        return None

    def clear(self) -> None:
        """Let everything go well again."""
        self._faults = []

    def shown(self) -> list[dict[str, Any]]:
        """What is in force."""
        return [fault.shown() for fault in self._faults]


def _checked(given: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = sorted(set(given) - set(_KEYS))
    if unknown:
        raise invalid(f"a fault has no {', '.join(unknown)}; it has {', '.join(_KEYS)}")
    if given.get("kind") not in KINDS:
        raise invalid(f"kind {given.get('kind')!r} is none of {', '.join(KINDS)}")
    for name, types in _NUMBERS.items():
        value = given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, types) or value < 0):  # type: ignore[arg-type]
            raise invalid(f"{name} is a number, not {value!r}")
    if given.get("count") == 0:
        raise invalid("count is at least 1, or null for no limit")
    for name in ("path", "method", "location", "body_base64"):
        if given.get(name) is not None and not isinstance(given[name], str):
            raise invalid(f"{name} is a text, not {given[name]!r}")
    if given["kind"] == "status" and not 200 <= (given.get("status") or 200) <= 599:
        raise invalid(f"status is one of HTTP, 200 to 599, not {given['status']!r}")
    if not isinstance(given.get("headers") or {}, dict):
        raise invalid("headers map names to values")
    needed = {"redirect": "location", "status": "status", "delay": "delay"}.get(given["kind"])
    if needed is not None and given.get(needed) is None:
        raise invalid(f"a fault of kind {given['kind']} needs {needed}")
    return given


def _body(given: Mapping[str, Any]) -> bytes:
    if given.get("body_base64"):
        try:
            return base64.b64decode(given["body_base64"], validate=True)
        except binascii.Error as error:
            raise invalid(f"body_base64: {error}") from None
    body = given.get("body")
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
