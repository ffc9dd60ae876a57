# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""HTTP as the core sees it: the request that came in, and the bodies that Vault answers with."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from .framework import Refusal, invalid

MAX_BODY = 32 * 1024 * 1024  # bytes; Vault's max_request_size


@dataclass
class HttpRequest:
    """A request below ``/v1/``."""

    method: str
    path: str  # what follows /v1/, percent-decoded
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    client_certificates: Sequence[bytes] = ()  # DER, leaf first

    def token(self) -> str:
        """The client token, of either header."""
        token = self.headers.get("x-vault-token", "")
        if not token:
            scheme, _space, credentials = self.headers.get("authorization", "").partition(" ")
            token = credentials.strip() if scheme.lower() == "bearer" else ""
        return token

    def query_parameters(self) -> dict[str, Any]:
        """Parameters of the query string; one that is repeated is a list."""
        parsed = parse_qs(self.query, keep_blank_values=True)
        return {name: values[0] if len(values) == 1 else values for name, values in parsed.items()}

    def body_parameters(self) -> dict[str, Any]:
        """Parameters of the body: JSON, or a form. 400 for what is neither."""
        if not self.body.strip():
            return {}
        is_form = self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        if is_form and not self.body.lstrip().startswith(b"{"):
            parsed = parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)
            return {name: values[0] if len(values) == 1 else values for name, values in parsed.items()}
        try:
            parameters = parse_json(self.body.decode("utf-8", "replace"))
        except ValueError as error:
            raise invalid(f"failed to parse JSON input: {error}") from None
        except RecursionError:
            raise invalid("failed to parse JSON input: nested too deeply") from None
        if parameters is None:
            return {}
        if not isinstance(parameters, dict):
            raise invalid("failed to parse JSON input: expected an object")
        return parameters


def parse_json(text: str) -> Any:
    """JSON as Go reads it: neither NaN nor Infinity (a ValueError), and U+FFFD for half of a surrogate pair."""
    parsed = json.loads(text, parse_float=_finite, parse_constant=_finite)
    if "\\u" not in text:
        return parsed
    paired = json.dumps(parsed, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(paired)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number that can be kept")
    return value


@dataclass
class HttpAnswer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


def json_body(value: Any) -> bytes:
    """JSON as Vault writes it, with the newline at its end."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def error_answer(refusal: Refusal) -> HttpAnswer:
    """``{"errors": [...]}``, with data beside it where the refusal has some."""
    body: dict[str, Any] = {"errors": refusal.errors}
    if refusal.data is not None:
        body["data"] = refusal.data
    return HttpAnswer(refusal.status, json_body(body))


def envelope(
    *,
    data: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
    wrap_info: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    mount_type: str = "",
) -> dict[str, Any]:
    """What Vault wraps around every answer."""
    return {
        "request_id": str(uuid.uuid4()),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": wrap_info,
        "warnings": list(warnings) or None,
        "auth": auth,
        "mount_type": mount_type,
    }
