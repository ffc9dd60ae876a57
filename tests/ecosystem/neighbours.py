# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.ecosystem.neighbours DIRECTORY``: notes the options of other collections' modules that examples here use.

DIRECTORY holds ``ansible_collections``. The notes let the examples be checked where those collections are not installed.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NOTES = Path(__file__).with_name("neighbours.json")
MODULES = {
    "amazon.aws": ("route53",),
    "awx.awx": (
        "credential",
        "credential_type",
        "execution_environment",
        "inventory",
        "job_template",
        "project",
        "schedule",
    ),
    "community.general": ("nsupdate",),
}
_PYTHON = {"bool": bool, "dict": dict, "float": float, "int": int, "list": list, "str": str}


def documented(collections: Path) -> dict[str, Any]:
    """By collection its version, and of each module every option's type, choices, aliases, and whether it is required."""
    found: dict[str, Any] = {}
    for collection, names in MODULES.items():
        directory = collections / "ansible_collections" / collection.replace(".", "/")
        manifest = json.loads((directory / "MANIFEST.json").read_text())
        modules = {name: _options(directory / "plugins" / "modules" / f"{name}.py") for name in names}
        found[collection] = {"version": manifest["collection_info"]["version"], "modules": modules}
    return found


def _options(path: Path) -> dict[str, Any]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            options = yaml.safe_load(ast.literal_eval(node.value))["options"]
            keys = ("aliases", "choices", "required", "type")
            return {name: {key: told[key] for key in keys if told.get(key)} for name, told in options.items()}
    raise AssertionError(f"{path} has no documentation")


def known() -> dict[str, Any]:
    """What is known of other collections: from themselves, where all of them are installed, and otherwise from the notes."""
    for one in sys.path:
        if all((Path(one) / "ansible_collections" / name.replace(".", "/")).is_dir() for name in MODULES):
            return documented(Path(one))
    noted: dict[str, Any] = json.loads(NOTES.read_text())
    return noted


def mistakes(module: str, options: Mapping[str, Any]) -> list[str]:
    """What would make the module refuse these options before any of their templates is filled."""
    collection, name = module.rsplit(".", 1)
    spec = known()[collection]["modules"][name]
    by_any_name = {alias: told for option, told in spec.items() for alias in (option, *told.get("aliases", ()))}
    found = [f"{module} has no option {option}" for option in options if option not in by_any_name]
    for option, told in spec.items():
        given = [one for one in (option, *told.get("aliases", ())) if one in options]
        if told.get("required") and not given:
            found.append(f"{module} needs {option}")
    for option, value in options.items():
        told = by_any_name.get(option, {})
        if isinstance(value, str) and "{{" in value:
            continue
        if not isinstance(value, _PYTHON[told.get("type", "str")]):
            found.append(f"{module}.{option} is {value!r}, not of type {told.get('type', 'str')}")
        elif "choices" in told and value not in told["choices"]:
            found.append(f"{module}.{option} is {value!r}, which is no choice")
    return found


if __name__ == "__main__":
    NOTES.write_text(json.dumps(documented(Path(sys.argv[1])), indent=1, sort_keys=True) + "\n")
