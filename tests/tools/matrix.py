# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.matrix [--only TEXT] [--integration TARGET…] [--sanity]``: the versions that work.

Each cell is an environment of its own in ``build/matrix``: one ansible-core, one Python of this machine, and given or
newest versions of hvac and cryptography. The unit tests run in all of them; integration and sanity where asked for.
What was seen is kept in ``build/matrix/results.json`` from run to run, and written into the README's support table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .ansible_test import environment
from .tree import BUILD, REPOSITORY

_MATRIX = BUILD / "matrix"
_RESULTS = _MATRIX / "results.json"
_README = REPOSITORY / "README.md"
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
# Where a module runs, an older Python will do; these have no ansible-core of their own to install.
HOSTS: Mapping[str, tuple[str, ...]] = dict.fromkeys(CONTROLLERS, ("3.9",))
OLDEST = {"hvac": "1.2.1", "cryptography": "3.4"}
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


def interpreter(version: str) -> Path | None:
    """This machine's Python of a version, if there is one that starts."""
    managed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"), reverse=True)
    found = shutil.which(f"python{version}")
    for candidate in [*managed, *([Path(found)] if found else [])]:
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def cells() -> list[Cell]:
    """All cells: every ansible-core with every Python, and the oldest libraries at both ends."""
    usual = [Cell(core, python) for core in CONTROLLERS for python in (*HOSTS[core], *CONTROLLERS[core])]
    oldest = [Cell("2.16", python, OLDEST["hvac"], OLDEST["cryptography"]) for python in ("3.9", "3.10")]
    # One old library beside a new one: which of the two is at fault shows at once.
    single = [Cell("2.19", "3.11", hvac=OLDEST["hvac"]), Cell("2.19", "3.11", cryptography=OLDEST["cryptography"])]
    return [*oldest, *single, *usual]


def _run(command: Sequence[str | Path], log: Path, variables: Mapping[str, str] | None = None) -> int:
    with log.open("ab") as output:
        return subprocess.run(
            ["nice", *command],
            cwd=REPOSITORY,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


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


def _variables(cell: Cell) -> dict[str, str]:
    variables = environment()
    variables["PATH"] = os.pathsep.join([str(cell.directory / "bin"), variables["PATH"]])
    variables["PYTHONPATH"] = str(BUILD / "links")
    variables["ANSIBLE_COLLECTIONS_PATH"] = str(BUILD / "links")
    return variables


def units(cell: Cell) -> str:
    """Run the unit tests; returns pytest's closing words. What runs on the controller only is left out on hosts."""
    log = _MATRIX / f"{cell.name}.units.log"
    log.unlink(missing_ok=True)
    # As ansible-test does: what runs on hosts and what runs on the controller never share a process.
    groups = [["tests/unit/plugins/module_utils", "tests/unit/plugins/modules"]]
    groups += [["tests/unit/plugins/lookup"]] if cell.controller else []
    pytest: list[str | Path] = [cell.directory / "bin" / "python", "-m", "pytest", "-q", "-n", "2"]
    closings = []
    for group in groups:
        log.unlink(missing_ok=True)
        if _run([*pytest, *group], log, _variables(cell)):
            return f"FAILED: {_closing(log)}"
        closings.append(int(re.findall(r"(\d+) passed", _closing(log))[0]))
    return f"{sum(closings)} passed"


def _closing(log: Path) -> str:
    lines = [line.strip("= ") for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return re.sub(r" in \d.*", "", lines[-1]) if lines else "no output"


def integration(cell: Cell, targets: Sequence[str]) -> str:
    """Run integration targets with the cell's Ansible against services that the development environment starts."""
    log = _MATRIX / f"{cell.name}.integration.log"
    log.unlink(missing_ok=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.tools.integration",
        "--ansible",
        cell.directory / "bin",
        *targets,
    ]
    status = _run(command, log)
    return f"passed: {' '.join(targets)}" if status == 0 else f"FAILED with status {status}: {' '.join(targets)}"


def table(results: Mapping[str, Mapping[str, str]]) -> str:
    """The README's table of what was seen."""
    lines = [
        "| ansible-core | Python | hvac | cryptography | unit tests | integration |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells():
        seen = results.get(cell.name)
        if seen is None:
            continue
        role = "" if cell.controller else " (host only)"
        lines.append(
            f"| {cell.core} | {cell.python}{role} | {cell.hvac or seen.get('hvac', '')} "
            f"| {cell.cryptography or seen.get('cryptography', '')} | {seen.get('units', '')} | {seen.get('integration', '')} |"
        )
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
    done = subprocess.run(
        [cell.directory / "bin" / "python", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _examine(cell: Cell, prepared: bool, arguments: argparse.Namespace, results: dict[str, dict[str, str]]) -> None:
    started = time.monotonic()
    seen = results.setdefault(cell.name, {})
    if not prepared:
        seen["units"] = "FAILED: not installable"
    else:
        seen["core"], seen["hvac"] = _installed(cell, "ansible-core"), _installed(cell, "hvac")
        seen["cryptography"] = _installed(cell, "cryptography")
        if not arguments.skip_units:
            seen["units"] = units(cell)
        if arguments.integration and cell.controller:
            seen["integration"] = integration(cell, arguments.integration)
    _RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True))
    shown = ", ".join(f"{kind}: {seen[kind]}" for kind in ("units", "integration") if kind in seen)
    print(f"matrix: {cell.name}: {shown} ({time.monotonic() - started:.0f} s)", flush=True)


def _examine_all(chosen: Sequence[Cell], arguments: argparse.Namespace, results: dict[str, dict[str, str]]) -> None:
    # While the tests of one cell run, pip fills the next.
    with ThreadPoolExecutor(max_workers=1) as pip:
        waiting = []
        for cell in chosen:
            python = interpreter(cell.python)
            if python is None:
                print(f"matrix: {cell.name}: this machine has no Python {cell.python}", flush=True)
                continue
            waiting.append((cell, pip.submit(prepare, cell, python)))
        for cell, prepared in waiting:
            _examine(cell, prepared.result(), arguments, results)


def _failed(results: Iterable[Mapping[str, str]]) -> int:
    return sum(any(value.startswith("FAILED") for value in seen.values()) for seen in results)


def main() -> int:
    """0 if nothing failed in the cells that were chosen."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.matrix", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="only cells whose name it matches")
    parser.add_argument("--integration", nargs="*", default=[], metavar="TARGET", help="run these targets as well")
    parser.add_argument("--skip-units", action="store_true", help="keep what was seen of the unit tests")
    parser.add_argument("--write-only", action="store_true", help="write the README's table from earlier runs")
    arguments = parser.parse_args()
    _MATRIX.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, str]] = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {}
    chosen = [cell for cell in cells() if re.search(arguments.only, cell.name)]
    if not arguments.write_only:
        _examine_all(chosen, arguments, results)
    write_readme(results)
    failed = _failed(results[cell.name] for cell in chosen if cell.name in results)
    print(f"matrix: {len(chosen)} cells, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
