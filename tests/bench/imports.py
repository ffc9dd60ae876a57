# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What modules weigh: the time to import them, and the bytes that Ansible sends to a host."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.behaviour.harness import Engine
from tests.tools.tree import BUILD, REPOSITORY

from .costs import PEERS, rounds, run
from .report import Row

_MODULES = "ansible_collections.certops.vault_extca.plugins.modules"
_GOAL_IMPORT, _GOAL_PAYLOAD = 1.15, 1.2
_PYTHON = str(PEERS / "bin" / "python")
_HEAVY = ("cryptography", "hvac", "requests", "boto3", "azure")

# Ansible's own function that builds what is sent, as ansible-playbook calls it.
# Prints its size, and the part of it that writes certificates to files.
_PAYLOAD = """
import base64, io, re, sys, zipfile
WRITING = tuple(f"/{one}.py" for one in ("destination", "file_set", "certificate_files", "unfinished_work"))
from ansible.plugins.loader import init_plugin_loader, module_loader
init_plugin_loader([sys.argv[1]])
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
for name in sys.argv[2:]:
    path = module_loader.find_plugin_with_context(name).plugin_resolved_path
    built = modify_module(module_name=name, module_path=path, module_args={}, templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": sys.executable}, module_compression="ZIP_DEFLATED")
    sent = built.b_module_data if hasattr(built, "b_module_data") else built[0]
    archive = max(re.findall(rb"[A-Za-z0-9+/=]{1000,}", sent), key=len)
    files = zipfile.ZipFile(io.BytesIO(base64.b64decode(archive))).infolist()
    print(name, len(sent), sum(one.compress_size for one in files if one.filename.endswith(WRITING)) * 4 // 3)
"""

# The same function, for a task with options: writes what is sent.
_BUILT = """
import json, sys
from ansible.plugins.loader import init_plugin_loader, module_loader
init_plugin_loader([sys.argv[1]])
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
path = module_loader.find_plugin_with_context(sys.argv[2]).plugin_resolved_path
built = modify_module(module_name=sys.argv[2], module_path=path, module_args=json.loads(sys.argv[3]),
    templar=Templar(DataLoader()), task_vars={"ansible_python_interpreter": sys.executable}, module_compression="ZIP_DEFLATED")
open(sys.argv[4], "wb").write(built.b_module_data if hasattr(built, "b_module_data") else built[0])
"""


def names() -> list[str]:
    """All modules of the collection."""
    return sorted(path.stem for path in (REPOSITORY / "plugins" / "modules").glob("vault_extca_*.py"))


def import_rows(turns: int) -> list[Row]:
    """Each module's import beside that of hvac: CPU of a Python that does nothing else, and ``-X importtime``."""
    subjects = {"hvac": "hvac", **{name: f"{_MODULES}.{name}" for name in names()}}
    found: dict[str, list[Imported]] = {name: [] for name in subjects}
    for _turn in range(turns):
        for name, module in subjects.items():
            found[name].append(_import(module))
    cpu = {name: median(one.cpu for one in each) for name, each in found.items()}
    alone = {name: median(one.alone for one in each) for name, each in found.items()}
    slowest, deepest = (max(names(), key=figures.__getitem__) for figures in (cpu, alone))
    light = [name for name in names() if not any(one.heavy for one in found[name])]
    return [
        Row(
            f"import of a module, CPU of the process (of {len(names())}, the heaviest: `{slowest}`)",
            "`import hvac`",
            f"{cpu[slowest] * 1000:.0f} ms",
            f"{cpu['hvac'] * 1000:.0f} ms",
            cpu[slowest] / cpu["hvac"],
            _GOAL_IMPORT,
        ),
        Row(
            f"the same, `-X importtime` (the heaviest: `{deepest}`)",
            "`import hvac`",
            f"{alone[deepest] * 1000:.0f} ms",
            f"{alone['hvac'] * 1000:.0f} ms",
            alone[deepest] / alone["hvac"],
            _GOAL_IMPORT,
        ),
        Row(
            "modules whose import brings in " + ", ".join(f"`{one}`" for one in _HEAVY),
            "none",
            str(len(names()) - len(light)),
            "0",
            met=len(light) == len(names()),
        ),
    ]


