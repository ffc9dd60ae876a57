# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""No private key and no shared secret reaches a log or an error text."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.devserver.engine.harness import Server, Services, fresh

PRIVATE = re.compile(r"PRIVATE KEY|MH[cs]CAQEE")


def test_nothing_in_the_most_talkative_log(
    with_bind: Services, servers: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = servers(with_bind)
    hmac_key = secrets.token_urlsafe(32)
    eab = with_bind.account(eab_kid="kid", eab_key=hmac_key)
    assert hmac_key not in server.refused("POST", "config/acme-account/bound", **eab)
    server.prepare()
    server.provider()
    backend: Any = server.vault.namespaces[""].mounts["pki-external-ca/"].backend
    account_key = backend._accounts._storage.get("acme-account/le")["account_keys"]["0"]["pem"]
    order_id = server.order(fresh("dyn.example.com"))
    server.wait(order_id, "completed")
    server.provider(tsig_secret="d3Jvbmctd3Jvbmctd3Jvbmc=")
    failed = server.wait(server.order(fresh("dyn.example.com")), "error")
    server.ok("POST", "config/acme-account/le/rotate-key")
    key = server.fetch(order_id)["private_key"]
    assert with_bind.bind is not None
    told = "\n".join([*(record.getMessage() for record in caplog.records), failed["last_error"], caplog.text])
    assert len(caplog.records) > 5
    for secret in (
        *(account_key.splitlines()[1], key.splitlines()[1], hmac_key),
        *(with_bind.bind.keys["hmac-sha256"].secret, "d3Jvbmctd3Jvbmctd3Jvbmc="),
    ):
        assert secret not in told
    assert not PRIVATE.search(told)
