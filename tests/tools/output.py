# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Commands that tests run and look at the output of, as a person would type them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .ansible_test import home
from .tree import BUILD, REPOSITORY


def output(*command: str | Path, directory: Path = REPOSITORY, environment: Mapping[str, str] | None = None) -> str:
    """What a command that succeeds prints, on either stream.

    It finds the programs of this environment and the collection, and none of the settings that a person has made for Ansible
    or Vault; ``environment`` is added to that.

    :raises AssertionError: it failed; the text is what it printed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "VAULT_"))}
    settings = {
        "HOME": str(home()),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
    }
    done = subprocess.run(
        command,
        cwd=directory,
        env={**kept, **settings, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stdout)
    return done.stdout
