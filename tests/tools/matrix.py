# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.matrix [--only REGEX] [--kinds KIND…] [--brief]``: the versions that work.

Each cell is an environment of its own in ``build/matrix``: one ansible-core, one Python of this machine, and given or
newest versions of hvac and cryptography. The unit tests run in all of them: first in one of each ansible-core, then with
the oldest libraries, then with the other Pythons. Then follow sanity with the oldest and the newest ansible-core, and
integration with each, and with the oldest libraries. What was seen is kept in ``build/matrix/results.json`` from run to
run, also where a later run chooses less, and written into the README's support table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .ansible_test import ansible_test_environment, environment, interpreter
from .integration import targets_of
from .tree import BUILD, REPOSITORY, sync

_MATRIX = BUILD / "matrix"
_RESULTS = _MATRIX / "results.json"
_README = REPOSITORY / "README.md"
KINDS = ("units", "sanity", "integration")
_LONGEST = 60 * 60  # seconds; what takes longer hangs
_BEGIN, _END = "<!-- support table: make matrix -->", "<!-- end of support table -->"

# The Pythons that each ansible-core runs on as the controller, as its release notes say.
CONTROLLERS: Mapping[str, tuple[str, ...]] = {
    "2.16": ("3.10", "3.11", "3.12"),
    "2.17": ("3.10", "3.11", "3.12"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.12", "3.13", "3.14"),
}
# The one Python of each that is tried first, and that integration and sanity run on.
FIRST: Mapping[str, str] = {
    "2.16": "3.10",
    "2.17": "3.11",
    "2.18": "3.12",
    "2.19": "3.13",
    "2.20": "3.12",
    "2.21": "3.13",
}
# The integration targets that show most, for when there is no time for all: everything that runs on the controller, and
# modules that have most to do with Ansible, with files, with sockets and with Vault.
REPRESENTATIVE = (
    "lookup_certificate",
    "role_certificate",
    "vault_extca_acme_account",
    "vault_extca_certificate",
    "vault_extca_dns_provider",
    "vault_extca_mount",
    "vault_extca_order",
    "vault_extca_order_certificate",
    "vault_extca_role",
)
# Where a module runs, an older Python will do; these have no ansible-core of their own to install.
HOSTS: Mapping[str, tuple[str, ...]] = dict.fromkeys(CONTROLLERS, ("3.9",))
# Older ones fail the unit tests: hvac 0.11.1 forgets that it needs six, cryptography 3.0 wants a backend named.
OLDEST = {"hvac": "0.11.2", "cryptography": "3.1"}
_TEST_TOOLS = ("pytest>=8.2,<9", "pytest-timeout>=2.3", "pytest-xdist>=3.5", "hypothesis>=6.100", "PyYAML", "trustme")


@dataclass(frozen=True)
class Cell:
    """One combination of versions; an empty version is the newest that pip finds."""

    core: str
    python: str
    hvac: str = ""
    cryptography: str = ""

    @property
    def name(self) -> str:
        """How the cell is called, also as a directory."""
        libraries = "".join(f"-{name}{version}" for name, version in self._libraries() if version)
        return f"core{self.core}-py{self.python}{libraries}"

    @property
    def controller(self) -> bool:
        """Whether this ansible-core runs on this Python by itself."""
        return self.python in CONTROLLERS[self.core]

    @property
    def directory(self) -> Path:
        """The cell's virtual environment."""
        return _MATRIX / self.name

    def requirements(self) -> list[str]:
        """What pip installs besides ansible-core."""
        return [f"{name}=={version}" if version else name for name, version in self._libraries()]

    def _libraries(self) -> tuple[tuple[str, str], ...]:
        return ("hvac", self.hvac), ("cryptography", self.cryptography)


def _oldest() -> list[Cell]:
    """The oldest of all: on a host, and where ansible-core runs."""
    return [Cell("2.16", python, OLDEST["hvac"], OLDEST["cryptography"]) for python in ("3.9", "3.10")]


def cells() -> list[Cell]:
    """All cells, in the order in which they are tried."""
    first = [Cell(core, python) for core, python in FIRST.items()]
    # One old library beside a new one: which of the two is at fault shows at once.
    single = [Cell("2.19", "3.11", hvac=OLDEST["hvac"]), Cell("2.19", "3.11", cryptography=OLDEST["cryptography"])]
    usual = [Cell(core, python) for core in CONTROLLERS for python in (*HOSTS[core], *CONTROLLERS[core])]
    return [*first, *_oldest(), *single, *(cell for cell in usual if cell not in first)]


def jobs(kinds: Sequence[str]) -> Iterator[tuple[str, Cell]]:
    """What is to be done in which cell, in this order."""
    first = [Cell(core, python) for core, python in FIRST.items()]
    everything = {"units": cells(), "sanity": [first[0], first[-1]], "integration": [*first, _oldest()[-1]]}
    return ((kind, cell) for kind in KINDS if kind in kinds for cell in everything[kind])


def _run(
    command: Sequence[str | Path], log: Path, variables: Mapping[str, str] | None = None, directory: Path = REPOSITORY
) -> int:
    with log.open("ab") as output:
        try:
            return subprocess.run(
                ["nice", *command],
                cwd=directory,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=_LONGEST,
            ).returncode
        except subprocess.TimeoutExpired:
            output.write(f"matrix: stopped after {_LONGEST} s\n".encode())
            return 124


def prepare(cell: Cell, python: Path) -> bool:
    """Make the cell's environment, unless it is complete already."""
    stamp = cell.directory / ".complete"
    if stamp.exists():
        return True
    log = _MATRIX / f"{cell.name}.log"
    log.unlink(missing_ok=True)
    pip: list[str | Path] = [
        cell.directory / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    core = f"ansible-core=={cell.core}.*"
    steps: list[list[str | Path]] = [
        [python, "-m", "venv", "--clear", cell.directory],
        [*pip, *_TEST_TOOLS, *cell.requirements()],
        # On a host there is only what Ansible sends along: the same files, which pip would not install there.
        [*pip, core] if cell.controller else [*pip, "--no-deps", "--ignore-requires-python", core],
        *([] if cell.controller else [[*pip, "Jinja2", "packaging", "resolvelib"]]),
    ]
    if any(_run(step, log) for step in steps):
        return False
    stamp.touch()
    return True


def _log(cell: Cell, kind: str) -> Path:
    log = _MATRIX / f"{cell.name}.{kind}.log"
    log.unlink(missing_ok=True)
    return log


def _found(log: Path, pattern: str) -> list[str]:
    return re.findall(pattern, log.read_text(errors="replace"), re.MULTILINE)


def units(cell: Cell) -> str:
    """Run the unit tests in a copy of the tree. What runs on the controller only is left out on hosts."""
    tree, log = sync("units-matrix"), _log(cell, "units")
    variables = environment()
    variables["PATH"] = os.pathsep.join([str(cell.directory / "bin"), variables["PATH"]])
    variables["PYTHONPATH"] = variables["ANSIBLE_COLLECTIONS_PATH"] = str(tree.parents[2])
    # As ansible-test does: what runs on hosts and what runs on the controller never share a process.
    groups = [["tests/unit/plugins/module_utils", "tests/unit/plugins/modules"]]
    groups += [["tests/unit/plugins/lookup"]] if cell.controller else []
    python = cell.directory / "bin" / "python"
    pytest: list[str | Path] = [python, "-m", "pytest", "-q", "-n", "2", "--basetemp", _MATRIX / "tmp"]
    if not all(_run([*pytest, *group], log, variables, tree) == 0 for group in groups):
        return f"FAILED: {', '.join(_found(log, r'^(?:=+ )?([0-9]+ failed[^=]*?)(?: in .*)?$')) or 'no tests ran'}"
    return f"{sum(int(number) for number in _found(log, r'^(?:=+ )?([0-9]+) passed'))} passed"


def sanity(cell: Cell) -> str:
    """Run all of the cell's own sanity tests over a copy of the tree."""
    tree, log = sync("sanity-matrix"), _log(cell, "sanity")
    binaries = cell.directory / "bin"
    variables = ansible_test_environment(binaries)
    if _run([binaries / "ansible-test", "sanity", "--local", "--color", "no"], log, variables, tree):
        failed = _found(log, r"^(?:FATAL|ERROR): (The [0-9]+ sanity test\(s\).*?)[.:]?(?: See.*)?$")
        return f"FAILED: {', '.join(failed) or 'see its log'}"
    ran = set(_found(log, r'^Running sanity test "([^"]+)"'))
    return f"{len(ran)} tests passed"


def _targets_passed(targets: Sequence[str]) -> str:
    return f"{len(targets)} of {len(targets_of(1, 1))} targets passed"


def integration(cell: Cell, targets: Sequence[str]) -> str:
    """Run integration targets with the cell's Ansible against services that the development environment starts."""
    log = _log(cell, "integration")
    tool: list[str | Path] = [sys.executable, "-m", "tests.tools.integration", "--ansible", cell.directory / "bin"]
    if _run([*tool, *targets], log):
        failed = _found(log, r"^(?:FATAL|ERROR): (The [0-9]+ integration test\(s\).*?)[.:]?(?: See.*)?$")
        return f"FAILED: {', '.join(failed) or 'see its log'}"
    return _targets_passed(targets)


def table(results: Mapping[str, Mapping[str, str]]) -> str:
    """The README's table of what was seen."""
    lines = [
        "| ansible-core | Python | hvac | cryptography | unit tests | sanity | integration |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]

    def order(cell: Cell) -> list[tuple[int, ...]]:
        versions = (cell.core, cell.python, cell.hvac or "99", cell.cryptography or "99")
        return [tuple(int(part) for part in version.split(".")) for version in versions]

    for cell in sorted(cells(), key=order):
        seen = results.get(cell.name)
        if seen is None:
            continue
        python = cell.python if cell.controller else f"{cell.python} (host only)"
        libraries = [seen.get("hvac", ""), seen.get("cryptography", "")]
        shown = [cell.core, python, *libraries, *(seen.get(kind, "") for kind in KINDS)]
        lines.append(f"| {' | '.join(shown)} |")
    if any(seen.get("integration") == _targets_passed(REPRESENTATIVE) for seen in results.values()):
        names = [f"`{name}`" for name in REPRESENTATIVE]
        lines += ["", f"The {len(names)} targets are {', '.join(names[:-1])} and {names[-1]}."]
    return "\n".join(lines)


def write_readme(results: Mapping[str, Mapping[str, str]]) -> None:
    """Put the table between its marks in the README."""
    text = _README.read_text()
    before, begin, rest = text.partition(_BEGIN)
    end, after = rest.partition(_END)[1:]
    if not begin or not end:
        raise SystemExit(f"{_README} has no {_BEGIN} … {_END}")
    _README.write_text(f"{before}{_BEGIN}\n{table(results)}\n{_END}{after}")


def _installed(cell: Cell, library: str) -> str:
    program = f"import importlib.metadata as m; print(m.version({library!r}))"
    python = cell.directory / "bin" / "python"
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def _results() -> dict[str, dict[str, str]]:
    results: dict[str, dict[str, str]] = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {}
    return results


def _note(cell: Cell, seen: Mapping[str, str]) -> None:
    """Add to what was seen; another run may have noted something meanwhile."""
    results = _results()
    results.setdefault(cell.name, {}).update(seen)
    _RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True))


def _examine(kind: str, cell: Cell, targets: Sequence[str]) -> bool | None:
    """Do one job and note what was seen; whether it passed, or None where this machine lacks the Python."""
    started = time.monotonic()
    python = interpreter(cell.python)
    if python is None:
        print(f"matrix: {cell.name}: this machine has no Python {cell.python}", flush=True)
        return None
    seen = {}
    if prepare(cell, python):
        seen = {name: _installed(cell, name) for name in ("ansible-core", "hvac", "cryptography")}
        doing: Mapping[str, Callable[[Cell], str]]
        doing = {"units": units, "sanity": sanity, "integration": partial(integration, targets=targets)}
        seen[kind] = doing[kind](cell)
    else:
        seen[kind] = "FAILED: not installable"
    _note(cell, seen)
    print(f"matrix: {cell.name}: {kind}: {seen[kind]} ({time.monotonic() - started:.0f} s)", flush=True)
    return not seen[kind].startswith("FAILED")


def main() -> int:
    """0 if nothing failed of what was chosen."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.matrix", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="only cells whose name it matches")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, help="only these kinds of tests")
    parser.add_argument("--brief", action="store_true", help="integration: the targets that show most, not all")
    parser.add_argument("--write-only", action="store_true", help="write the README's table from earlier runs")
    arguments = parser.parse_args()
    _MATRIX.mkdir(parents=True, exist_ok=True)
    chosen = [] if arguments.write_only else list(jobs(arguments.kinds))
    targets = REPRESENTATIVE if arguments.brief else targets_of(1, 1)
    passed = [_examine(kind, cell, targets) for kind, cell in chosen if re.search(arguments.only, cell.name)]
    write_readme(_results())
    failed = passed.count(False)
    print(f"matrix: {passed.count(True)} passed, {failed} failed, {passed.count(None)} without their Python")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
