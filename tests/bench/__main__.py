# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.bench [--quick] [SECTION…]``: measure everything, print one table, write docs/performance.md.

With --quick, or with sections named, fewer turns are made and nothing is written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.behaviour.harness import Bench, Engine
from tests.testbed import ServiceError, Testbed, TestbedOptions
from tests.tools.tree import REPOSITORY

from . import growth, imports, tasks, waiting
from .costs import Player
from .report import Row, machine, page, plain

_OUTPUT = REPOSITORY / "docs" / "performance.md"
_SMALL = TestbedOptions(tls_vault=False, bind=False, eab=False, bare=False)


def _sections(testbed: Testbed, directory: Path, quick: bool) -> dict[str, Callable[[], list[Row]]]:
    bench = Bench(testbed.ca, testbed.pebble, testbed.challtestsrv, testbed.vault)
    engine, patient_engine = Engine(bench, "bench"), Engine(bench, "bench-waits")
    for one in (engine, patient_engine):
        bench.api("POST", f"sys/mounts/{one.mount}", {"type": "pki-external-ca"})
        one.furnish()
    player = Player(bench, directory)
    turns, times = (1, 5) if quick else (5, 30)
    long: list[waiting.LongWaits] = []
    waits = waiting.RealWaits(patient_engine, 2 if quick else 16)

    def begin_long_waits() -> list[Row]:
        long.append(waiting.LongWaits(waits))
        return []

    def real() -> list[Row]:
        rows = waiting.real_rows(waits)
        return rows + (long[0].rows() if long else [])

    return {
        # Begun now, asked for at the end: five minutes in which a few threads sleep most of the time.
        **({} if quick else {"long": begin_long_waits}),
        "imports": lambda: imports.import_rows(3 if quick else 7) + imports.payload_rows(),
        "bounds": lambda: imports.bound_rows(engine, directory, 3 if quick else 15),
        "completed": lambda: tasks.completed_rows(player, engine, min(turns, 3), times),
        "workflow": lambda: tasks.workflow_rows(player, engine, testbed, directory, turns),
        "nothing": lambda: tasks.nothing_to_do_rows(player, engine, testbed, directory, min(turns, 3), times // 3 or 1),
        "many": lambda: tasks.many_rows(player, engine, 20 if quick else 200, min(turns, 3)),
        "growth": lambda: (
            growth.identifier_rows(engine, testbed, directory, min(turns, 3))
            + growth.order_rows(testbed, bench, directory)
        ),
        "delay": lambda: waiting.simulated_rows(500 if quick else 4000),
        "requests": lambda: waiting.request_rows(500 if quick else 4000),
        "rules": lambda: waiting.rule_rows(500 if quick else 4000),
        "crowd": lambda: (
            waiting.crowd_rows() + waiting.real_crowd_rows(engine, 50 if quick else 200, 20.0 if quick else 60.0)
        ),
        "real": real,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """0 when everything was measured, whatever the figures say."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few turns, for work on the bench itself")
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    arguments = parser.parse_args(argv)
    begin = time.monotonic()
    found: dict[str, Sequence[Row]] = {}
    where = machine()
    try:
        with Testbed(_SMALL) as testbed, tempfile.TemporaryDirectory(prefix="bench-") as directory:
            sections = _sections(testbed, Path(directory), arguments.quick)
            for name, measure in sections.items():
                if arguments.sections and name not in arguments.sections:
                    continue
                started = time.monotonic()
                found[name] = measure()
                print(f"bench: {name} took {time.monotonic() - started:.0f} s", flush=True)
    except (ServiceError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    rows = [row for section in found.values() for row in section]
    print(f"\n{where}\n\n{plain(rows)}\n")
    missed = [row for row in rows if "missed" in row.verdict]
    if not arguments.quick and not arguments.sections:
        _OUTPUT.write_text(page(where, found, (time.monotonic() - begin) / 60))
        print(f"bench: wrote {_OUTPUT.relative_to(REPOSITORY)}")
    goals = sum(bool(row.verdict) for row in rows)
    for row in missed:
        print(
            f"bench: missed: {row.what} ({row.ratio:.2f}, goal {row.goal:g})"
            if row.ratio
            else f"bench: missed: {row.what}"
        )
    print(f"bench: {goals - len(missed)} of {goals} goals met, in {(time.monotonic() - begin) / 60:.0f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
