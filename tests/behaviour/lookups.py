# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The lookup, run in this process, without the shell that makes a plugin of it: that belongs to Ansible's controller, and a
module beside it would take itself for a part of the controller. (What is in the shell, playbooks show.)"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import yaml
from ansible_collections.certops.vault_extca.plugins.doc_fragments import auth, connection, mount
from ansible_collections.certops.vault_extca.plugins.module_utils.certificate_lookup import look_up_certificates
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError

from tests.tools.tree import REPOSITORY

from .harness import Result
from .stage import Stage

TITLE = "certificate (lookup)"
PLUGIN = REPOSITORY / "plugins" / "lookup" / "certificate.py"


@functools.cache
def documented() -> dict[str, dict[str, Any]]:
    """The options of the lookup as they are documented."""
    own = re.search(r'DOCUMENTATION = r"""(.*?)"""', PLUGIN.read_text(), re.DOTALL)
    assert own is not None
    texts = [own[1], *(one.ModuleDocFragment.DOCUMENTATION for one in (connection, auth, mount))]
    return {name: said for text in texts for name, said in yaml.safe_load(text)["options"].items() if name != "_terms"}


def look_up(stage: Stage, options: Mapping[str, Any], *terms: Any) -> Result:
    """What the lookup finds, as ``found`` of a result; or ``failed`` and ``msg``. ``warnings`` are what it warns of.

    Address, token and mount are the stage's unless they are given; an option that is None is not given.
    """
    defaults = {name: said.get("default") for name, said in documented().items()}
    stages = {"url": stage.vault.url, "token": stage.vault.token, "mount": stage.engine.mount}
    warnings: list[str] = []
    try:
        found = look_up_certificates(terms, {**defaults, **stages, **options}, warn=warnings.append)
    except ExtcaError as error:
        return {"failed": True, "msg": error.message, "warnings": warnings}
    return {"changed": False, "found": found, "warnings": warnings}
