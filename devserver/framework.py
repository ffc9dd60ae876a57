# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a backend is made of: paths, typed fields, requests, responses and refusals.

The shapes follow Vault's own plugin framework (``sdk/framework``): a backend is a table of path patterns,
each with a schema of fields and a handler per operation. The core routes a request to a backend, checks
the caller's policies and hands over parsed values; the backend answers or raises :class:`Refusal`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from .durations import parse_duration


class Operation(enum.Enum):
    """What a request does. POST and PUT are UPDATE, or CREATE where the path knows that nothing is there yet."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"


class Refusal(Exception):
    """An error answer: its HTTP status, the texts of ``errors`` and, rarely, data beside them."""

    def __init__(self, status: int, *errors: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__("; ".join(errors) or f"HTTP {status}")
        self.status = status
        self.errors = list(errors)
        self.data = data


def invalid(message: str) -> Refusal:
    """400: the request cannot be carried out as it stands."""
    return Refusal(400, message)


def not_found() -> Refusal:
    """404 with an empty list of errors, which is how Vault says that there is nothing."""
    return Refusal(404)


def permission_denied() -> Refusal:
    """403 in Vault's own words."""
    return Refusal(403, "1 error occurred:\n\t* permission denied\n\n")


class Kind(enum.Enum):
    """Types of fields, named after Vault's ``framework.FieldType``."""

    STRING = "string"
    INT = "int"
    BOOL = "bool"
    LIST = "list"  # TypeCommaStringSlice: an array, or one comma-separated string
    DURATION = "duration"  # TypeDurationSecond: "60s", "1h", 60, "60"; handed over in seconds
    MAP = "map"
    ANY = "any"


@dataclass(frozen=True)
class Field:
    """One parameter of a path. ``allowed`` is checked on every value of a list."""

    kind: Kind = Kind.STRING
    default: Any = None
    required: bool = False
    allowed: Sequence[Any] | None = None


@dataclass
class Request:
    """A request as a backend sees it: parsed, authenticated and permitted."""

    operation: Operation
    path: str  # below the mount
    data: dict[str, Any]  # typed values of the fields that were sent, and of the captures of the path
    fields: Mapping[str, Field] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)  # parameters as they were sent, for the rare handler that cares
    namespace: str = ""  # "" is the root; otherwise "a/b/" with the trailing slash
    mount: str = ""  # "pki-external-ca/" with the trailing slash
    entity_id: str = ""
    client_token: str = ""
    wrap_ttl: int = 0  # seconds; the answer will be wrapped unless this is 0
    client_certificates: Sequence[bytes] = ()  # DER, leaf first, of a mutual TLS connection
    warnings: list[str] = field(default_factory=list)  # a handler appends to it; they reach the envelope

    def has(self, name: str) -> bool:
        """Whether the client sent this field."""
        return name in self.data

    def get(self, name: str) -> Any:
        """The value that was sent, or the field's default (a fresh copy for lists and maps)."""
        if name in self.data:
            return self.data[name]
        declared = self.fields[name].default
        if declared is None:
            return _empty(self.fields[name].kind)
        return list(declared) if isinstance(declared, (list, tuple)) else declared


@dataclass
class Login:
    """Whom an auth method has recognised, and what the token for them shall be like. Durations are in seconds."""

    alias: str  # the name that stays the same from login to login; the entity hangs on it
    display_name: str
    policies: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    ttl: int = 0  # 0: the mount's default
    max_ttl: int = 0  # 0: the mount's maximum
    explicit_max_ttl: int = 0
    period: int = 0
    num_uses: int = 0  # 0: without limit
    no_default_policy: bool = False


@dataclass
class Response:
    """An answer. Without data, auth and login it is a 204, unless ``status`` says otherwise."""

    data: Mapping[str, Any] | None = None
    auth: Mapping[str, Any] | None = None
    login: Login | None = None  # an auth method's way to ask for a token
    wrap_info: Mapping[str, Any] | None = None
    status: int | None = None
    top_level: bool = False  # True sends data alone, without the envelope, as sys/health does


Handler = Callable[[Request], Response | None]  # None is an empty answer: 404 for READ and LIST, 204 otherwise


@dataclass
class Path:
    """A row of a backend's table.

    ``pattern`` is a regular expression that must match the whole path below the mount; only a path that can be listed
    may have a slash after that, and is listed with one. Its named groups become parameters. ``exists`` tells whether
    a write is a CREATE (it returns False) or an UPDATE; without it every write is an UPDATE, as in Vault.
    ``blocking`` names the operations that talk to the network or compute for long: they run in a worker thread, all
    others on the event loop and must return at once.
    """

    pattern: str
    handlers: Mapping[Operation, Handler]  # a handler under UPDATE serves CREATE too
    fields: Mapping[str, Field] = field(default_factory=dict)
    exists: Callable[[Request], bool] | None = None
    blocking: frozenset[Operation] = frozenset()
    unauthenticated: bool = False
    sudo: bool = False

    def __post_init__(self) -> None:
        slash = "/?" if Operation.LIST in self.handlers else ""
        self.regex = re.compile(rf"^(?:{self.pattern}){slash}\Z")