def payload_rows() -> list[Row]:
    """What Ansible sends for each module, beside vault_read."""
    listed = [f"certops.vault_extca.{name}" for name in names()]
    command = [_PYTHON, "-c", _PAYLOAD, str(BUILD / "links"), *listed, "community.hashi_vault.vault_read"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sent = [line.split() for line in printed.splitlines()]
    sizes = {name.rpartition(".")[2]: int(size) for name, size, _writing in sent}
    writing = {name.rpartition(".")[2]: int(part) for name, _size, part in sent}
    other = sizes.pop("vault_read")

    def row(what: str, size: float, goal: float | None = _GOAL_PAYLOAD) -> Row:
        return Row(what, "`vault_read`", f"{size / 1000:.0f} kB", f"{other / 1000:.0f} kB", size / other, goal)

    heaviest = sorted(sizes, key=sizes.__getitem__, reverse=True)
    return [
        row(f"bytes sent to a host, median of {len(sizes)} modules", median(sizes.values())),
        *(row(f"bytes sent for `{name}`", sizes[name]) for name in heaviest[:5]),
        row(
            "bytes sent for `vault_extca_order_certificate`, less the part that writes files",
            sizes["vault_extca_order_certificate"] - writing["vault_extca_order_certificate"],
            None,
        ),
    ]


def bound_rows(engine: Engine, directory: Path, turns: int) -> list[Row]:
    """What the module's process of vault_extca_order_certificate does that vault_read's does not."""
    reference = f"{engine.mount}/role/{engine.role}/order/{engine.issue()}"
    access = {"url": engine.bench.vault.url, "token": engine.bench.vault.token, "auth_method": "token"}
    subjects = {
        "ours": _sent(
            "certops.vault_extca.vault_extca_order_certificate", {**access, "id": f"{reference}/certificate"}, directory
        ),
        "theirs": _sent("community.hashi_vault.vault_read", {**access, "path": f"{reference}/fetch-cert"}, directory),
    }
    whole = rounds(turns, {name: functools.partial(run, [_PYTHON, str(sent)]) for name, sent in subjects.items()})
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in subjects}
    for _turn in range(turns):
        for name, sent in subjects.items():
            parts[name].append(_imported_parts(sent))

    def row(what: str, ours: float, theirs: float) -> Row:
        ratio = ours / theirs if theirs else None
        return Row(what, "`vault_read`", f"{ours * 1000:.0f} ms", f"{theirs * 1000:.0f} ms", ratio)

    rows = [row("CPU of the module's own process", whole["ours"].cpu, whole["theirs"].cpu)]
    for label, part in (
        ("import of `cryptography`, which the check needs", "cryptography"),
        ("import of the collection's own files, compiled by every task", "collection"),
        ("import of everything else", "rest"),
    ):
        both = [median(one[part] for one in parts[name]) for name in ("ours", "theirs")]
        rows.append(row(f"of that: {label}", *both))
    return rows


def _sent(name: str, options: dict[str, Any], directory: Path) -> Path:
    """What Ansible would send to a host for this task, as a file."""
    sent = directory / f"{name}.sent.py"
    command = [_PYTHON, "-c", _BUILT, str(BUILD / "links"), name, json.dumps(options), str(sent)]
    subprocess.run(command, check=True, capture_output=True)
    return sent


def _imported_parts(sent: Path) -> dict[str, float]:
    """Seconds of a module's process that imports took, each without those that it imports in turn."""
    done = subprocess.run(
        [_PYTHON, str(sent)],
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    parts = {"cryptography": 0.0, "collection": 0.0, "rest": 0.0}
    for own, _cumulated, name in (line[len("import time:") :].split("|") for line in _import_lines(done.stderr)):
        package = name.strip().partition(".")[0]
        part = {"cryptography": "cryptography", "ansible_collections": "collection"}.get(package, "rest")
        parts[part] += float(own) / 1e6
    return parts


def _import_lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.count("|") == 2 and "[us]" not in line]


class Imported(NamedTuple):
    """One import in a process of its own: seconds of CPU of the process, seconds of the import alone, heavy libraries."""

    cpu: float
    alone: float
    heavy: list[str]


def _import(module: str) -> Imported:
    script = f"import {module}, resource, sys; usage = resource.getrusage(resource.RUSAGE_SELF); "
    script += f"print(usage.ru_utime + usage.ru_stime, *[one for one in {_HEAVY} if one in sys.modules])"
    done = subprocess.run(
        [_PYTHON, "-X", "importtime", "-c", script],
        env={"PYTHONPATH": str(BUILD / "links"), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    cpu, *heavy = done.stdout.split()
    rows = [line.split("|") for line in _import_lines(done.stderr)]
    return Imported(float(cpu), next(float(row[1]) for row in rows if row[2].strip() == module) / 1e6, heavy)
