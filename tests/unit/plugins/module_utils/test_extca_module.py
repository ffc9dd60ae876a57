# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The base of modules, and that every module's documentation is its argument spec."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.certops.vault_extca.plugins.module_utils import extca_module

from ...conftest import RunModule
from ...issuing import new_csr
from ...ordering import AWAITING, ID, ORDER, ORDER_ID, order_status
from ...running import NULL
from ...support import NO_CONTENT, Answer, FakeVault, ManualClock

PACKAGE = "ansible_collections.certops.vault_extca.plugins"
MODULES = sorted(
    path.stem for path in (Path(str(extca_module.__file__)).parents[1] / "modules").glob("vault_extca_*.py")
)
# Options that hold a secret; all others may be logged.
SECRETS = {
    "token",
    "password",
    "secret_id",
    "wrapped_secret_id",
    "jwt",
    "aws_secret_key",
    "aws_security_token",
    "azure_client_secret",
    "account_key",
    "eab_key",
    "tsig_secret",
    "secret_access_key",
    "client_secret",
    "credentials",
    "private_key",
}
# What is said of an option both in a spec and in its documentation.
DOCUMENTED = ("type", "elements", "choices", "default", "aliases", "required")


class AnsibleLoader(yaml.SafeLoader):
    """YAML with Ansible's own tag."""


AnsibleLoader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(cast(yaml.ScalarNode, node)))


class Stopped(Exception):
    """Raised in place of running a module."""


