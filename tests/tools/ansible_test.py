# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.ansible_test TREE ARGUMENT…``: ansible-test in a copy of the checkout, with its own home."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .tree import BUILD, sync

_PYTHON_REQUIRES = re.compile(r"python_requires: '>=(3\.\d+)'")
# Settings that a person's home may hold and that pip and Python's version managers look for.
_LINKED = (".config/pip", ".pip", ".pyenv", ".local/share/uv")


def _link(link: Path, target: Path) -> None:
    """Make a symbolic link where there is none; several stages may try at once."""
    with contextlib.suppress(FileExistsError):
        link.symlink_to(target)


def home() -> Path:
    """The home directory that Ansible's tools write to, so that they leave the user's alone."""
    directory = BUILD / "home"
    directory.mkdir(parents=True, exist_ok=True)
    for name in _LINKED:
        target, link = Path.home() / name, directory / name
        if target.exists() and directory not in target.parents:
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(link, target)
    return directory


# The versions of pip that an ansible-test wants for its virtual environments.
_PIP_VERSIONS = """
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(*{get_venv_packages(SimpleNamespace(version=f"3.{minor}"))["pip"] for minor in range(8, 20)})
"""


@functools.cache
def _provide_get_pip(directory: Path, python: Path) -> None:
    """Put the stand-in under the names that the ansible-test of an environment looks for."""
    cache = directory / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([python, "-c", _PIP_VERSIONS], capture_output=True, text=True, check=True)
    for version in done.stdout.split():
        _link(cache / f"get_pip_{version.replace('.', '_')}.py", Path(__file__).with_name("get_pip.py"))


def _provide_ssh_key(directory: Path) -> None:
    """Make the key that every ansible-test wants and none uses here; two that start together would make it both."""
    from ansible_test._internal.core_ci import SshKey

    key = directory / ".ansible" / "test" / str(SshKey.KEY_NAME)
    with (BUILD / "ssh-key.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not key.exists():
            command = ["ssh-keygen", "-m", "PEM", "-q", "-t", str(SshKey.KEY_TYPE), "-N", "", "-f", str(key)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def interpreter(version: str) -> Path | None:
    """This machine's Python of a version such as 3.9, if there is one that starts."""
    managed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"), reverse=True)
    found = shutil.which(f"python{version}")
    for candidate in [*managed, *([Path(found)] if found else [])]:
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def _oldest_python() -> str:
    """The version of the oldest Python that modules promise to run on."""
    configuration = Path(__file__).parents[1] / "config.yml"
    promised = _PYTHON_REQUIRES.search(configuration.read_text())
    if promised is None:
        raise SystemExit(f"{configuration} does not say python_requires")
    return promised[1]


def _pythons(directory: str, versions: Sequence[str]) -> str:
    """A directory for the search path that holds those of some Pythons which this machine has."""
    binaries = BUILD / directory
    binaries.mkdir(parents=True, exist_ok=True)
    for version in versions:
        python = interpreter(version)
        if python is not None:
            _link(binaries / python.name, python)
    return str(binaries)


def _path() -> str:
    """The search path: the virtual environment, the oldest Python for modules, the system."""
    system = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    return os.pathsep.join([str(Path(sys.executable).parent), _pythons("bin", [_oldest_python()]), *system])


def environment() -> dict[str, str]:
    """The environment for Ansible's tools."""
    directory = home()
    _provide_get_pip(directory, Path(sys.executable))
    _provide_ssh_key(directory)
    removed = ("ANSIBLE_", "VAULT_", "COVERAGE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    return {**inherited, "HOME": str(directory), "PATH": _path()}


def ansible_test_environment(binaries: Path) -> dict[str, str]:
    """The environment for an ansible-test of another version, whose programs are in a directory, with all Pythons."""
    variables = environment()
    _provide_get_pip(home(), binaries / "python")
    pythons = _pythons("bin-all", [f"3.{minor}" for minor in range(9, 20)])
    return {**variables, "PATH": os.pathsep.join([str(binaries), variables["PATH"], pythons])}


def ansible_test(
    tree: Path, arguments: Sequence[str], *, before: Sequence[str] = (), binaries: Path | None = None
) -> int:
    """Run ansible-test in a tree; ``before`` is put before the command. Returns its exit status.

    ``binaries`` is where another version of Ansible has its programs; usually they are beside this interpreter.
    """
    variables = environment() if binaries is None else ansible_test_environment(binaries)
    program = str((binaries or Path(sys.executable).parent) / "ansible-test")
    with subprocess.Popen([*before, program, *arguments], cwd=tree, env=variables, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def main() -> int:
    """ansible-test's own exit status."""
    name, *arguments = sys.argv[1:]
    tree = sync(name)
    for stale in tree.glob("tests/output/coverage/*"):
        stale.unlink()
    return ansible_test(tree, arguments)


if __name__ == "__main__":
    sys.exit(main())
