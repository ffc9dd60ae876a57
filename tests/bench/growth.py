# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What it costs when there is more of everything: identifiers in an order, orders in a mount."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.behaviour.harness import Bench, Engine
from tests.testbed import Devserver, Testbed
from tests.unit.running import run_main

from .report import Row

MOUNT = "pki-external-ca"


def identifier_rows(engine: Engine, testbed: Testbed, directory: Path, turns: int) -> list[Row]:
    """1, 10 and 100 identifiers in one order, from nothing to files, and read again."""
    whole, again, asked = {}, {}, {}
    for count in (1, 10, 100):
        times, requests = [], []
        for turn in range(turns):
            names = [f"i{number}.t{turn}.n{count}.example.com" for number in range(count)]
            place = directory / f"growth-{count}-{turn}"
            place.mkdir()
            engine.bench.forget_requests()
            begin = time.perf_counter()
            result = engine.run(
                "certificate",
                {
                    "role_name": engine.role,
                    "identifiers": names,
                    "http_01": {
                        "webroot": str(testbed.webroot),
                        "check_address": f"127.0.0.1:{testbed.pebble.http_port}",
                    },
                    "destination": {"fullchain": str(place / "fullchain.pem"), "private_key": str(place / "key.pem")},
                },
            )
            times.append(time.perf_counter() - begin)
            rows = engine.bench.requests_made()
            requests.append(sum(not row.path.endswith("/status") for row in rows))
        options = {"role_name": engine.role, "order_id": result["order_id"]}
        again[count] = _time(lambda options=options: engine.run("order_certificate", options), 9)  # type: ignore[misc]
        whole[count], asked[count] = median(times), max(requests)
    return [
        Row(
            "`vault_extca_certificate`, requests (without looks at the state): 1, 10, 100 identifiers",
            "two an identifier, and six",
            ", ".join(str(asked[count]) for count in asked),
            ", ".join(str(2 * count + 6) for count in asked),
            met=all(asked[count] <= 2 * count + 6 for count in asked),
        ),
        Row(
            "the same, wall in the module: 100 identifiers",
            "ten times that of 10",
            f"{whole[100]:.2f} s (1: {whole[1]:.2f} s)",
            f"{10 * whole[10]:.2f} s",
            whole[100] / (10 * whole[10]),
            1.0,
        ),
        Row(
            "`vault_extca_order_certificate` of a completed order with 100 identifiers",
            "ten times that with 10",
            f"{again[100] * 1000:.0f} ms (1: {again[1] * 1000:.0f} ms)",
            f"{10 * again[10] * 1000:.0f} ms",
            again[100] / (10 * again[10]),
            1.0,
        ),
    ]


def order_rows(testbed: Testbed, bench: Bench, directory: Path) -> list[Row]:
    """1 to 10,000 orders in the mount, and a task that must find one of them."""
    state = directory / "growth.db"
    rows = []
    measured: dict[int, dict[str, tuple[int, float]]] = {}
    for others in (1, 100, 10_000):
        for file in directory.glob("growth.db*"):
            file.unlink()
        with Devserver(state_file=state) as vault:
            own = Bench(bench.ca, testbed.pebble, testbed.challtestsrv, vault)
            own.api("POST", f"sys/mounts/{MOUNT}", {"type": "pki-external-ca"})
            engine = Engine(own, MOUNT)
            engine.furnish()
            model = engine.issue()
            wanted = engine.issue(f"wanted{others}.example.com")
            vault.stop()
            _multiply(state, model, others - 1)
            vault.start()
            measured[others] = _measure(own, engine, wanted, f"wanted{others}.example.com")
    few, many = measured[1], measured[10_000]
    for name in few:
        counts = [measured[others][name][0] for others in measured]
        rows.append(
            Row(
                f"{name}, requests: 1, 100, 10,000 orders in the mount",
                "three",
                ", ".join(map(str, counts)),
                "3",
                met=max(counts) <= 3 and len(set(counts)) == 1,
            )
        )
        rows.append(
            Row(
                f"{name}, wall in the module: 10,000 orders",
                "one order",
                f"{many[name][1] * 1000:.0f} ms",
                f"{few[name][1] * 1000:.0f} ms",
                many[name][1] / few[name][1],
                3.0,
            )
        )
    return rows


def _measure(bench: Bench, engine: Engine, order_id: str, name: str) -> dict[str, tuple[int, float]]:
    where = {"url": bench.vault.url, "token": bench.vault.token, "mount": MOUNT, "role_name": engine.role}
    uses: dict[str, tuple[str, dict[str, Any]]] = {
        "idempotent `vault_extca_order`": ("vault_extca_order", {**where, "identifiers": [name]}),
        "`vault_extca_order_certificate`": ("vault_extca_order_certificate", {**where, "order_id": order_id}),
    }
    found = {}
    for label, (module, options) in uses.items():
        bench.forget_requests()
        result = run_main(module, options)
        if result.get("failed") or result["changed"] or result["order_id"] != order_id:
            raise RuntimeError(f"{module}: {result.get('msg', 'another order was found')}")
        count = len(bench.requests_made())
        found[label] = (count, _time(lambda module=module, options=options: run_main(module, options), 21))  # type: ignore[misc]
    return found


def _time(work: Callable[[], Any], times: int) -> float:
    """Median seconds."""
    spent = []
    for _turn in range(times):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return median(spent)


def _multiply(state: Path, order_id: str, times: int) -> None:
    """Put so many copies of an order into a state file, with ids and names of their own."""
    with sqlite3.connect(state) as database:
        key, value = database.execute("SELECT key, value FROM state WHERE key LIKE ?", (f"%{order_id}",)).fetchone()
        identifier = json.loads(value)["identifiers"][0]
        for number in range(times):
            other = str(uuid.uuid4())
            text = value.replace(order_id, other).replace(f'"{identifier}"', f'"other{number}.example.com"')
            database.execute("INSERT INTO state (key, value) VALUES (?, ?)", (key.replace(order_id, other), text))
    database.close()
