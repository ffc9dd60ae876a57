# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.stages [STAGE…]``: the stages of ``make test``, two at a time where they can be.

Each stage's output goes to ``build/logs/<stage>.log``: shown when the stage fails, otherwise only the closing lines of
the runners in it. At the end stand a table of times and one line of totals.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .tree import BUILD, REPOSITORY

_LOGS = BUILD / "logs"
_WORKERS = 2
_LONGEST = 30 * 60  # seconds; a stage that takes longer hangs

# How the runners end: pytest's summary, ansible-playbook's recap, and the plain lines of this repository's own tools.
_CLOSING = re.compile(
    r"^(=+ .*\b(passed|failed|error|no tests ran)\b.* =+"
    r"|\d+ (passed|failed).* in \d.*"
    r"|(integration|build|coverage|lint|sanity|demo): .*"
    r"|(FATAL|ERROR): .*)$"
)


@dataclass
class Stage:
    """A target of the Makefile, or a command, and the stages that must have ended before."""

    name: str
    command: Sequence[str]
    after: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    seconds: float = 0.0
    status: int | None = None
    outcome: str = field(default="not run")

    @property
    def log(self) -> Path:
        """Where the output is."""
        return _LOGS / f"{self.name}.log"

    def closing_lines(self) -> list[str]:
        """The last lines of the runners in this stage, or else the last line of all."""
        lines = [line.rstrip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        recaps = [line for line in lines if re.match(r"\S+ +: ok=\d+ +changed=\d+", line)]
        closing = [line for line in lines if _CLOSING.match(line)] + recaps[-1:]
        return closing or lines[-1:]


def _make(target: str) -> list[str]:
    return ["make", "--no-print-directory", target]


def _integration(shard: int) -> list[str]:
    return [sys.executable, "-m", "tests.tools.integration", "--shard", f"{shard}/2"]


def all_stages() -> list[Stage]:
    """Longest first, so that the two workers end at about the same time."""
    return [
        Stage("behaviour", _make("behaviour")),
        Stage("integration-1", _integration(1)),
        Stage("integration-2", _integration(2)),
        Stage("sanity", _make("sanity")),
        Stage("devserver-tests", _make("devserver-tests")),
        Stage("ecosystem", _make("ecosystem")),
        Stage("units", _make("units")),
        Stage("docs-tests", _make("docs-tests")),
        Stage("browser", _make("browser")),
        Stage("lint", _make("lint")),
        Stage("build", _make("build")),
        Stage(
            "coverage", _make("coverage"), after=("integration-1", "integration-2", "behaviour", "ecosystem", "units")
        ),
    ]


def _start(stage: Stage) -> None:
    print(f"---- {stage.name}: started", flush=True)
    with stage.log.open("wb") as log:
        stage.process = subprocess.Popen(
            stage.command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stage.started = time.monotonic()


def _end(stage: Stage, status: int) -> None:
    stage.seconds = time.monotonic() - stage.started
    stage.status = status
    stage.outcome = "passed" if status == 0 else "failed"
    if status:
        print(f"---- {stage.name}: FAILED with status {status}; its output:")
        print(stage.log.read_text(errors="replace"))
    print(f"---- {stage.name}: {stage.outcome} after {stage.seconds:.0f} s")
    for line in stage.closing_lines():
        print(line)
    sys.stdout.flush()


def _stop(stage: Stage) -> None:
    if stage.process is None or stage.process.poll() is not None:
        return
    # pytest cleans up after SIGINT only.
    for number, patience in ((signal.SIGINT, 15.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(stage.process.pid, number)
            stage.process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def _next(waiting: list[Stage], by_name: dict[str, Stage]) -> Stage | None:
    for stage in waiting:
        if all(by_name[name].status is not None for name in stage.after if name in by_name):
            waiting.remove(stage)
            return stage
    return None


def run(stages: list[Stage]) -> None:
    """Run them all, whatever fails, and none after an interruption."""
    by_name = {stage.name: stage for stage in stages}
    waiting, running = list(stages), list[Stage]()
    try:
        while waiting or running:
            while len(running) < _WORKERS and (stage := _next(waiting, by_name)) is not None:
                _start(stage)
                running.append(stage)
            time.sleep(0.2)
            for stage in list(running):
                status = stage.process.poll() if stage.process else None
                if status is None and time.monotonic() - stage.started > _LONGEST:
                    _stop(stage)
                    status = 124
                if status is not None:
                    running.remove(stage)
                    _end(stage, status)
    finally:
        for stage in running:
            _stop(stage)


def main() -> int:
    """0 if every stage passed."""
    stages = all_stages()
    if sys.argv[1:]:
        stages = [stage for stage in stages if stage.name in sys.argv[1:]]
        unknown = set(sys.argv[1:]) - {stage.name for stage in stages}
        if unknown:
            raise SystemExit(f"no such stage: {', '.join(sorted(unknown))}")
    _LOGS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    started = time.monotonic()
    run(stages)
    print(f"\n{'stage':<18}{'seconds':>8}  outcome")
    for stage in stages:
        print(f"{stage.name:<18}{stage.seconds:>8.0f}  {stage.outcome}")
    print(f"{'wall clock':<18}{time.monotonic() - started:>8.0f}")
    passed = sum(stage.status == 0 for stage in stages)
    print(f"\n{passed} passed, {len(stages) - passed} failed", flush=True)
    return 0 if passed == len(stages) else 1


if __name__ == "__main__":
    sys.exit(main())
