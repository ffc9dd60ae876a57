# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.soak [NUMBER]``: certificates in a row, with an eye on memory and on the time of each task.

The figures of a full run are written to ``docs/soak.md``; the exit status is 1 where they are not flat.
"""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.behaviour.harness import Bench, Engine, fresh_name
from tests.testbed import ChallengeTestServer, Devserver, Pebble, PebbleOptions, PrivateCa
from tests.tools.tree import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "soak.md"
FULL = 2000
BLOCKS = 10
# The last block against the second one, as the first holds everybody's warming up.
SLOWER_AT_MOST = 1.25
# Vault keeps every order with its chain and key; what a run leaves beyond some 30 kB an order would be a leak.
SERVER_KIB_PER_ORDER = 40.0
TASKS_KIB_PER_ORDER = 2.0
TASKS = ("order", "order_challenge_info", "order_challenge_fulfilled", "order_certificate")


@dataclass
class Block:
    """The figures of a tenth of the run: median milliseconds by task, resident memory (KiB) at its end."""

    until: int
    milliseconds: dict[str, float]
    server: int
    tasks: int


def resident(pid: int | str) -> int:
    """A process's resident memory in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError(f"process {pid} has no resident memory")


def issue(engine: Engine, times: dict[str, list[float]]) -> None:
    """One certificate by the four tasks of a playbook, each timed."""

    def task(name: str, options: dict[str, Any]) -> dict[str, Any]:
        start = time.perf_counter()
        result = engine.run(name, options)
        times[name].append((time.perf_counter() - start) * 1000)
        return result

    order = task("order", {"role_name": "web", "identifiers": [fresh_name()]})
    reference = {"role_name": "web", "order_id": order["order_id"]}
    found = task("order_challenge_info", {**reference, "challenge_type": "http-01"})["challenges"][0]
    engine.bench.challtestsrv.add_http01(found["challenge_token"], found["key_authorization"])
    task("order_challenge_fulfilled", {**reference, "challenge_type": "http-01"})
    certificate = task("order_certificate", {**reference, "facts": "none"})
    assert certificate["identifiers"] == order["identifiers"]
    engine.bench.challtestsrv.remove_http01(found["challenge_token"])


def soak(number: int) -> list[Block]:
    """The figures of this many certificates in a row."""
    blocks = []
    with tempfile.TemporaryDirectory() as directory:
        ca = PrivateCa(Path(directory))
        with ChallengeTestServer() as chall, Devserver(state_file=Path(directory) / "vault.sqlite") as vault:
            ports = PebbleOptions(dns_server=chall.dns_server, http_port=chall.http_port, tls_port=chall.tls_port)
            with Pebble(ca, ports) as pebble:
                bench = Bench(ca, pebble, chall, vault)
                engine = Engine(bench, "extca-soak")
                bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
                engine.furnish()
                for block in range(BLOCKS):
                    times: dict[str, list[float]] = {name: [] for name in TASKS}
                    until = number * (block + 1) // BLOCKS
                    for _order in range(number * block // BLOCKS, until):
                        issue(engine, times)
                    medians = {name: statistics.median(taken) for name, taken in times.items()}
                    blocks.append(Block(until, medians, resident(vault.pid), resident("self")))
                    print(_row(blocks[-1]), flush=True)
    return blocks


def complaints(blocks: Sequence[Block]) -> list[str]:
    """What is not flat."""
    early, last = blocks[1], blocks[-1]
    found = [
        f"{name} takes {last.milliseconds[name]:.0f} ms in the end, and {early.milliseconds[name]:.0f} ms at first"
        for name in TASKS
        if last.milliseconds[name] > SLOWER_AT_MOST * early.milliseconds[name] + 5
    ]
    orders = last.until - early.until
    for who, grown, limit in (
        ("the server", (last.server - early.server) / orders, SERVER_KIB_PER_ORDER),
        ("the process of the tasks", (last.tasks - early.tasks) / orders, TASKS_KIB_PER_ORDER),
    ):
        if grown > limit:
            found.append(f"{who} grows by {grown:.1f} KiB with each order; {limit:g} are what it may keep")
    return found


def render(blocks: Sequence[Block], seconds: float) -> str:
    """The text of ``docs/soak.md``."""
    early, last = blocks[1], blocks[-1]
    orders = last.until - early.until
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return _HEAD.format(
        number=last.until,
        seconds=seconds,
        date=datetime.date.today().isoformat(),
        machine=machine,
        rows="\n".join(map(_row, blocks)),
        server=(last.server - early.server) / orders,
        tasks=(last.tasks - early.tasks) / orders,
        columns=" | ".join(f"`{name}`" for name in TASKS),
    )


def _row(block: Block) -> str:
    times = " | ".join(f"{block.milliseconds[name]:.0f}" for name in TASKS)
    return f"| {block.until} | {times} | {block.server / 1024:.1f} | {block.tasks / 1024:.1f} |"


_HEAD = """\
# {number} certificates in a row

<!-- Written by `make soak`: do not edit. -->

Each certificate was ordered, proven by http-01 and fetched by the four modules that a playbook uses, one after the other, against one
development Vault (with a state file) and one Pebble. The modules ran in one process, so that a leak of theirs would be seen.

{date}, {machine}: {seconds:.0f} s.

| Certificates so far | {columns} | Vault, MiB | Tasks, MiB |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

The times are medians of the row's certificates in milliseconds, the memory is what was resident at the row's end. The development Vault
keeps all orders in memory, with chain and key: {server:.1f} KiB for each. The process of the tasks grew by {tasks:.2f} KiB with each
certificate. From the second row on, no task takes longer the more orders there are.
"""


def main() -> int:
    """Soak, print, and keep the figures of a full run."""
    from ansible_collections.certops.vault_extca.plugins.module_utils import polling

    # Services next door answer sooner than those that the first pause is made for.
    polling.FIRST_PAUSE = 0.02
    number = int(sys.argv[1]) if len(sys.argv) > 1 else FULL
    start = time.monotonic()
    blocks = soak(number)
    text = render(blocks, time.monotonic() - start)
    print(text)
    found = complaints(blocks)
    for one in found:
        print(f"soak: {one}", file=sys.stderr)
    if number >= FULL and not found:
        DOCUMENT.write_text(text)
    return int(bool(found))


sys.exit(main())
