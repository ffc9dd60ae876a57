# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``?help=1``: what is there and what it takes, as ``vault path-help`` shows it. Every token may ask."""

from __future__ import annotations

import inspect

from .framework import Field, Handler, Path, Refusal
from .messages import HttpAnswer, HttpRequest, json_body
from .mounts import Mount
from .router import match, no_route, unknown_token
from .vault import Vault


def is_asked_for(message: HttpRequest) -> bool:
    """Whether the request wants to know about its path instead of doing something there."""
    return "help=" in message.query and bool(message.query_parameters().get("help"))


def answer(vault: Vault, message: HttpRequest) -> HttpAnswer:
    """``help`` for a path, or for all of a mount, without an envelope. Raises the Refusal that the client gets."""
    if vault.sealed:
        raise Refusal(503, "Vault is sealed")
    namespace, path = vault.resolve(message.headers.get("x-vault-namespace", ""), message.path)
    mount = namespace.mount_of(path)
    below = "" if mount is None else path[len(mount.entry.route) :].rstrip("/")
    row, _captures = match(mount, path) if mount is not None else (None, {})
    if row is None or not row.unauthenticated:
        token = vault.tokens.lookup(message.token())
        if token is None:
            raise unknown_token(message.token())
        if vault.tokens.use(token):
            vault.tokens.revoke(token)
    if mount is not None and not below:
        text = _about_mount(mount)
    elif row is not None:
        text = _about_path(below, row)
    else:
        raise no_route(mount, path)
    return HttpAnswer(200, json_body({"help": text, "see_also": None}))


def _about_mount(mount: Mount) -> str:
    lines = ["## DESCRIPTION", "", _said_of(type(mount.backend)), "", "## PATHS", ""]
    for row in sorted(mount.backend.paths, key=lambda one: one.pattern):
        lines += [f"    {_route(row)}", f"        {_synopsis(row)}", ""]
    return "\n".join(lines)


def _about_path(below: str, row: Path) -> str:
    lines = [f"Request:        {below}", f"Matching Route: {_route(row)}", "", "## OPERATIONS", ""]
    lines += [f"    {operation.value:8}{_said_of(handler)}" for operation, handler in row.handlers.items()]
    if row.fields:
        lines += ["", "## PARAMETERS", ""]
        lines += [f"    {name} ({_type(field)})" for name, field in sorted(row.fields.items())]
    return "\n".join([*lines, ""])


def _route(row: Path) -> str:
    return f"^{row.pattern}$"


def _type(field: Field) -> str:
    parts = [field.kind.value]
    if field.required:
        parts.append("required")
    if field.default is not None:
        default = field.default if isinstance(field.default, (list, tuple)) else [field.default]
        parts.append(f"default: {', '.join(map(str, default))}")
    if field.allowed is not None:
        parts.append(f"one of: {', '.join(str(one) for one in field.allowed if one)}")
    return "; ".join(parts)


def _synopsis(row: Path) -> str:
    return " ".join(_said_of(handler) for handler in row.handlers.values())


def _said_of(thing: Handler | type) -> str:
    return (inspect.getdoc(thing) or "<no description>").partition("\n")[0]
