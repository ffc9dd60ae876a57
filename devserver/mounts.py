# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Namespaces and what is mounted in them."""

from __future__ import annotations

import secrets
import string
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from .framework import Backend
from .policies import Policy
from .tokens import DEFAULT_TTL

_VERSION = "v2.1.0+builtin.vault"


@dataclass
class MountEntry:
    """What is remembered of a mount."""

    path: str  # "pki-external-ca/", for an auth method "approle/", each with the trailing slash
    type: str
    namespace: str
    is_auth: bool = False
    description: str = ""
    default_lease_ttl: int = 0  # seconds; 0 is the system's default
    max_lease_ttl: int = 0
    config: dict[str, Any] = field(default_factory=dict)  # further tunables, as they were given
    options: dict[str, str] | None = None
    local: bool = False
    seal_wrap: bool = False
    external_entropy_access: bool = False
    accessor: str = ""
    uuid: str = ""
    built_in: bool = False  # sys/, identity/ and auth/token/: they come with the namespace

    def __post_init__(self) -> None:
        if not self.accessor:
            prefix = f"auth_{self.type}" if self.is_auth else self.type
            self.accessor = f"{prefix}_{secrets.token_hex(4)}"
        self.uuid = self.uuid or str(uuid.uuid4())

    @property
    def route(self) -> str:
        """Where requests find it below the namespace."""
        return f"auth/{self.path}" if self.is_auth else self.path

    def default_ttl(self) -> int:
        """Seconds that a token of this auth method lives, unless something says otherwise."""
        return self.default_lease_ttl or min(DEFAULT_TTL, self.max_ttl())

    def max_ttl(self) -> int:
        """Seconds that a token of this auth method lives at most."""
        return self.max_lease_ttl or DEFAULT_TTL

    def describe(self) -> dict[str, Any]:
        """As `sys/mounts` and `sys/auth` show it."""
        shown: dict[str, Any] = {
            "accessor": self.accessor,
            "config": {
                "default_lease_ttl": self.default_lease_ttl,
                "force_no_cache": False,
                "max_lease_ttl": self.max_lease_ttl,
                **({"token_type": "default-service"} if self.is_auth else {}),
                **self.config,
            },
            "deprecation_status": "supported",
            "description": self.description,
            "external_entropy_access": self.external_entropy_access,
            "local": self.local,
            "options": self.options,
            "plugin_version": "",
            "running_plugin_version": _VERSION,
            "running_sha256": "",
            "seal_wrap": self.seal_wrap,
            "type": self.type,
            "uuid": self.uuid,
        }
        return shown

    def tuning(self) -> dict[str, Any]:
        """As `sys/mounts/<path>/tune` shows it; TTLs are the effective ones there."""
        shown: dict[str, Any] = {
            "default_lease_ttl": self.default_ttl(),
            "description": self.description,
            "force_no_cache": False,
            "max_lease_ttl": self.max_ttl(),
            **({"token_type": "default-service"} if self.is_auth else {}),
            **self.config,
        }
        if self.options is not None:
            shown["options"] = self.options
        return shown

    def stored(self) -> dict[str, Any]:
        """As it goes into the state."""
        return asdict(self)


@dataclass
class Mount:
    """A mount at work."""

    entry: MountEntry
    backend: Backend


@dataclass
class Namespace:
    """A namespace: its own mounts and policies, and everything below them."""

    path: str  # "" is the root; otherwise "a/b/"
    id: str = "root"
    uuid: str = ""
    custom_metadata: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, Mount] = field(default_factory=dict)  # by route
    policies: dict[str, Policy] = field(default_factory=dict)

    def mount_of(self, path: str) -> Mount | None:
        """The mount with the longest route that begins this path."""
        end = len(path)
        if path and not path.endswith("/"):
            whole = self.mounts.get(path + "/")
            if whole is not None:
                return whole
        while end > 0:
            end = path.rfind("/", 0, end)
            if end < 0:
                return None
            mount = self.mounts.get(path[: end + 1])
            if mount is not None:
                return mount
        return None

    def conflict(self, route: str) -> str | None:
        """The route of a mount that this one would hide, or be hidden by."""
        for existing in self.mounts:
            if route.startswith(existing) or existing.startswith(route):
                return existing
        return None


def new_namespace(path: str) -> Namespace:
    """A namespace with an id of its own."""
    letters = string.ascii_letters + string.digits
    return Namespace(path, id="".join(secrets.choice(letters) for _letter in range(5)), uuid=str(uuid.uuid4()))
