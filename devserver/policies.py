# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""ACL policies: their text, and what they permit.

The rules are Vault's: https://developer.hashicorp.com/vault/docs/concepts/policies. A path matches exactly, as a
prefix (a ``*`` at its end) or by segments (``+``); the most specific match alone decides; what several policies say
about the same path is merged; ``deny`` wins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hcl2

from .durations import parse_duration
from .framework import Operation

CAPABILITIES = ("create", "read", "update", "patch", "delete", "list", "sudo", "deny", "subscribe", "recover", "root")
_SHORTHAND = {
    "deny": {"deny"},
    "read": {"read", "list"},
    "write": {"create", "read", "update", "delete", "list", "patch"},
    "sudo": {"create", "read", "update", "delete", "list", "patch", "sudo"},
}
_RULE_KEYS = frozenset(
    (
        "comment",
        "policy",
        "capabilities",
        "allowed_parameters",
        "denied_parameters",
        "required_parameters",
        "min_wrapping_ttl",
        "max_wrapping_ttl",
    )
)
_CHECKED_PARAMETERS = (Operation.READ, Operation.UPDATE, Operation.CREATE)

DEFAULT_POLICY = """
# What every token may do: manage itself.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["read"] }
path "identity/entity/name/{{identity.entity.name}}" { capabilities = ["read"] }
"""


class PolicyError(ValueError):
    """A policy whose text cannot be used."""


