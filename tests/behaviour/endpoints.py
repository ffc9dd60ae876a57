# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The endpoints of the contract, and which of them a request is for."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

CONTRACT = Path(__file__).resolve().parents[1] / "devserver" / "contract" / "pki-external-ca.openapi.yaml"
CAPABILITIES = {"GET": "read", "LIST": "list", "POST": "update", "PUT": "update", "DELETE": "delete"}
_VERBS = {"get": "GET", "x-list": "LIST", "post": "POST", "delete": "DELETE"}


@functools.cache
def documented() -> dict[str, tuple[str, ...]]:
    """Every path of the contract with its methods."""
    paths = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))["paths"]
    return {path: tuple(_VERBS[verb] for verb in _VERBS if verb in item) for path, item in paths.items()}


def engine_endpoints() -> Iterator[tuple[str, str]]:
    """(method, path) of everything that the engine itself serves."""
    for path, methods in documented().items():
        if path.startswith("/{mount}/"):
            yield from ((method, path) for method in methods)


def capability_of(method: str) -> str:
    """What Vault asks for; a POST that creates asks for ``create`` where the path can tell."""
    return CAPABILITIES[method]


def template_of(path: str, mount: str) -> str:
    """The contract's path of a request's path (below /v1/). LookupError for one that the contract does not have."""
    for template in sorted(documented(), key=lambda one: (one.count("{"), one)):
        if _pattern(template, mount).fullmatch("/" + path):
            return template
    raise LookupError(f"the contract has no {path}")


@functools.cache
def _pattern(template: str, mount: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", template)
    return re.compile(
        "".join(
            re.escape(mount) if part in ("{mount}", "{path}") else "[^/]+" if part.startswith("{") else re.escape(part)
            for part in parts
        )
    )
