# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.certify``: what Galaxy and its reviewers check, over the artifact that would be released.

The collection must install from its artifact and from a git address, ansible-doc must show all that it holds, and
galaxy-importer (with ansible-lint and ansible-doc; ansible-test is a stage of ``make test``) must neither fail nor warn.
"""

from __future__ import annotations

import json
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
_KINDS = ("module", "lookup", "filter", "role")


class CertificationError(Exception):
    """Something that a reviewer would not accept."""


def _run(
    command: list[str | Path], directory: Path, variables: Mapping[str, str] | None = None, *, stderr: bool = True
) -> str:
    settings = {**environment(), **(variables or {})}
    done = subprocess.run(command, cwd=directory, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(str(one) for one in command)
        raise CertificationError(f"{shown} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout + (done.stderr if stderr else "")


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


def _documented(collections: Path) -> dict[str, set[str]]:
    """What ansible-doc lists of an installed collection by kind, after it has shown each."""
    found = {}
    for kind in _KINDS:
        path = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
        doc: list[str | Path] = [_program("ansible-doc"), "--type", kind]
        listed = json.loads(_run([*doc, "--list", "--json", "certops.vault_extca"], collections, path, stderr=False))
        for name in listed:
            shown = _run([*doc, name], collections, path)
            if name not in shown or "[WARNING]" in shown or "[ERROR]" in shown:
                raise CertificationError(f"ansible-doc shows {kind} {name} like this:\n{shown[-2000:]}")
        found[kind] = {name.rsplit(".", 1)[1] for name in listed}
    return found


def _present(installed: Path) -> dict[str, set[str]]:
    """What the collection's files hold by kind."""
    plugins = installed / "plugins"
    return {
        "module": {path.stem for path in (plugins / "modules").glob("*.py")},
        "lookup": {path.stem for path in (plugins / "lookup").glob("*.py")},
        # One file of code holds all filters; each has a file of documentation.
        "filter": {path.stem for path in (plugins / "filter").glob("*.yml")},
        "role": {path.name for path in (installed / "roles").iterdir()},
    }


def _install(source: str) -> int:
    """Install from an artifact or a git address, and have everything shown; returns how much that is."""
    with tempfile.TemporaryDirectory(prefix="installed-") as directory:
        collections = Path(directory)
        _run([_program("ansible-galaxy"), "collection", "install", "--offline", "-p", directory, source], collections)
        present, documented = _present(collections / COLLECTION), _documented(collections)
        if present != documented:
            raise CertificationError(f"from {source} came {present}, but ansible-doc lists {documented}")
        return sum(len(names) for names in documented.values())


def main() -> int:
    """0 if nothing is objected to."""
    _CERTIFY.mkdir(parents=True, exist_ok=True)
    try:
        artifact = _artifact()
        shown = _install(str(artifact))
        print(f"certify: {artifact.name} installs, and ansible-doc shows all {shown} that it holds", flush=True)
        shown = _install(f"git+file://{REPOSITORY},HEAD")
        print(f"certify: installs from git, and ansible-doc shows all {shown}", flush=True)
        _prepare_importer()
        _import(artifact)
    except CertificationError as error:
        print(f"certify: {error}", file=sys.stderr)
        return 1
    print("certify: galaxy-importer has neither errors nor warnings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
