# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What the documentation says of endpoints and rights is what the modules do; ready policies are enough, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import ExternalCA, OrderReference
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import Answer, VaultConnection

from tests.tools.reference import MOUNT, PEOPLE, REPOSITORY, pages

from .endpoints import CAPABILITIES, engine_endpoints, template_of
from .rights import MODULES, RIGHTS
from .uses import USES, Place


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_the_documentation_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "run python -m tests.tools.reference"


@pytest.mark.parametrize("module", RIGHTS)
def test_a_module_documents_its_rights(module: str) -> None:
    text = (MODULES / f"vault_extca_{module}.py").read_text(encoding="utf-8")
    assert f"  - certops.vault_extca.rights.{module}\n" in text


def test_no_endpoint_of_the_contract_is_without_a_module() -> None:
    used = {
        (right.path, capability) for rights in RIGHTS.values() for right in rights for capability in right.capabilities
    }
    # To make an account known is another capability than to change it, on an endpoint of its own.
    used |= {(path, "update") for path, capability in used if capability == "create"}
    without = [(method, path) for method, path in engine_endpoints() if (path, CAPABILITIES[method]) not in used]
    assert without == []


class _Recorder:
    """A connection that answers everything with the same, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()

    def request(self, method: str, path: str, **_rest: object) -> Answer:
        self.asked.add((method, path))
        data = {"keys": [], "order_id": "1", "certificate": "-", "email_contacts": [], "success": True}
        return Answer(200, data, [], {"data": data})


ORDER = OrderReference("web", "1")
NAMES = {"identifiers": ["x.example.com"]}
CALLS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    ("acme_account_names", (), {}),
    ("acme_account", ("a",), {}),
    ("write_acme_account", ("a", {}), {}),
    ("import_acme_account", ("a", {}), {}),
    ("rotate_acme_account_key", ("a", "ec-256", False), {}),
    ("delete_acme_account", ("a",), {}),
    ("role_names", (), {}),
    ("role", ("r",), {}),
    ("write_role", ("r", {}), {}),
    ("delete_role", ("r", False), {}),
    ("dns_provider_names", (), {}),
    ("dns_provider_names", ("rfc2136",), {}),
    ("dns_provider", ("rfc2136", "d"), {}),
    ("write_dns_provider", ("rfc2136", "d", {}), {}),
    ("delete_dns_provider", ("rfc2136", "d"), {}),
    ("test_dns_provider", ("rfc2136", "d", "x.example.com", False), {}),
    ("new_order", ("r",), NAMES),
    ("order", (ORDER,), {}),
    ("challenge", (ORDER, "x.example.com", "http-01"), {}),
    ("fulfil_challenge", (ORDER, "x.example.com", "http-01"), {}),
    ("certificate", (ORDER,), {}),
    ("revoke", (ORDER, "superseded"), {}),
    ("active_orders", ("r",), {}),
    ("cached_certificate", ("r",), {**NAMES, "min_validity_seconds": 0}),
    ("issued_certificate", ("01:02",), {}),
    ("find_order", ("1",), {}),
    ("order_ids", (), {}),
    ("recent_orders", ("1h",), {}),
)
OF_THE_CORE = {"mount_configuration", "enable", "tune", "disable"}
ASKS_NOTHING = {"on"}


def test_every_endpoint_has_its_method() -> None:
    connection = _Recorder()
    engine = ExternalCA(cast(VaultConnection, connection), MOUNT)
    for name, arguments, options in CALLS:
        getattr(engine, name)(*arguments, **options)
    asked = {(method, template_of(path, MOUNT)) for method, path in connection.asked}
    assert asked == set(engine_endpoints())
    methods = {name for name in vars(ExternalCA) if not name.startswith("_")}
    assert methods == {name for name, _arguments, _options in CALLS} | OF_THE_CORE | ASKS_NOTHING


def _run_all(place: Place, modules: tuple[str, ...], token: str) -> dict[str, dict[str, object]]:
    results = {}
    for module in modules:
        for name, prepare in USES[module].items():
            use = prepare(place)
            options = {**use.options, "token": token}
            results[f"{module}, {name}"] = place.engine.run(module, options, check=use.check, fails=None)
            place.engine.renew()
    return results


@pytest.mark.parametrize("person", PEOPLE)
def test_a_ready_policy_is_enough_for_its_person_and_no_more(place: Place, person: str) -> None:
    text = (REPOSITORY / "docs" / "policies" / f"{person}.hcl").read_text(encoding="utf-8")
    token = place.engine.bench.token_with(text.replace(MOUNT, place.engine.mount))
    own = PEOPLE[person][1]
    for use, result in _run_all(place, own, token).items():
        assert not result.get("failed"), f"{use}: {result['msg']}"
        assert not result.get("warnings"), f"{use}: {result['warnings']}"
    held = {(right.path, one) for module in own for right in RIGHTS[module] for one in right.capabilities}
    others = tuple(
        module
        for module in RIGHTS
        if module not in own
        and any((right.path, one) not in held for right in RIGHTS[module] for one in right.capabilities)
    )
    results = _run_all(place, others, token)
    for module in others:
        refused = [result for use, result in results.items() if use.startswith(f"{module}, ")]
        assert any("permission denied" in str(result) or "may not read" in str(result) for result in refused), module
