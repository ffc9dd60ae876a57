# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.integration [--shard 1/2] [TARGET…]``: ansible-test integration against a testbed of its own.

The testbed's coordinates reach the targets as variables, through ``tests/integration/integration_config.yml``.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.testbed import ServiceError, Testbed

from .ansible_test import ansible_test
from .tree import REPOSITORY, sync

_TARGETS = REPOSITORY / "tests" / "integration" / "targets"


def _shard(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9])/([1-9])", value)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{value!r} is not a shard such as 1/2")
    return int(match[1]), int(match[2])


def _weight(target: Path) -> int:
    """How long a target takes, roughly: the number of its tasks."""
    tasks = (file.read_text() for file in target.rglob("*.y*ml"))
    return sum(text.count("- name:") for text in tasks) + 5


def targets_of(shard: int, shards: int) -> list[str]:
    """The targets of one of several shards of about the same length; every target is in exactly one."""
    found = [path.parent for path in _TARGETS.glob("*/aliases") if "setup_" not in path.parent.name]
    loads = dict.fromkeys(range(1, shards + 1), 0)
    members: dict[int, list[str]] = {number: [] for number in loads}
    for target in sorted(found, key=lambda target: (-_weight(target), target.name)):
        lightest = min(loads, key=lambda number: loads[number])
        loads[lightest] += _weight(target)
        members[lightest].append(target.name)
    return sorted(members[shard])


def _end(signal_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal_number)


def main() -> int:
    """ansible-test's own exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.integration", description=__doc__)
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="N/OF")
    parser.add_argument("--ansible", type=Path, metavar="DIRECTORY", help="programs of another Ansible (matrix)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these (default: all of the shard)")
    arguments = parser.parse_args()
    shard, shards = arguments.shard
    targets = arguments.targets or targets_of(shard, shards)
    if not targets:
        print("integration: no targets", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    elsewhere: Path | None = arguments.ansible
    tree = sync(f"integration-{shard}" if elsewhere is None else "integration-matrix")
    for stale in tree.glob("tests/output/coverage/*"):
        stale.unlink()
    variables = tree / "tests" / "integration" / "integration_config.yml"
    print(f"integration: {len(targets)} targets: {', '.join(targets)}", flush=True)
    try:
        with Testbed() as testbed:
            testbed.write_vars(variables)
            # Coverage is of this environment's Ansible; another one need not have the tool.
            # What an old version fails in is seen at once and whole.
            options = ["--coverage"] if elsewhere is None else ["--continue-on-error"]
            # Pebble gives up on a challenge after a few seconds, which a busy machine may take.
            again = ["--retry-on-error"]
            command = ["integration", "--local", "--color", "no", *again, *options, *targets]
            status = ansible_test(tree, command, binaries=elsewhere)
    except ServiceError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    finally:
        variables.unlink(missing_ok=True)
    if status == 0:
        print(f"integration: all {len(targets)} targets passed")
    return status


if __name__ == "__main__":
    sys.exit(main())
