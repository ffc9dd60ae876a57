# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Copies of the checkout where Ansible looks for collections, at ``ansible_collections/certops/vault_extca``.

``ansible-test`` resolves symbolic links and writes into the tree that it tests, so each of its runs gets a copy of its
own. A copy holds the tracked files and those that git does not ignore; a second call copies only what has changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"
COLLECTION = Path("ansible_collections") / "certops" / "vault_extca"
# What ansible-test writes, and what it is given, in its tree.
_KEPT = (Path(".git"), Path("tests/output"), Path("tests/integration/integration_config.yml"))


def _files() -> set[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    names = {Path(name) for name in listing.stdout.split("\0") if name}
    return {name for name in names if os.path.lexists(REPOSITORY / name)}


def _copy(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.unlink(missing_ok=True)
        target.symlink_to(source.readlink())
        return
    status = source.stat()
    if target.is_file() and not target.is_symlink():
        present = target.stat()
        if (present.st_size, present.st_mtime_ns, present.st_mode) == (
            status.st_size,
            status.st_mtime_ns,
            status.st_mode,
        ):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _remove_others(directory: Path, root: Path, files: set[Path]) -> None:
    for path in directory.iterdir():
        name = path.relative_to(root)
        if name in _KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            _remove_others(path, root, files)
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in files:
            path.unlink()


def sync(name: str) -> Path:
    """Bring the copy called ``name`` up to date; returns the collection's directory in it."""
    root = BUILD / "trees" / name / COLLECTION
    root.mkdir(parents=True, exist_ok=True)
    # ansible-test lists files with git where there is a repository, and would find the outer one, which ignores build/.
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    files = _files()
    _remove_others(root, root, files)
    for file in files:
        _copy(REPOSITORY / file, root / file)
    return root


if __name__ == "__main__":
    print(sync(sys.argv[1]))
