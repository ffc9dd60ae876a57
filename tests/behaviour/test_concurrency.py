# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Many tasks at once for the same certificate: how many orders come of it is bounded, and told in ``docs/concurrency.md``."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.unit.running import run_main

from .harness import Engine, Result, fresh_name
from .stage import Stage

AT_ONCE = 20


def _together(name: str, given: list[dict[str, Any]]) -> list[Result]:
    """Run a module in as many processes, which begin at the same moment."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(given))
    results = context.SimpleQueue()

    def task(number: int) -> None:
        barrier.wait(60)
        try:
            results.put((number, run_main(name, given[number])))
        except BaseException as error:
            results.put((number, {"failed": True, "msg": repr(error)}))

    processes = [context.Process(target=task, args=(number,)) for number in range(len(given))]
    for process in processes:
        process.start()
    gathered = dict(results.get() for _process in processes)
    for process in processes:
        process.join(60)
    return [gathered[number] for number in range(len(given))]


def _options(engine: Engine, **rest: Any) -> dict[str, Any]:
    bench = engine.bench
    return {"url": bench.vault.url, "token": bench.vault.token, "mount": engine.mount, "role_name": engine.role, **rest}


@pytest.mark.timeout(110)
def test_orders_made_at_the_same_moment_are_one_for_each_task_at_most_and_found_by_all_who_come_later(
    engine: Engine,
) -> None:
    name = fresh_name()
    options = _options(engine, identifiers=[name])
    first = _together("vault_extca_order", [options] * AT_ONCE)
    assert [one["msg"] for one in first if one.get("failed")] == []
    made = {one["order_id"] for one in first if one["changed"]}
    assert 1 <= len(made) <= AT_ONCE
    assert {one["order_id"] for one in first} == made, "a task uses an order that none of them has made"
    assert set(engine.api("LIST", "lookup/orders")["keys"]) == made, "there are orders that no task tells of"

    later = _together("vault_extca_order", [options] * AT_ONCE)
    assert [one.get("msg") for one in later if one.get("failed") or one["changed"]] == []
    assert {one["order_id"] for one in later} <= made
    assert set(engine.api("LIST", "lookup/orders")["keys"]) == made


@pytest.mark.timeout(110)
def test_certificates_for_the_same_files_come_of_one_order(stage: Stage, tmp_path: Path) -> None:
    files = {"fullchain": str(tmp_path / "fullchain.pem"), "private_key": str(tmp_path / "key.pem")}
    options = _options(stage.engine, identifiers=[stage.known], destination=files, use_cached=False)
    before = len(stage.engine.api("LIST", "lookup/orders")["keys"])
    results = _together("vault_extca_certificate", [options] * AT_ONCE)
    assert [one["msg"] for one in results if one.get("failed")] == []
    assert len(stage.engine.api("LIST", "lookup/orders")["keys"]) == before + 1
    assert [one["changed"] for one in results].count(True) == 1
    assert len({one["serial_number"] for one in results}) == 1
    _assert_a_pair(tmp_path)


@pytest.mark.timeout(110)
def test_hosts_that_share_a_role_and_a_name_take_what_one_of_them_got(stage: Stage, tmp_path: Path) -> None:
    def files(host: int) -> dict[str, str]:
        (tmp_path / str(host)).mkdir(exist_ok=True)
        return {
            "fullchain": str(tmp_path / str(host) / "fullchain.pem"),
            "private_key": str(tmp_path / str(host) / "key.pem"),
        }

    options = [_options(stage.engine, identifiers=[stage.known], destination=files(host)) for host in range(AT_ONCE)]
    before = len(stage.engine.api("LIST", "lookup/orders")["keys"])
    results = _together("vault_extca_certificate", options)
    assert [one["msg"] for one in results if one.get("failed")] == []
    assert len(stage.engine.api("LIST", "lookup/orders")["keys"]) == before, (
        "a certificate was ordered that is in the cache"
    )
    for host in range(AT_ONCE):
        _assert_a_pair(tmp_path / str(host))


def _assert_a_pair(folder: Path) -> None:
    certificate = x509.load_pem_x509_certificate((folder / "fullchain.pem").read_bytes())
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["fullchain.pem", "key.pem"]
