# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What can go wrong, in one table: how to bring it about, and what a task must say about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from .pitfalls import Pitfalls
from .stage import Stage

Options = Mapping[str, Any]
TRY_LATER = "set retries"
# The states in which an order is held up.
UNDER_WAY = ("new", "submitted", "awaiting-challenge-fulfillment", "fetching-certificate")


@dataclass(frozen=True)
class Fault:
    """A row. ``cause`` and ``remedy`` are regular expressions that the message of a task that fails must match.

    Exactly one of the ways to bring it about: ``spec``, for the development Vault; ``place``, options that lead a task into
    it; ``meanwhile``, what happens while a task waits.
    """

    title: str
    cause: str
    remedy: str
    spec: Options | None = None
    place: Callable[[Stage, Pitfalls], Options] | None = None
    meanwhile: Callable[[Stage], None] | None = None
    passes: bool = False  # the kind of trouble that may be over in a moment: who waits must survive it
    endless: bool = False  # only the task's own patience ends it
    harmless: bool = False  # nobody should notice
    own_token: bool = False  # spoils the token of the task
    timeout: float = 1.0  # seconds that the task gives each request
    nothing: bool = False  # one of the ways in which Vault says that there is no such thing


def _status(status: int, body: Any, **headers: str) -> Options:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": status, "body": body, "headers": given}


def _errors(*texts: str) -> Options:
    return {"errors": list(texts)}


HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>nginx</body></html>"


def _restart(stage: Stage) -> None:
    stage.restart()


def _seal_for_a_while(stage: Stage) -> None:
    stage.bench.dev("POST", "faults", {"kind": "seal", "path": "", "count": 4})


# Pebble's time stands still meanwhile, and its orders live for a day: all jumps of a test run together must stay well below.
def _expire_tokens(stage: Stage) -> None:
    stage.advance(660)


def _jump(stage: Stage) -> None:
    """Vault's clock ten minutes ahead, this host's wall clock a day back."""
    stage.advance(600)
    real = time.time
    # The matrix stops all patches after each run.
    mock.patch("time.time", side_effect=lambda: real() - 86400).start()


def _let_orders_fail(stage: Stage) -> None:
    stage.bench.dev("PUT", "scripts", {"fail": "the CA is on holiday"})


def _hold_orders_up(stage: Stage) -> None:
    stage.bench.dev("PUT", "scripts", {"stay": dict.fromkeys(UNDER_WAY, 10**6)})


