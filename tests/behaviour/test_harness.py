# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The stage itself: a certificate from end to end, in-process and as a playbook."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from .harness import Bench, Engine, Played, Requested, fresh_name


@pytest.mark.parametrize("challenge_type", ["http-01", "dns-01", "tls-alpn-01"])
def test_an_order_becomes_a_certificate(engine: Engine, challenge_type: str) -> None:
    name = fresh_name()
    order_id = engine.order(name)
    engine.fulfil(order_id, challenge_type)
    result = engine.run("order_certificate", {"role_name": "web", "order_id": order_id})
    assert result["identifiers"] == [name]
    assert result["serial_number"] == engine.fetch(order_id)["serial_number"]


def test_requests_are_counted(engine: Engine, requests_made: Callable[[], list[Requested]]) -> None:
    order_id = engine.issue()
    engine.bench.forget_requests()
    engine.run("order_certificate", {"role_name": "web", "order_id": order_id})
    order = f"{engine.mount}/role/web/order/{order_id}"
    assert [(one.method, one.path, one.status) for one in requests_made()] == [
        ("GET", f"{order}/status", 200),
        ("GET", f"{order}/fetch-cert", 200),
    ]


def test_faults_answers_and_scripts_end_with_their_block(
    bench: Bench,
    answers: Callable[..., AbstractContextManager[None]],
    faults: Callable[..., AbstractContextManager[None]],
    scripts: Callable[..., AbstractContextManager[None]],
) -> None:
    with answers({"OQ-1": "404"}), faults({"kind": "seal", "path": "nowhere"}), scripts({"role": "x", "fail": "no"}):
        assert bench.dev("GET", "answers")["OQ-1"] == "404"
        assert len(bench.dev("GET", "faults")["faults"]) == 1
        assert bench.dev("GET", "scripts")["roles"] == {"x": {"fail": "no"}}
    assert bench.dev("GET", "answers")["OQ-1"] == "400"
    assert bench.dev("GET", "faults")["faults"] == []
    assert bench.dev("GET", "scripts")["roles"] == {}


def test_a_playbook_sees_the_same_vault(engine: Engine, run_playbook: Callable[..., Played]) -> None:
    order_id = engine.issue()
    task = {"mount": engine.mount, "role_name": "web", "order_id": order_id, "facts": "none"}
    tasks = [{"name": "Fetch", "certops.vault_extca.vault_extca_order_certificate": task}]
    played = run_playbook(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    assert played.status == 0, played.output
    assert "ok=1 " in played.output
