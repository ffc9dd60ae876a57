# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``/dev/``: answers, faults, scripts, the clock and the log of requests. No token needed: this is for loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .framework import Refusal, invalid
from .messages import parse_json

if TYPE_CHECKING:
    from .app import VaultApp


def admin_routes(app: VaultApp) -> list[Route]:
    """The routes, for the one application whose Vault they act on."""
    vault = app.vault

    def answers(method: str, given: Any) -> Any:
        if method == "DELETE":
            vault.answers.replace({})
        elif method == "PUT":
            try:
                vault.answers.update(given)
            except ValueError as error:
                raise invalid(str(error)) from None
        return vault.answers.in_force()

    def faults(method: str, given: Any) -> Any:
        if method == "DELETE":
            app.faults.clear()
        elif method == "POST":
            fault = app.faults.add(given)
            return fault.shown()
        return {"faults": app.faults.shown()}

    def requests(method: str, given: Any) -> Any:
        if method == "DELETE":
            app.requests.clear()
        return {"total": app.requests.total, "requests": app.requests.entries()}

    def scripts(method: str, given: Any) -> Any:
        if method == "DELETE":
            vault.scripts.clear()
        elif method == "PUT":
            vault.scripts.put(given)
        return vault.scripts.in_force()

    def clock(method: str, given: Any) -> Any:
        if method == "POST":
            seconds = given.get("advance")
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
                raise invalid(f"advance is a number of seconds, not {seconds!r}")
            try:
                vault.clock.advance(seconds)
            except ValueError as error:
                raise invalid(f"advance: {error}") from None
        return {"now": vault.clock.now().isoformat()}

    def state(method: str, given: Any) -> Any:
        return vault.snapshot()

    return [
        Route("/dev/answers", _endpoint(answers), methods=["GET", "PUT", "DELETE"]),
        Route("/dev/faults", _endpoint(faults), methods=["GET", "POST", "DELETE"]),
        Route("/dev/requests", _endpoint(requests), methods=["GET", "DELETE"]),
        Route("/dev/scripts", _endpoint(scripts), methods=["GET", "PUT", "DELETE"]),
        Route("/dev/clock", _endpoint(clock), methods=["GET", "POST"]),
        Route("/dev/state", _endpoint(state), methods=["GET"]),
    ]


def _endpoint(action: Callable[[str, Any], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> JSONResponse:
        try:
            given = await _body(request) if request.method in ("PUT", "POST") else {}
            return JSONResponse(action(request.method, given))
        except Refusal as refusal:
            return JSONResponse({"errors": refusal.errors}, status_code=refusal.status)

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    try:
        given = parse_json((await request.body()).decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise invalid("the body is a JSON object")
    return given