FAULTS = (
    Fault(
        "connection reset",
        "cannot be reached: .*(reset|aborted)",
        "Check that it runs",
        spec={"kind": "reset"},
        passes=True,
    ),
    Fault(
        "port closed for a moment",
        "cannot be reached: .*(refused|reset|aborted)",
        "Check that it runs",
        spec={"kind": "refuse", "delay": 0.05},
        passes=True,
    ),
    Fault(
        "connection refused",
        "cannot be reached: Connection refused",
        "Check that it runs and that url",
        place=lambda stage, pits: {"url": pits.closed},
    ),
    Fault("answer late, within timeout", "", "", spec={"kind": "delay", "delay": 0.05}, harmless=True),
    Fault(
        "no answer (read timeout)",
        "did not answer within [0-9.]+ s",
        "Check its load, or set timeout",
        timeout=0.4,
        spec={"kind": "hang", "delay": 20},
        passes=True,
    ),
    Fault(
        "connection timeout",
        "did not accept a connection within [0-9.]+ s",
        "Check address, port and firewall",
        place=lambda stage, pits: {"url": pits.full},
        timeout=0.4,
    ),
    Fault("host name unknown", "cannot be resolved", "Check url", place=lambda stage, pits: {"url": pits.unknown_name}),
    Fault(
        "proxy refuses",
        "proxy .*cannot be used: .*407",
        "Check proxies",
        # A proxy is only asked to connect for https.
        place=lambda stage, pits: {"url": pits.wrong_ca, "proxies": {"https": pits.proxy}},
    ),
    Fault(
        "proxy refuses, for http",
        "answered 407 ",
        "Check proxies",
        # Here it answers in Vault's place.
        place=lambda stage, pits: {"url": stage.vault.url, "proxies": {"http": pits.proxy}},
    ),
    Fault(
        "wrong CA",
        "cannot be trusted: .*certificate verify failed: (unable to get local issuer|self.signed)",
        "Set ca_cert",
        place=lambda stage, pits: {"url": pits.wrong_ca, "ca_cert": str(pits.ca)},
    ),
    Fault(
        "server certificate expired",
        "cannot be trusted: .*expired",
        "Renew the certificate of Vault's listener",
        place=lambda stage, pits: {"url": pits.expired, "ca_cert": str(pits.ca)},
    ),
    Fault(
        "server certificate of another name",
        "cannot be trusted: .*[Hh]ost ?name",
        "Use in url a name that the certificate holds",
        place=lambda stage, pits: {"url": pits.mismatch, "ca_cert": str(pits.ca)},
    ),
    Fault(
        "https to a port that speaks http",
        "cannot be trusted: .*(WRONG_VERSION|wrong version|record layer)",
        "begin with http://",
        place=lambda stage, pits: {"url": pits.plain},
    ),
    Fault(
        "400",
        "answered 400 .*unhappy",
        "Correct what it names",
        spec=_status(400, _errors("unhappy")),
        nothing=True,
    ),
    Fault(
        "403",
        "answered 403 .*permission denied",
        "Check the token and its policies|lacks",
        spec=_status(403, _errors("1 error occurred:\n\t* permission denied\n\n")),
    ),
    Fault(
        "404, no such mount",
        "answered 404 .*no handler for route",
        "Check mount, namespace and url",
        spec=_status(404, _errors("no handler for route. route entry not found.")),
    ),
    Fault(
        "412",
        "answered 412 .*required index state",
        TRY_LATER,
        spec=_status(412, _errors("required index state not present")),
        passes=True,
    ),
    Fault(
        "429 with Retry-After",
        "answered 429 .*rate limit",
        TRY_LATER,
        spec=_status(429, _errors("request path: rate limit quota exceeded"), Retry_After="1"),
        passes=True,
    ),
    Fault("500", "answered 500 .*internal error", TRY_LATER, spec=_status(500, _errors("internal error")), passes=True),
    Fault(
        "502, HTML of a load balancer",
        "answered 502 .*text/html",
        "load balancer",
        spec=_status(502, HTML, Content_Type="text/html"),
        passes=True,
    ),
    Fault(
        "503, HTML of a load balancer",
        "answered 503 .*text/html",
        "load balancer",
        spec=_status(503, HTML, Content_Type="text/html"),
        passes=True,
    ),
    Fault("sealed", "answered 503 .*[Vv]ault is sealed", "Unseal it", spec={"kind": "seal"}, passes=True),
    Fault(
        "JSON cut short",
        "answered 200 .* bytes of application/json instead",
        "Check that url is Vault's address",
        spec=_status(200, '{"request_id": "1", "data": {"order_st'),
        passes=True,
    ),
    Fault(
        "empty 200",
        "answered 200 .*an empty body",
        "Check that url is Vault's address",
        spec=_status(200, ""),
        passes=True,
    ),
    Fault(
        "HTML with status 200",
        "answered 200 .*text/html instead",
        "Check that url is Vault's address",
        spec=_status(200, HTML, Content_Type="text/html"),
        passes=True,
    ),
    Fault("redirect to another port of the host (standby)", "", "", spec={"kind": "redirect"}, harmless=True),
    Fault(
        "redirect to another host",
        "redirects to http://active.example.com:8200, another place",
        "set url to it",
        spec={"kind": "redirect", "location": "http://active.example.com:8200"},
    ),
    Fault(
        "token revoked",
        "answered 403 ",
        "Check the token and its policies",
        spec={"kind": "revoke-token"},
        own_token=True,
    ),
    Fault(
        "token expires during a wait",
        "answered 403 ",
        "Check the token and its policies",
        meanwhile=_expire_tokens,
        own_token=True,
    ),
    Fault("server restarts during a wait", "", "", meanwhile=_restart, passes=True),
    Fault("server is sealed and unsealed during a wait", "", "", meanwhile=_seal_for_a_while, passes=True),
    Fault("clocks jump during a wait", "", "", meanwhile=_jump, passes=True),
    Fault(
        "the order fails during a wait",
        "ended as error: the CA is on holiday",
        "Mend what the error names, then create a new order",
        meanwhile=_let_orders_fail,
    ),
    Fault(
        "the order gets no further",
        "is still [a-z-]+ after [0-9.]+ s",
        "check directory_url and trusted_ca of the ACME account",
        meanwhile=_hold_orders_up,
        endless=True,
    ),
)
