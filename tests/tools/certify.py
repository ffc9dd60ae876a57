# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.certify``: what Galaxy and its reviewers check, over the artifact that would be released.

galaxy-importer (with ansible-lint and ansible-doc; ansible-test is a stage of ``make test``) must neither fail nor warn, and the
collection must install from a git address and list all that it has.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .ansible_test import environment
from .tree import BUILD, COLLECTION, REPOSITORY, sync

_CERTIFY = BUILD / "certify"
_IMPORTER = _CERTIFY / "venv" / "bin"
_SETTINGS = """[galaxy-importer]
log_level_main = INFO
run_ansible_test = False
run_ansible_doc = True
run_ansible_lint = True
offline_ansible_lint = True
run_flake8 = False
check_required_tags = True
"""
_KINDS = {"modules": "module", "lookup": "lookup", "filter": "filter"}


class CertificationError(Exception):
    """Something that a reviewer would not accept."""


def _run(command: list[str | Path], directory: Path, variables: Mapping[str, str] | None = None) -> str:
    settings = {**environment(), **(variables or {})}
    done = subprocess.run(command, cwd=directory, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(str(one) for one in command)
        raise CertificationError(f"{shown} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def _program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def _artifact() -> Path:
    """Build what a release would be: with the changelog that its fragments make."""
    tree = sync("certify")
    _run([_program("antsibull-changelog"), "release"], tree)
    output = _CERTIFY / "artifact"
    _run([_program("ansible-galaxy"), "collection", "build", "--force", "--output-path", output, tree], tree)
    return max(output.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)


def _prepare_importer() -> None:
    requirements = REPOSITORY / "tests" / "requirements-certify.txt"
    stamp = _CERTIFY / "venv" / ".installed"
    if stamp.exists() and stamp.stat().st_mtime >= requirements.stat().st_mtime:
        return
    _run([sys.executable, "-m", "venv", _CERTIFY / "venv"], REPOSITORY)
    _run([_IMPORTER / "pip", "install", "-q", "--disable-pip-version-check", "-r", requirements], REPOSITORY)
    stamp.touch()


def _import(artifact: Path) -> None:
    settings = _CERTIFY / "importer.cfg"
    settings.write_text(_SETTINGS)
    variables = {
        "GALAXY_IMPORTER_CONFIG": str(settings),
        "PATH": os.pathsep.join([str(_IMPORTER), environment()["PATH"]]),
    }
    output = _run([_IMPORTER / "python", "-m", "galaxy_importer.main", artifact], _CERTIFY, variables)
    (_CERTIFY / "importer.log").write_text(output)
    found = [line for line in output.splitlines() if re.match(r"(WARNING|ERROR|CRITICAL)", line)]
    if found:
        raise CertificationError("galaxy-importer is not content:\n" + "\n".join(found))
    if "Importer processing completed successfully" not in output:
        raise CertificationError(f"galaxy-importer did not finish:\n{output[-2000:]}")


def _install_from_git() -> int:
    """Install from this repository's last commit, as from an address on GitHub; returns how many plugins are listed."""
    with tempfile.TemporaryDirectory(prefix="from-git-") as directory:
        collections = Path(directory)
        address = f"git+file://{REPOSITORY},HEAD"
        galaxy = _program("ansible-galaxy")
        _run([galaxy, "collection", "install", "--offline", "-p", directory, address], collections)
        installed = collections / COLLECTION
        listed = 0
        for folder, kind in _KINDS.items():
            present = list((installed / "plugins" / folder).glob("*.py"))
            path = {"ANSIBLE_COLLECTIONS_PATH": directory}
            names = _run([_program("ansible-doc"), "-t", kind, "--list", "certops.vault_extca"], collections, path)
            found = [line.split()[0] for line in names.splitlines() if line.startswith("certops.vault_extca.")]
            if present and not found:
                raise CertificationError(f"ansible-doc lists no {kind} of what was installed from git")
            _run([_program("ansible-doc"), "-t", kind, *found], collections, path)
            listed += len(found)
        return listed


def main() -> int:
    """0 if nothing is objected to."""
    _CERTIFY.mkdir(parents=True, exist_ok=True)
    try:
        listed = _install_from_git()
        print(f"certify: installs from git, and documents {listed} plugins", flush=True)
        _prepare_importer()
        _import(_artifact())
    except CertificationError as error:
        print(f"certify: {error}", file=sys.stderr)
        return 1
    print("certify: galaxy-importer has neither errors nor warnings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
