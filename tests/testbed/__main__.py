# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.testbed run [--small] [--vars FILE] -- COMMAND…`` and ``python -m tests.testbed up``."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from .process import ServiceError
from .testbed import Testbed, TestbedOptions


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start everything, run a command with the coordinates, stop everything")
    up = commands.add_parser("up", help="start everything, print the coordinates, stop on SIGINT or SIGTERM")
    for command in (run, up):
        command.add_argument("--small", action="store_true", help="only one Vault, one Pebble and a web server")
        command.add_argument("--vars", type=Path, metavar="FILE", help="also write the coordinates to this file")
    run.add_argument("argv", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def _end(signal_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal_number)


def main() -> int:
    """Exit with the command's own status."""
    arguments = _arguments()
    options = TestbedOptions(tls_vault=False, bind=False, eab=False, bare=False) if arguments.small else None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        with Testbed(options) as testbed:
            if arguments.vars:
                testbed.write_vars(arguments.vars)
            try:
                if arguments.command == "run":
                    return _run(arguments.argv, testbed)
                for name, value in testbed.environment().items():
                    print(f"{name}={value}", flush=True)
                signal.pause()
            finally:
                if arguments.vars:
                    arguments.vars.unlink(missing_ok=True)
    except ServiceError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(argv: list[str], testbed: Testbed) -> int:
    with subprocess.Popen(argv, env={**os.environ, **testbed.environment()}) as process:
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    return status if status >= 0 else 128 - status


sys.exit(main())
