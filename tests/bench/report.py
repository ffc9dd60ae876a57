# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The table, for the terminal and for docs/performance.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from .costs import PEERS

PAGE = Path(__file__).with_name("page.md")


@dataclass(frozen=True)
class Row:
    """One line: what was measured beside what, both figures, and the goal as the largest ratio (None: none was set)."""

    what: str
    against: str
    figure: str
    other: str
    ratio: float | None = None
    goal: float | None = None
    met: bool | None = None

    @property
    def verdict(self) -> str:
        met = self.met
        if met is None and self.goal is not None and self.ratio is not None:
            met = self.ratio <= self.goal
        return "" if met is None else "met" if met else "**missed**"

    def cells(self) -> list[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "" if self.goal is None else f"≤ {self.goal:g}"
        return [self.what, self.against, self.figure, self.other, ratio, goal, self.verdict]


_HEADS = ["what", "beside", "figure", "of the other", "ratio", "goal", ""]


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [_HEADS, ["---"] * len(_HEADS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(rows: Sequence[Row]) -> str:
    """Columns, for a terminal."""
    lines = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    ).replace("**", "")


def machine() -> str:
    """The machine and its software, as a list in Markdown."""
    try:
        info = Path("/proc/cpuinfo").read_text()
        processor = next(iter(re.findall(r"model name\s*: (.*)", info)), platform.processor())
        memory = int(re.findall(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[0]) / 2**20
    except (OSError, IndexError):
        processor, memory = platform.processor(), 0.0
    python = PEERS / "bin" / "python"
    names = ["ansible", "ansible-core", "hvac", "requests", "cryptography"]
    script = f"import importlib.metadata as m; print(*[f'{{n}} {{m.version(n)}}' for n in {names}], sep=', ')"
    packages = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout.strip()
    system = f"{os.cpu_count()} processors ({' '.join(processor.split())}), {memory:.0f} GiB of memory"
    kernel = f"{platform.system()} {platform.release()}; load average at the beginning {os.getloadavg()[0]:.1f}"
    peers = ", ".join(f"{name} {_collection(name)}" for name in ("community.hashi_vault", "community.crypto"))
    server = f"the development Vault on uvicorn {importlib.metadata.version('uvicorn')}"
    lines = [
        f"{system}, {kernel}",
        f"Python {platform.python_version()}; {packages}; {peers}",
        f"{server}, and Debian's Pebble without its pauses, on the same machine",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _collection(name: str) -> str:
    found = next(PEERS.glob(f"lib/python*/site-packages/ansible_collections/{name.replace('.', '/')}/MANIFEST.json"))
    versions = re.findall(r'"version": "([^"]+)"', found.read_text())
    return versions[0] if versions else "?"


def page(machine_text: str, sections: dict[str, Sequence[Row]], minutes: float) -> str:
    """docs/performance.md: the prose of page.md with the tables put in."""
    text = Template(PAGE.read_text())
    tables = {name: table(rows) for name, rows in sections.items()}
    every = [row for rows in sections.values() for row in rows if row.verdict]
    missed = [row for row in every if "missed" in row.verdict]
    return text.substitute(
        tables, machine=machine_text, minutes=f"{minutes:.0f}", goals=len(every), met=len(every) - len(missed)
    )
