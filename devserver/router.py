# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""From an HTTP request to a backend and back: namespace, token, policies, parameters, envelope, wrapping."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .durations import parse_duration
from .framework import (
    Field,
    Kind,
    Operation,
    Path,
    Refusal,
    Request,
    Response,
    invalid,
    parse_parameters,
    permission_denied,
    unrecognised,
)
from .messages import HttpAnswer, HttpRequest, envelope, error_answer, json_body
from .mounts import Mount, Namespace
from .tokens import Token, auth_block
from .vault import Vault

_log = logging.getLogger("devserver")

_OPERATIONS = {
    "GET": Operation.READ,
    "HEAD": Operation.READ,
    "LIST": Operation.LIST,
    "POST": Operation.UPDATE,
    "PUT": Operation.UPDATE,
    "DELETE": Operation.DELETE,
}
_WRITES = (Operation.CREATE, Operation.UPDATE)
_WHILE_SEALED = frozenset(("sys/health", "sys/seal-status", "sys/unseal", "sys/leader", "sys/init"))
_OF_THE_TOKEN = frozenset(("auth/token/lookup-self", "auth/token/renew-self", "auth/token/revoke-self"))
_OF_WRAPPING = frozenset(("sys/wrapping/unwrap", "sys/wrapping/lookup", "sys/wrapping/rewrap"))
# Here Vault repeats the data beside the envelope, for clients older than the envelope.
_REPEATED = re.compile(
    r"sys/(auth|mounts|policy|capabilities|capabilities-self|capabilities-accessor|wrapping/wrap)(/|$)"
)
_EMPTY: Mapping[str, Any] = {}
_LIST_PARAMETER = {"list": Field(Kind.BOOL)}


@dataclass
class Call:
    """A request that has been admitted and waits for its handler."""

    namespace: Namespace
    mount: Mount
    path: Path
    request: Request
    full_path: str
    token: Token | None
    last_use: bool
    wrap_ttl: int
    blocking: bool

    def run(self) -> Response | None:
        """Let the backend do its work. The only part that may run on another thread."""
        handler = self.path.handlers.get(self.request.operation) or self.path.handlers[Operation.UPDATE]
        return handler(self.request)


def attempt(call: Call) -> Response | Refusal | None:
    """Run the handler; its refusal is a result like any other, and a bug is a 500 and a line in the log."""
    try:
        return call.run()
    except Refusal as refusal:
        return refusal
    except Exception:
        _log.exception("%s %s failed", call.request.operation.name, call.full_path)
        return Refusal(500, "internal error")


def admit(vault: Vault, message: HttpRequest) -> Call:
    """Everything before the handler. Raises the Refusal that the client gets."""
    operation, parameters, path = _understand(message)
    header = message.headers.get("x-vault-namespace", "")
    namespace, path = vault.resolve(header, path)
    if vault.sealed and path.rstrip("/") not in _WHILE_SEALED:
        raise Refusal(503, "Vault is sealed")
    if operation in _WRITES and path.endswith("/"):
        raise invalid("cannot write to a path ending in '/'")
    if ".." in path.split("/"):
        raise invalid("relative paths not supported")
    if operation is Operation.LIST and not path.endswith("/"):
        path += "/"

    bare = path.rstrip("/")
    token = vault.tokens.lookup(message.token())
    if token is not None and bare in _OF_THE_TOKEN:
        namespace = vault.namespaces[token.namespace]
    if bare in _OF_WRAPPING:
        vault.lookup_wrapped(str(parameters.get("token") or message.token()))
    mount = namespace.mount_of(path)
    route, captures = match(mount, path) if mount is not None else (None, _EMPTY)
    wrap_ttl = _wrap_ttl(message)
    request = Request(
        operation=operation,
        path=bare[len(mount.entry.route) :] if mount is not None else bare,
        data=dict(captures),
        fields=route.fields if route is not None else {},
        raw=parameters,
        namespace=namespace.path,
        mount=mount.entry.route if mount is not None else "",
        client_token=token.id if token is not None else message.token(),
        entity_id=token.entity_id if token is not None else "",
        wrap_ttl=wrap_ttl,
        client_certificates=message.client_certificates,
    )
    last_use = False
    if route is None or not route.unauthenticated:
        if token is None:
            raise unknown_token(message.token())
        if route is not None:
            _settle_create(route, request)
        last_use = vault.tokens.use(token)
        sudo = route is not None and route.sudo
        full = namespace.path + path
        try:
            _check_entity(vault, token)
            if not vault.acl(token).permits(full, request.operation, parameters, wrap_ttl=wrap_ttl, sudo=sudo):
                raise permission_denied()
            if mount is None or route is None:
                raise no_route(mount, path)
            _check_supported(route, request)
            _type_parameters(request, parameters, captures)
        except Refusal:
            if last_use:
                vault.tokens.revoke(token)
            raise
    else:
        assert mount is not None
        _check_supported(route, request)
        _type_parameters(request, parameters, captures)
    blocking = request.operation in route.blocking
    return Call(namespace, mount, route, request, path, token, last_use, wrap_ttl, blocking)


