# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Examples, as they stand in the modules' documentation and on the pages."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.tools.tree import REPOSITORY

_BLOCK = re.compile(
    r"(?:^ *<!-- example: (?P<state>\w+) -->\n)?^(?P<indent> *)```yaml\n(?P<text>.*?)^ *```$", re.M | re.S
)
_FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S)


@dataclass(frozen=True)
class Example:
    """One example; ``state`` names what it needs to find, ``""`` if the page does not say."""

    name: str
    state: str
    text: str

    @property
    def is_play(self) -> bool:
        """Whether it is plays, and not tasks."""
        return re.search(r"^  hosts:", self.text, re.M) is not None

    @property
    def is_variables(self) -> bool:
        """Whether it is variables for one of the playbooks, and no list of anything."""
        return re.match(r"\w+:", self.text) is not None


@dataclass(frozen=True)
class Block:
    """What stands between fences on a page."""

    page: str
    language: str
    text: str


def blocks() -> list[Block]:
    """All fenced blocks of all pages, also those that are no YAML."""
    found = []
    for path in [*pages(), *sorted(REPOSITORY.glob("docs/awx/**/*.md")), REPOSITORY / "tests" / "README.md"]:
        for block in _FENCED.finditer(path.read_text()):
            text = textwrap.dedent(block["text"])
            found.append(Block(path.relative_to(REPOSITORY).as_posix(), block["language"], text))
    return found


def of_plugins() -> list[Example]:
    """The EXAMPLES of all modules, lookups and filters."""
    found = []
    for path in sorted(REPOSITORY.glob("plugins/filter/*.yml")):
        found.append(Example(path.stem, "reported", str(yaml.safe_load(path.read_text())["EXAMPLES"])))
    for path in sorted([*REPOSITORY.glob("plugins/modules/*.py"), *REPOSITORY.glob("plugins/lookup/*.py")]):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
                found.append(Example(path.stem.removeprefix("vault_extca_"), "", str(ast.literal_eval(node.value))))
    return found


def pages() -> list[Path]:
    """Everything that people read, but not what belongs to AWX, which is tested where it is run."""
    found = [REPOSITORY / "README.md", REPOSITORY / "roles/certificate/README.md", *REPOSITORY.glob("docs/**/*.md")]
    return sorted(path for path in found if "awx" not in path.parts)


def of_pages() -> list[Example]:
    """The YAML blocks of all pages."""
    found = []
    for path in pages():
        name = path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", "_").replace("-", "_")
        for number, block in enumerate(_BLOCK.finditer(path.read_text()), 1):
            text = textwrap.dedent(block["text"])
            found.append(Example(f"{name}_{number}", block["state"] or "", text))
    return found
