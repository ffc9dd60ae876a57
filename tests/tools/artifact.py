# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.artifact``: builds the collection, installs the artifact, and reads it as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

from .ansible_test import environment
from .tree import BUILD, COLLECTION, REPOSITORY, sync

_COLLECTION_NAME = "certops.vault_extca"
# What a user of the collection needs; nothing else may get into the artifact.
_WANTED = {
    # Galaxy runs ansible-lint over the artifact, and needs to know of awx.awx.
    ".ansible-lint",
    "CHANGELOG.md",
    "COPYING",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "REUSE.toml",
    "bindep.txt",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
}


class ArtifactError(Exception):
    """The artifact is not what it should be."""


def _ansible(program: str, *arguments: str, collections: Path) -> str:
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    variables = {**environment(), "ANSIBLE_COLLECTIONS_PATH": str(collections)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, cwd=collections)
    if done.returncode or "[ERROR]" in done.stderr or "[WARNING]" in done.stderr:
        raise ArtifactError(f"{' '.join(command)} said:\n{done.stdout[-2000:]}\n{done.stderr}")
    return done.stdout


def _modules(collections: Path) -> set[str]:
    listed = json.loads(_ansible("ansible-doc", "--json", "--list", _COLLECTION_NAME, collections=collections))
    return {name.rsplit(".", 1)[1] for name in listed}


def _check_files(artifact: Path) -> int:
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    surplus = {name.split("/", 1)[0] for name in names} - _WANTED
    if surplus:
        raise ArtifactError(f"{artifact.name} holds what no user needs: {', '.join(sorted(surplus))}")
    return len(names)


# Never talks to Vault: the group's defaults (address, token) must not reach the hosts that it runs on.
_WITHOUT_VAULT = {"vault_extca_certificate_files"}


def _check_modules(installed: Path, collections: Path) -> int:
    modules = {path.stem for path in (REPOSITORY / "plugins" / "modules").glob("vault_extca_*.py")}
    listed = _modules(collections)
    if not modules or listed != modules:
        raise ArtifactError(f"ansible-doc lists {sorted(listed)}, but there are {sorted(modules)}")
    runtime = yaml.safe_load((installed / "meta" / "runtime.yml").read_text())
    group = set(runtime["action_groups"]["vault_extca"])
    wanted = modules - _WITHOUT_VAULT
    if group != wanted:
        raise ArtifactError(f"the action group and the modules differ: {', '.join(sorted(group ^ wanted))}")
    readme = (installed / "README.md").read_text()
    unmentioned = [module for module in sorted(modules) if f"`{module}`" not in readme]
    if unmentioned:
        raise ArtifactError(f"README.md's table lacks {', '.join(unmentioned)}")
    for module in sorted(modules):
        _ansible("ansible-doc", f"{_COLLECTION_NAME}.{module}", collections=collections)
    return len(modules)


def main() -> int:
    """0 if the artifact is good."""
    tree = sync("build")
    output = BUILD / "artifact"
    with tempfile.TemporaryDirectory(prefix="collections-") as directory:
        collections = Path(directory)
        try:
            _ansible(
                "ansible-galaxy",
                "collection",
                "build",
                "--force",
                "--output-path",
                str(output),
                str(tree),
                collections=collections,
            )
            version = yaml.safe_load((REPOSITORY / "galaxy.yml").read_text())["version"]
            artifact = output / f"{_COLLECTION_NAME.replace('.', '-')}-{version}.tar.gz"
            files = _check_files(artifact)
            _ansible(
                "ansible-galaxy",
                "collection",
                "install",
                "--offline",
                "-p",
                directory,
                str(artifact),
                collections=collections,
            )
            modules = _check_modules(collections / COLLECTION, collections)
        except ArtifactError as error:
            print(f"build: {error}", file=sys.stderr)
            return 1
    print(f"build: {artifact.name} holds {files} files, installs, and documents {modules} modules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