def spec_of(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The argument spec and rules that a module hands to AnsibleModule."""
    seen: dict[str, Any] = {}

    def stop(module: Any, argument_spec: dict[str, Any], **rules: Any) -> None:
        seen.update(rules, argument_spec=argument_spec)
        raise Stopped

    monkeypatch.setattr(basic.AnsibleModule, "__init__", stop)
    with pytest.raises(Stopped):
        importlib.import_module(f"{PACKAGE}.modules.{name}").main()
    return seen


def documentation(name: str, which: str = "DOCUMENTATION") -> dict[str, Any]:
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    return cast("dict[str, Any]", yaml.safe_load(getattr(module, which)) or {})


def fragment(name: str) -> dict[str, Any]:
    _collection, _dot, rest = name.removeprefix("certops.").partition(".")
    file, _dot, section = rest.partition(".")
    fragments = importlib.import_module(f"{PACKAGE}.doc_fragments.{file}").ModuleDocFragment
    return cast("dict[str, Any]", yaml.safe_load(getattr(fragments, section.upper() or "DOCUMENTATION")))


def documented_options(name: str) -> dict[str, Any]:
    """A module's own options over those of its fragments, as ansible-doc merges them."""
    doc = documentation(name)
    options: dict[str, Any] = {}
    for one in doc["extends_documentation_fragment"]:
        options.update(fragment(one).get("options") or {})
    for option, described in (doc.get("options") or {}).items():
        options[option] = {**options.get(option, {}), **described}
    return options


def plain(described: dict[str, Any]) -> dict[str, Any]:
    """What matters of an option, from a spec or from its documentation."""
    found = {key: described[key] for key in DOCUMENTED if described.get(key) not in (None, [], False)}
    for key in ("choices", "aliases"):
        if key in found:
            found[key] = [str(one) for one in found[key]]
    return found


def test_there_are_modules() -> None:
    assert len(MODULES) >= 17


@pytest.mark.parametrize("name", MODULES)
def test_documentation_is_the_argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(name, monkeypatch)["argument_spec"]
    options = documented_options(name)
    assert sorted(options) == sorted(spec)
    for option, described in options.items():
        assert plain(described) == plain(spec[option]), option
        assert described["description"], option


@pytest.mark.parametrize("name", MODULES)
def test_secrets_are_never_logged(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for option, described in spec_of(name, monkeypatch)["argument_spec"].items():
        secret = option in SECRETS or option.endswith("passphrase")
        assert bool(described.get("no_log")) is secret, option


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_documented_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    doc = documentation(name)
    assert (doc["module"], doc["version_added"]) == (name, "0.1.0")
    assert spec_of(name, monkeypatch).get("supports_check_mode", True) is True
    attributes: dict[str, Any] = {}
    for one in doc["extends_documentation_fragment"]:
        for key, value in (fragment(one).get("attributes") or {}).items():
            attributes[key] = {**attributes.get(key, {}), **value}
    for key, value in (doc.get("attributes") or {}).items():
        attributes[key] = {**attributes.get(key, {}), **value}
    assert attributes["check_mode"]["support"] in ("full", "partial")
    assert attributes["check_mode"]["support"] == "full" or attributes["check_mode"]["details"]
    assert attributes["diff_mode"]["support"] in ("full", "none", "N/A")
    if "mount" in documented_options(name):
        assert attributes["action_group"]["support"] == "full"


@pytest.mark.parametrize("name", MODULES)
def test_every_example_uses_options_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    tasks = cast("list[dict[str, Any]]", yaml.load(module.EXAMPLES, AnsibleLoader))
    names = [task for task in tasks if f"certops.vault_extca.{name}" in task]
    assert names
    spec = spec_of(name, monkeypatch)["argument_spec"]
    known = set(spec) | {alias for one in spec.values() for alias in one.get("aliases", [])}
    for task in names:
        assert set(task[f"certops.vault_extca.{name}"] or {}) <= known


@pytest.mark.parametrize("name", MODULES)
def test_every_return_value_has_a_sample(name: str) -> None:
    def check(values: dict[str, Any], where: str) -> None:
        for key, value in values.items():
            assert {"description", "returned", "type"} <= set(value), f"{where}{key}"
            if "contains" in value:
                check(value["contains"], f"{where}{key}.")
            else:
                assert "sample" in value, f"{where}{key}"

    check(documentation(name, "RETURN"), "")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_thin(name: str) -> None:
    source = Path(str(importlib.import_module(f"{PACKAGE}.modules.{name}").__file__)).read_text(encoding="utf-8")
    body = ast.parse(source).body
    documented = [node for node in body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    below = source.splitlines()[documented[-1].end_lineno or 0 :]
    assert sum(1 for line in below if line.strip()) <= 60


# ---------------------------------------------------------------------- the base itself


def test_a_login_of_a_task_ends_with_it(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("POST", "auth/approle/login", Answer(None, auth={"client_token": "hvs.login"}))
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING))
    vault.on("POST", "auth/token/revoke-self", NO_CONTENT)
    options = {"auth_method": "approle", "role_id": "r", "secret_id": "s", "id": ID}
    run_module("vault_extca_order_info", options)
    assert vault.calls[-1] == "POST auth/token/revoke-self"
    vault.on("GET", f"{ORDER}/status", Answer(status=500, errors=["no"]))
    assert run_module("vault_extca_order_info", options)["failed"] is True
    assert vault.calls[-1] == "POST auth/token/revoke-self"


def test_a_token_that_a_server_repeats_is_censored(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{ORDER}/status", Answer(status=500, errors=["bad token hvs.unit"]))
    result = run_module("vault_extca_order_info", {"id": ID})
    assert "hvs.unit" not in str(result)


@pytest.mark.parametrize("empty", ["", "/"])
def test_an_empty_id_is_refused(vault: FakeVault, run_module: RunModule, empty: str) -> None:
    assert "is not of the form" in run_module("vault_extca_order_info", {"id": empty})["msg"]


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("order_certificate", {"role_name": NULL, "order_id": ORDER_ID}, "role_name '' cannot be used"),
        ("order_certificate", {"id": NULL}, "role_name '' cannot be used"),
        ("order_certificates", {"role_name": NULL, "order_ids": [ORDER_ID]}, "role_name '' cannot be used"),
        ("order_certificates", {"ids": NULL}, "order_ids and ids are null"),
        ("certificate_info", {"role_name": NULL, "identifiers": ["a.example.com"]}, "role_name '' cannot be used"),
        ("certificate_info", {"role_name": "web", "identifiers": NULL}, "identifiers is null"),
        ("order", {"role_name": "web", "csr_path": NULL}, "identifiers is null"),
    ],
)
def test_null_is_told_where_something_is_needed(
    vault: FakeVault, run_module: RunModule, name: str, options: dict[str, Any], complaint: str
) -> None:
    assert complaint in run_module(f"vault_extca_{name}", options)["msg"]
    assert vault.calls == []


def test_a_library_that_is_missing_is_told(
    vault: FakeVault, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_given: Any) -> None:
        raise ImportError("No module named 'cryptography'", name="cryptography.x509")

    monkeypatch.setattr(extca_module, "csr_identifiers", missing)
    result = run_module("vault_extca_order", {"role_name": "web", "csr": new_csr("www.example.com")})
    assert "The Python library cryptography cannot be imported" in result["msg"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"wait_timeout": -1}, "wait_timeout -1 "),
        ({"poll_interval": 0.05}, "poll_interval 0.05 is not between 0.1 and 3600 seconds"),
        ({"poll_interval": 4000}, "poll_interval 4000 is not between"),
    ],
)
def test_patience_has_limits(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module("vault_extca_order_challenge_info", {"id": ID, "challenge_type": "http-01", **options})
    assert complaint in result["msg"]
    assert vault.calls == []
