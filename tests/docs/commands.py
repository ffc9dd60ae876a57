# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Commands that pages tell their readers to type, and who types them here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .examples import blocks

_BEGIN = re.compile(r"^\$ ", re.M)


@dataclass(frozen=True)
class Command:
    """One command, with what the page shows of its answer."""

    page: str
    text: str
    answer: str

    @property
    def name(self) -> str:
        """What it is listed under: itself, but for options that are handed on to a tool of this repository."""
        return re.sub(r' MATRIX="[^"]*"$', "", self.text)


@dataclass(frozen=True)
class Elsewhere:
    """Why a command is not run by test_commands, and the file that has ``text``, which does as much of it as can be done."""

    reason: str
    file: str
    text: str


def commands() -> list[Command]:
    """All commands of all pages, in the order of the pages; lines that end with a backslash are joined with the next."""
    found = []
    for block in blocks():
        if block.language == "console":
            for piece in _BEGIN.split(block.text.replace("\\\n", " "))[1:]:
                text, _newline, answer = piece.partition("\n")
                found.append(Command(block.page, " ".join(text.split()), answer.strip()))
    return found


# Each is taken as a whole, so a command that a page changes is in neither list.
ELSEWHERE: Mapping[str, Elsewhere] = {
    "make test": Elsewhere("what runs this", ".ci/run", "exec make test"),
    "make build": Elsewhere("a stage of make test, beside this one", "tests/tools/stages.py", 'Stage("build"'),
    "ansible-galaxy collection install build/artifact/certops-vault_extca-0.1.0.tar.gz": Elsewhere(
        "part of make build, which makes the file", "tests/tools/artifact.py", '"ansible-galaxy"'
    ),
    "ansible-galaxy collection install certops.vault_extca": Elsewhere(
        "Galaxy is elsewhere; the artifact that goes there is installed by make build",
        "tests/tools/artifact.py",
        '"ansible-galaxy"',
    ),
    "git clone https://github.com/certops/vault_extca && cd vault_extca": Elsewhere(
        "the address is elsewhere; it is the collection's own", "galaxy.yml", "https://github.com/certops/vault_extca\n"
    ),
    "make venv apt links": Elsewhere(
        "what the stage of these tests begins with", "Makefile", "docs-tests: venv apt links"
    ),
    "pip install hvac cryptography": Elsewhere(
        "an environment of these and nothing else is tried there",
        "tests/ecosystem/test_awx.py",
        "def test_an_environment_of_only_what_is_declared_runs_the_collection",
    ),
    "export VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=…": Elsewhere(
        "every run here has these variables", "tests/behaviour/harness.py", '"VAULT_ADDR": bench.vault.url'
    ),
    "export CONTROLLER_HOST=https://awx.example.com CONTROLLER_OAUTH_TOKEN=…": Elsewhere(
        "AWX is elsewhere", "tests/ecosystem/test_awx.py", "def test_every_option_is_one_of_awx_awx"
    ),
    "ansible-builder build --file execution-environment.yml --tag registry.example.com/vault-extca-ee": Elsewhere(
        "building takes containers; ansible-builder creates what would be built",
        "tests/ecosystem/test_awx.py",
        "def test_builder_takes_the_definitions",
    ),
    "ansible-playbook configure.yml -e @secrets.yml -e project_url=https://git.example.com/certificates.git"
    " -e vault_url=https://vault.example.com:8200": Elsewhere(
        "takes awx.awx: run by make neighbours, against a stand-in of AWX's API; here, modules, options and surveys are checked",
        "tests/ecosystem/test_neighbours.py",
        "def test_configure_makes_in_awx_what_jobs_need",
    ),
}
