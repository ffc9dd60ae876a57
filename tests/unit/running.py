# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A module's own main(), run in this process as Ansible would run it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from ansible.module_utils import basic
from ansible.module_utils.common import warnings

MODULES = "ansible_collections.certops.vault_extca.plugins.modules"


# What Ansible itself documents of every module's result.
_OF_EVERY_MODULE = {"changed", "deprecations", "diff", "invocation", "warnings"}
NULL = object()  # an option that is given, as null


def run_main(name: str, options: Mapping[str, Any], *, check: bool = False, diff: bool = False) -> dict[str, Any]:
    """The result of the module ``name`` with these options; an option that is None is not given.

    ``check`` and ``diff`` are Ansible's modes. Whatever main() raises other than its own end, is raised.
    """
    given = {key: None if value is NULL else value for key, value in options.items() if value is not None}
    arguments = {**given, "_ansible_check_mode": check, "_ansible_diff": diff}
    # A process of Ansible's runs one module; here the warnings of the one before are still there.
    for kept in ("_global_warnings", "_global_deprecations"):
        getattr(warnings, kept).clear()
    before = {name: getattr(basic, name, None) for name in ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE")}
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    # ansible-core 2.19 and newer ask how results are to be serialised.
    basic._ANSIBLE_PROFILE = "legacy"
    printed = io.StringIO()
    try:
        main = importlib.import_module(f"{MODULES}.{name}").main
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main()
    finally:
        for attribute, value in before.items():
            setattr(basic, attribute, value)
    result: dict[str, Any] = json.loads(printed.getvalue())
    if "warnings" in result:
        # Texts until ansible-core 2.18, objects around them since.
        result["warnings"] = [one if isinstance(one, str) else one["event"]["msg"] for one in result["warnings"]]
    return result


def undocumented(name: str, result: Mapping[str, Any]) -> set[str]:
    """The keys of a module's result that its RETURN does not tell of."""
    told = yaml.safe_load(importlib.import_module(f"{MODULES}.{name}").RETURN)
    return set(_untold({key: one for key, one in result.items() if key not in _OF_EVERY_MODULE}, told))


def _untold(values: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if key not in told:
            yield key
        elif "contains" in told[key]:
            # A dictionary, a list of them, or dictionaries by order id.
            one_or_many = value if isinstance(value, list) else [value]
            if key == "certificates":
                one_or_many = list(value.values())
            for one in one_or_many:
                yield from (f"{key}.{inner}" for inner in _untold(one, told[key]["contains"]))