@dataclass
class Rule:
    """What one path of one policy, or several merged, permits."""

    capabilities: set[str] = field(default_factory=set)
    allowed: dict[str, list[Any]] | None = None  # parameter to its values; None: all parameters
    denied: dict[str, list[Any]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    min_wrapping_ttl: int = 0
    max_wrapping_ttl: int = 0

    def merge(self, other: Rule) -> None:
        """Add what another policy says about the same path."""
        if "deny" in self.capabilities or "deny" in other.capabilities:
            self.capabilities = {"deny"}
            return
        self.capabilities |= other.capabilities
        # A policy that says nothing of parameters lifts no limits that another one sets.
        self.allowed = _merged(self.allowed or {}, other.allowed or {}) or None
        self.denied = _merged(self.denied, other.denied)
        self.required |= other.required
        self.max_wrapping_ttl = _lesser(self.max_wrapping_ttl, other.max_wrapping_ttl)
        self.min_wrapping_ttl = _lesser(self.min_wrapping_ttl, other.min_wrapping_ttl)

    def copy(self) -> Rule:
        """An independent copy."""
        allowed = None if self.allowed is None else dict(self.allowed)
        denied, required = dict(self.denied), set(self.required)
        return Rule(set(self.capabilities), allowed, denied, required, self.min_wrapping_ttl, self.max_wrapping_ttl)

    def permits(self, operation: Operation, parameters: Mapping[str, Any], wrap_ttl: int) -> bool:
        """Whether a request with this operation, these parameters and this wrapping is permitted."""
        if operation.value not in self.capabilities:
            return False
        if self.max_wrapping_ttl and not 0 < wrap_ttl <= self.max_wrapping_ttl:
            return False
        if wrap_ttl < self.min_wrapping_ttl or 0 < self.max_wrapping_ttl < self.min_wrapping_ttl:
            return False
        if operation not in _CHECKED_PARAMETERS:
            return True
        return self._permits_parameters({name.lower(): value for name, value in parameters.items()})

    def _permits_parameters(self, parameters: Mapping[str, Any]) -> bool:
        if not self.required <= set(parameters):
            return False
        if not parameters:
            return True
        if "*" in self.denied:
            return False
        for name, value in parameters.items():
            if name in self.denied and _denied(value, self.denied[name]):
                return False
        if not self.allowed:
            return True
        for name, value in parameters.items():
            if name not in self.allowed and "*" not in self.allowed:
                return False
            if name in self.allowed and not _allowed(value, self.allowed[name]):
                return False
        return True


@dataclass(frozen=True)
class Policy:
    """A policy as it is stored: its name, its text and the rules in it."""

    name: str
    text: str
    rules: tuple[tuple[str, Rule], ...]


def parse_policy(name: str, text: str) -> Policy:
    """Read HCL or JSON. PolicyError says which path is wrong and why."""
    return Policy(name, text, tuple(_rules(_load(text))))


class Acl:
    """Several policies together, as one token has them."""

    def __init__(self, root: bool = False) -> None:
        self.root = root
        self._exact: dict[str, Rule] = {}
        self._prefixes: dict[str, Rule] = {}
        self._segments: dict[str, Rule] = {}

    def add(self, policy: Policy, namespace: str = "", render: Callable[[str], str | None] | None = None) -> None:
        """Add a policy of this namespace. A path whose template has no value is left out, as Vault does."""
        for path, rule in policy.rules:
            if "{{" in path:
                rendered = render(path) if render is not None else None
                if rendered is None:
                    continue
                path = rendered
            self._add(namespace + path, rule)

    def _add(self, path: str, rule: Rule) -> None:
        table = self._exact
        if "+" in path.removesuffix("*").split("/"):
            table = self._segments
        elif path.endswith("*"):
            table, path = self._prefixes, path[:-1]
        if path in table:
            table[path].merge(rule)
        else:
            table[path] = rule.copy()

    def rule(self, path: str, operation: Operation | None = None) -> Rule | None:
        """The rule that decides on this path, the most specific one."""
        if path in self._exact:
            return self._exact[path]
        if operation is Operation.LIST and path.endswith("/"):
            shorter = path[:-1]
            found = self._exact.get(shorter) or self._wildcard(shorter)
            if found is not None:
                return found
        return self._wildcard(path)

    def permits(
        self, path: str, operation: Operation, parameters: Mapping[str, Any], *, wrap_ttl: int = 0, sudo: bool = False
    ) -> bool:
        """Whether a request is permitted; ``sudo`` tells that the path demands it."""
        if self.root:
            return True
        rule = self.rule(path, operation)
        if rule is None or (sudo and "sudo" not in rule.capabilities):
            return False
        return rule.permits(operation, parameters, wrap_ttl)

    def capabilities(self, path: str) -> list[str]:
        """As ``sys/capabilities`` tells them: ["root"], ["deny"] or a sorted list."""
        if self.root:
            return ["root"]
        rule = self.rule(path, Operation.LIST)
        if rule is None or "deny" in rule.capabilities or not rule.capabilities:
            return ["deny"]
        return sorted(rule.capabilities)

    def reaches_below(self, mount: str) -> bool:
        """Whether anything at all is permitted on a mount or below it."""
        if self.root:
            return True
        for table in (self._exact, self._prefixes):
            for path, rule in table.items():
                covers = path.startswith(mount) or (table is self._prefixes and mount.startswith(path))
                if covers and rule.capabilities and "deny" not in rule.capabilities:
                    return True
        parts = mount.rstrip("/").split("/")
        for path, rule in self._segments.items():
            if not rule.capabilities or "deny" in rule.capabilities:
                continue
            pattern = path.removesuffix("*").split("/")
            if all(wanted in ("+", part) for wanted, part in zip(pattern, parts, strict=False)):
                return True
        return False

    def _wildcard(self, path: str) -> Rule | None:
        best: tuple[tuple[Any, ...], Rule] | None = None
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            if prefix in self._prefixes:
                best = (_priority(length, True, 0, prefix), self._prefixes[prefix])
                break
        if self._segments:
            parts = path.split("/")
            for pattern, rule in self._segments.items():
                priority = _segment_match(pattern, parts)
                if priority is not None and (best is None or priority > best[0]):
                    best = (priority, rule)
        return best[1] if best else None


def _priority(first_wildcard: int, prefix: bool, wildcards: int, path: str) -> tuple[Any, ...]:
    """Orders matches as Vault does; the greatest decides."""
    return (first_wildcard, not prefix, -wildcards, len(path), path)


def _segment_match(pattern: str, parts: list[str]) -> tuple[Any, ...] | None:
    prefix = pattern.endswith("*")
    bare = pattern[:-1] if prefix else pattern
    wanted = bare.split("/")
    if len(parts) < len(wanted) or (not prefix and len(parts) != len(wanted)):
        return None
    last = len(wanted) - 1
    for index, (want, part) in enumerate(zip(wanted, parts, strict=False)):
        if want in ("+", part) or (prefix and index == last and part.startswith(want)):
            continue
        return None
    return _priority(pattern.index("+"), prefix, wanted.count("+"), bare)


def _merged(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Values of both; a parameter that one of them gives no values for has none, which means any value."""
    result = dict(one)
    for name, values in other.items():
        result[name] = result[name] + values if result.get(name) and values else ([] if name in result else values)
    return result


def _lesser(one: int, other: int) -> int:
    """The lesser of two wrapping TTLs, where 0 is none."""
    return min(one, other) if one and other else one or other


def _allowed(value: Any, values: list[Any]) -> bool:
    """Whether a value, or each part of a list, is among these; an empty list has every value."""
    if not values or _listed(value, values):
        return True
    return isinstance(value, (list, str)) and all(_listed(one, values) for one in _parts(value))


def _denied(value: Any, values: list[Any]) -> bool:
    """Whether a value, or any part of a list, is among these; an empty list has every value."""
    return not values or _listed(value, values) or any(_listed(one, values) for one in _parts(value))


def _parts(value: Any) -> list[Any]:
    """The parts of a list, also of one that is written as a text with commas, as every text may be."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value else []
    return value if isinstance(value, list) else []


def _listed(value: Any, values: list[Any]) -> bool:
    for candidate in values:
        if isinstance(candidate, str) and isinstance(value, str):
            if _glob(candidate, value):
                return True
        elif candidate == value:
            return True
    return False


def _glob(pattern: str, text: str) -> bool:
    """A ``*`` stands for any text at the beginning and at the end of a pattern, and for itself elsewhere."""
    if len(pattern) < 2:
        return text == pattern
    core = pattern.removeprefix("*").removesuffix("*")
    if pattern.startswith("*"):
        return core in text if pattern.endswith("*") else text.endswith(core)
    return text.startswith(core) if pattern.endswith("*") else text == pattern


def _load(text: str) -> Any:
    stripped = text.strip()
    try:
        if stripped.startswith("{"):
            return json.loads(stripped)
        return hcl2.loads(text if text.endswith("\n") else text + "\n")
    except Exception as error:  # the HCL parser has a dozen exceptions of its own and no common one
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PolicyError(f"failed to parse policy: {reason}") from None


def _rules(document: Any) -> Iterable[tuple[str, Rule]]:
    if not isinstance(document, dict):
        raise PolicyError("failed to parse policy: expected path blocks")
    unknown = sorted(key for key in document if key not in ("path", "name") and not key.startswith("__"))
    if unknown:
        raise PolicyError(f"failed to parse policy: invalid key {unknown[0]!r}")
    blocks = document.get("path", [])
    for block in blocks if isinstance(blocks, list) else [blocks]:
        if not isinstance(block, dict):
            raise PolicyError("failed to parse policy: path needs a block")
        for path, body in block.items():
            for one in body if isinstance(body, list) else [body]:
                path = _unquoted(path)
                yield path.removeprefix("/"), _rule(path, one)


def _rule(path: str, body: Any) -> Rule:
    if not isinstance(body, dict):
        raise PolicyError(f"path {path!r}: expected a block")
    body = {key: _unquoted(value) for key, value in body.items() if not key.startswith("__")}
    if "+*" in path:
        raise PolicyError(f"path {path!r}: invalid use of wildcards ('+*' is forbidden)")
    unknown = sorted(set(body) - _RULE_KEYS)
    if unknown:
        raise PolicyError(f"path {path!r}: invalid key {unknown[0]!r}")
    capabilities = set(_as_list(body.get("capabilities", [])))
    shorthand = body.get("policy")
    if shorthand is not None:
        if shorthand not in _SHORTHAND:
            raise PolicyError(f"path {path!r}: invalid policy {shorthand!r}")
        capabilities |= _SHORTHAND[shorthand]
    for capability in sorted(map(str, capabilities)):
        if capability not in CAPABILITIES or capability == "root":
            raise PolicyError(f"path {path!r}: invalid capability {capability!r}")
    if "deny" in capabilities:
        capabilities = {"deny"}
    try:
        minimum, maximum = (parse_duration(body.get(f"{which}_wrapping_ttl", 0)) for which in ("min", "max"))
    except ValueError as error:
        raise PolicyError(f"path {path!r}: {error}") from None
    if minimum and maximum and maximum < minimum:
        raise PolicyError(f"path {path!r}: max_wrapping_ttl cannot be less than min_wrapping_ttl")
    allowed = _parameters(path, body.get("allowed_parameters"))
    denied = _parameters(path, body.get("denied_parameters")) or {}
    required = {str(name).lower() for name in _as_list(body.get("required_parameters", []))}
    return Rule(capabilities, allowed, denied, required, minimum, maximum)


def _parameters(path: str, value: Any) -> dict[str, list[Any]] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise PolicyError(f"path {path!r}: parameters need a map of lists")
    return {_unquoted(name).lower(): _as_list(values) for name, values in value.items() if not name.startswith("__")}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set)) else [value]


def _unquoted(value: Any) -> Any:
    """The HCL parser hands strings over with their quotation marks."""
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return json.loads(value) if "\\" in value else value[1:-1]
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(one) for key, one in value.items()}
    return value