def finish(vault: Vault, call: Call, result: Response | Refusal | None) -> HttpAnswer:
    """Everything after the handler: a token for a login, the envelope, wrapping, the end of a used-up token."""
    if call.last_use and call.token is not None:
        vault.tokens.revoke(call.token)
    if isinstance(result, Refusal):
        return error_answer(result)
    if result is None:
        is_read = call.request.operation in (Operation.READ, Operation.LIST)
        return error_answer(Refusal(404)) if is_read else HttpAnswer(204)
    try:
        return _respond(vault, call, result)
    except Refusal as refusal:
        return error_answer(refusal)


def _respond(vault: Vault, call: Call, response: Response) -> HttpAnswer:
    if response.top_level:
        return HttpAnswer(response.status or 200, json_body(response.data))
    auth = response.auth
    if response.login is not None:
        token = vault.log_in(call.namespace, call.mount.entry, call.full_path, response.login)
        auth = auth_block(token, vault.clock.now().timestamp(), vault.identity_policies(token))
    nothing = response.data is None and auth is None and response.wrap_info is None
    if nothing and (response.status == 204 or (response.status is None and not call.request.warnings)):
        return HttpAnswer(204)
    data = response.data
    if call.request.operation is Operation.LIST and data is not None and data.get("keys", ...) == []:
        return error_answer(Refusal(404))
    if not nothing:
        ignored = unrecognised(call.request.fields, call.request.raw)
        if ignored:
            call.request.warnings.append(f"Endpoint ignored these unrecognized parameters: [{' '.join(ignored)}]")
        replaced = sorted(name for name in call.path.regex.groupindex if call.request.raw.get(name) is not None)
        if replaced:
            call.request.warnings.append(
                "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: "
                f"[{' '.join(replaced)}]"
            )
    body = envelope(
        data=data,
        auth=auth,
        wrap_info=response.wrap_info,
        warnings=call.request.warnings,
        mount_type=call.mount.entry.type,
    )
    if call.wrap_ttl and not nothing and response.wrap_info is None:
        accessor = str(auth["accessor"]) if auth else ""
        wrap_info = vault.wrap(call.namespace, call.full_path, call.wrap_ttl, body, accessor)
        body = envelope(wrap_info=wrap_info, warnings=call.request.warnings, mount_type=call.mount.entry.type)
    elif data is not None and call.mount.entry.type == "system" and _REPEATED.match(call.full_path):
        body = {**data, **body}
    return HttpAnswer(response.status or 200, json_body(body))


def _understand(message: HttpRequest) -> tuple[Operation, dict[str, Any], str]:
    operation = _OPERATIONS.get(message.method)
    if operation is None:
        raise Refusal(405)
    if operation in _WRITES:
        return operation, message.body_parameters(), message.path
    parameters = message.query_parameters() if message.query else {}
    listing = parameters.pop("list", None)
    if operation is Operation.READ and listing is not None:
        try:
            is_list = parse_parameters(_LIST_PARAMETER, {"list": listing})["list"]
        except Refusal:
            raise invalid(f"failed to parse list parameter: {listing!r} is not a boolean") from None
        if is_list:
            operation = Operation.LIST
    return operation, parameters, message.path


def match(mount: Mount, path: str) -> tuple[Path | None, Mapping[str, Any]]:
    """The row of the mount's table that this path belongs to, and what its pattern captures."""
    below = path[len(mount.entry.route) :]
    for candidate in mount.backend.paths:
        found = candidate.regex.match(below)
        if found is not None:
            return candidate, {name: value for name, value in found.groupdict().items() if value is not None}
    return None, _EMPTY


def _settle_create(route: Path, request: Request) -> None:
    """Vault asks the backend whether a write creates; without an answer it is an update."""
    if request.operation is Operation.UPDATE and route.exists is not None and not route.exists(request):
        request.operation = Operation.CREATE


def _type_parameters(request: Request, parameters: Mapping[str, Any], captures: Mapping[str, Any]) -> None:
    """What the path captured wins over a parameter of the same name."""
    request.data = {**parse_parameters(request.fields, {**parameters, **captures}), **captures}


def _check_supported(route: Path, request: Request) -> None:
    supported = request.operation in route.handlers
    if not supported and not (request.operation is Operation.CREATE and Operation.UPDATE in route.handlers):
        raise Refusal(405, "1 error occurred:\n\t* unsupported operation\n\n")


def no_route(mount: Mount | None, path: str) -> Refusal:
    """404 for a path that nothing is mounted at, or that the mount does not have."""
    if mount is None:
        return Refusal(404, f'no handler for route "{path}". route entry not found.')
    return Refusal(404, "1 error occurred:\n\t* unsupported path\n\n")


def unknown_token(token: str) -> Refusal:
    """403 for no token, or one that does not live."""
    if not token:
        return Refusal(403, "permission denied")
    return Refusal(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")


def _check_entity(vault: Vault, token: Token) -> None:
    if token.entity_id:
        entity = vault.identity.entity(token.entity_id)
        if entity is None or entity.disabled:
            raise permission_denied()


def _wrap_ttl(message: HttpRequest) -> int:
    asked = message.headers.get("x-vault-wrap-ttl")
    if not asked:
        return 0
    try:
        ttl = parse_duration(asked)
    except ValueError as error:
        raise invalid(f"error parsing X-Vault-Wrap-TTL: {error}") from None
    if ttl < 0:
        raise invalid("requested wrap ttl cannot be negative")
    return ttl
