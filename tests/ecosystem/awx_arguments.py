# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.ecosystem.awx_arguments COLLECTION``: notes the options of the modules that docs/awx/configure.yml uses.

COLLECTION is the directory of an installed awx.awx. The notes let the playbook be checked where awx.awx is not installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

NOTES = Path(__file__).with_name("awx_arguments.json")
MODULES = (
    "credential",
    "credential_type",
    "execution_environment",
    "inventory",
    "job_template",
    "project",
    "schedule",
)


def documented(collection: Path) -> dict[str, Any]:
    """The collection's version, and of each module every option's type, choices and whether it is required."""
    manifest = json.loads((collection / "MANIFEST.json").read_text())
    modules = {}
    for name in MODULES:
        text = (collection / "plugins" / "modules" / f"{name}.py").read_text()
        documentation = yaml.safe_load(text.split("DOCUMENTATION = '''", 1)[1].split("'''", 1)[0])
        modules[name] = {
            option: {key: described[key] for key in ("type", "choices", "required") if described.get(key)}
            for option, described in documentation["options"].items()
        }
    return {"version": manifest["collection_info"]["version"], "modules": modules}


if __name__ == "__main__":
    NOTES.write_text(json.dumps(documented(Path(sys.argv[1])), indent=1, sort_keys=True) + "\n")
