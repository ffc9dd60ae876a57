# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What commands and playbooks cost, measured in rounds so that a drift of the machine meets all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.behaviour.harness import Bench
from tests.tools.ansible_test import home
from tests.tools.tree import BUILD

PEERS = BUILD / "peers"


@dataclass(frozen=True)
class Cost:
    """Seconds: of the clock, and of all processors together, children included."""

    wall: float
    cpu: float

    def less(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def share(self, parts: int) -> Cost:
        return Cost(self.wall / parts, self.cpu / parts)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """The cost of a command. RuntimeError with what it wrote, if it fails."""
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        ) as process:
            _pid, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)}\n{output.read().decode(errors='replace')[-4000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def rounds(number: int, subjects: Mapping[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """The median cost of each subject, all of them run in turn, ``number`` times after a first time that does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in subjects}
    for turn in range(number + 1):
        for name, subject in subjects.items():
            cost = subject()
            if turn:
                costs[name].append(cost)
    return {name: median(found) for name, found in costs.items()}


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


class Player:
    """Plays tasks on localhost with the ansible-core that the peers came with."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self._directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "VAULT_"))}
        self._environment = {
            **kept,
            "HOME": str(home()),
            "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "VAULT_ADDR": bench.vault.url,
            "VAULT_TOKEN": bench.vault.token,
        }

    def play(self, name: str, tasks: Sequence[Mapping[str, object]]) -> Cost:
        """The cost of ansible-playbook for these tasks, its start included."""
        playbook = self._directory / f"{name}.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]))
        return run([str(PEERS / "bin" / "ansible-playbook"), str(playbook)], self._environment)

    def start(self) -> Cost:
        """The cost of ansible-playbook for nothing."""
        return self.play("nothing", [{"ansible.builtin.meta": "noop"}])


def loop(module: str, options: Mapping[str, object], times: int) -> dict[str, object]:
    """A task that is run so many times."""
    return {module: dict(options), "loop": list(range(times)), "loop_control": {"label": "one of them"}}
