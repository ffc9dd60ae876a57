# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Which types can be mounted, and what makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .auth_methods.approle import AppRole
from .auth_methods.client_certificates import Certificates
from .auth_methods.passwords import Ldap, UserPass
from .auth_methods.signed_tokens import Jwt, Kubernetes
from .engine.backend import ExternalCaBackend
from .framework import Backend, MountContext
from .identity_backend import IdentityBackend
from .mounts import Namespace
from .system import SystemBackend
from .token_backend import TokenBackend

if TYPE_CHECKING:
    from .vault import Vault

Factory = Callable[[MountContext], Backend]


SECRETS_ENGINES: Mapping[str, Factory] = {"pki-external-ca": ExternalCaBackend}
AUTH_METHODS: Mapping[str, Factory] = {
    "approle": AppRole,
    "cert": Certificates,
    "jwt": Jwt,
    "kubernetes": Kubernetes,
    "ldap": Ldap,
    "userpass": UserPass,
}

#: What every namespace has without being asked; these know the whole Vault.
CORE: Mapping[str, Callable[[Vault, Namespace], Backend]] = {
    "system": SystemBackend,
    "identity": IdentityBackend,
    "token": TokenBackend,
}