class Clock(Protocol):
    """Time as the server sees it; a test may move it."""

    def now(self) -> datetime:
        """The present, aware and in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def ahead(self) -> timedelta:
        """How far it was moved ahead of real time, by which other servers go."""


class Storage(Protocol):
    """A mount's own part of the state file: JSON objects under keys such as ``role/web``.

    Reads come from memory and return fresh copies; writes are durable when they return. Safe across threads.
    """

    def get(self, key: str) -> dict[str, Any] | None:
        """The object under this key."""

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write or replace the object under this key."""

    def delete(self, key: str) -> None:
        """Remove the object under this key; nothing there is fine."""

    def keys(self, prefix: str) -> list[str]:
        """What stands behind the prefix, sorted, for every key that begins with it."""

    def clear(self) -> None:
        """Remove everything (the mount is being disabled)."""


class Templates(Protocol):
    """Identity templates, as in ACL policies (``{{identity.entity.name}}``)."""

    def render(self, text: str, entity_id: str) -> str | None:
        """The text with its templates filled in, or None where one has no value for this entity."""


class Scripts(Protocol):
    """What a test wants single orders to do; nothing by default."""

    def __call__(self, order_id: str, role_name: str = "") -> Mapping[str, Any]:
        """The script for this order: {"stay": {state: seconds}, "fail": text, "in": state}."""


@dataclass
class MountContext:
    """What the core gives to a backend that is mounted."""

    namespace: str
    mount: str
    storage: Storage
    clock: Clock
    templates: Templates
    answer: Callable[[str], str]  # answer("OQ-1") is the name of the answer in force
    script: Scripts


class Backend(Protocol):
    """A secrets engine or auth method."""

    type: str
    paths: Sequence[Path]

    def start(self) -> None:
        """Called once after mounting, and after every start of the server."""

    def stop(self) -> None:
        """Called before unmounting and at shutdown; returns when all threads have ended."""


def parse_parameters(fields: Mapping[str, Field], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values for what was sent, as Vault's framework converts them (strings are weakly typed).

    Raises a 400 that names the field for a value that does not convert, is not allowed, or is missing.
    """
    data = {
        name: _convert(name, fields[name], value)
        for name, value in raw.items()
        if name in fields and not (value is None and fields[name].kind is Kind.DURATION)  # as if it were not sent
    }
    for name, declared in fields.items():
        if declared.required and data.get(name) in (None, "", []):
            raise invalid(f"missing required field {name!r}")
    return data


def unrecognised(fields: Mapping[str, Field], raw: Mapping[str, Any]) -> list[str]:
    """Names that were sent and mean nothing here, sorted; Vault ignores them with a warning."""
    return sorted(name for name in raw if name not in fields)


def _empty(kind: Kind) -> Any:
    return {Kind.STRING: "", Kind.INT: 0, Kind.BOOL: False, Kind.LIST: [], Kind.DURATION: 0, Kind.MAP: {}}.get(kind)


def _convert(name: str, declared: Field, value: Any) -> Any:
    try:
        converted = _CONVERT[declared.kind](value)
    except (TypeError, ValueError) as error:
        raise invalid(f"Field validation failed: error converting input for field {name!r}: {error}") from None
    if declared.allowed is not None:
        for one in converted if isinstance(converted, list) else [converted]:
            if one not in declared.allowed:
                expected = ", ".join(str(one) for one in declared.allowed if one != "")
                raise invalid(f"invalid value {one!r} for field {name!r}: expected one of {expected}")
    return converted


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int, float)):
        return str(value)
    if value is None:
        return ""
    raise TypeError(f"expected type 'string', got unconvertible type '{_go_type(value)}'")


def _int(value: Any) -> int:
    number = _whole(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("value out of range")
    return number


def _whole(value: Any) -> int:
    if value in (None, ""):
        return 0
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise ValueError(f"cannot parse {value!r} as int") from None
    raise TypeError(f"expected type 'int', got unconvertible type '{_go_type(value)}'")


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, (list, dict)):
        raise TypeError(f"expected type 'bool', got unconvertible type '{_go_type(value)}'")
    text = _string(value)
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("", "0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"cannot parse {text!r} as bool")


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [_string(one).strip() for one in value]
    return [part.strip() for part in _string(value).split(",") if part.strip()]


def _map(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise TypeError(f"expected a map, got '{_go_type(value)}'")


def _go_type(value: Any) -> str:
    names = {dict: "map[string]interface {}", list: "[]interface {}", type(None): "<nil>"}
    return names.get(type(value), type(value).__name__)


_CONVERT: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.STRING: _string,
    Kind.INT: _int,
    Kind.BOOL: _bool,
    Kind.LIST: _list,
    Kind.DURATION: parse_duration,
    Kind.MAP: _map,
    Kind.ANY: lambda value: value,
}
