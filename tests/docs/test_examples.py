# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every example of the documentation does what it says: run by ansible-playbook, against a development Vault and Pebble."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.behaviour.harness import play
from tests.testbed import Testbed, TestbedOptions

from .examples import Example, of_pages, of_plugins
from .states import Prepared, Site, prepare

_ALL = [*of_plugins(), *of_pages()]
_RECAP = re.compile(r"^(?P<host>\S+) +: ok=(?P<ok>\d+).*unreachable=(?P<unreachable>\d+) +failed=(?P<failed>\d+)", re.M)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bool, str]]:
    """For each host whether its play went well, from one run of ansible-playbook over all of them, and what it printed."""
    directory = tmp_path_factory.mktemp("examples")
    with Testbed(TestbedOptions(tls_vault=False)) as testbed:
        site = Site(testbed, directory)
        prepared = [prepare(site, example) for example in _ALL]
        inventory, output, waiting = str(_inventory(directory, site, prepared)), "", [one.text for one in prepared]
        # A play whose only host fails ends the run; the plays after it get another.
        while waiting:
            played = play(
                "\n".join(waiting), directory, site.bench, "-i", inventory, environment={"ANSIBLE_FORKS": "4"}
            )
            output += played.output
            begun = len(re.findall(r"^PLAY \[", played.output, re.M))
            waiting = waiting[max(begun, 1) :]
    return {
        match["host"]: (match["failed"] == "0" and match["unreachable"] == "0" and match["ok"] != "0", output)
        for match in _RECAP.finditer(output)
    } or {"": (False, output)}


def _inventory(directory: Path, site: Site, prepared: list[Prepared]) -> Path:
    groups = {}
    for one in prepared:
        if one.example.is_variables:
            continue
        label = one.text.split("hosts: ", 1)[1].split("\n", 1)[0]
        groups[label] = {
            "hosts": {host: {} for host in one.hosts},
            "vars": {**one.variables, "ansible_vault_extca_mount": _mount(one), "certificate_mount": _mount(one)},
        }
    everywhere = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_hashi_vault_url": site.bench.vault.url,
        "ansible_hashi_vault_token": site.bench.vault.token,
    }
    path = directory / "inventory.yml"
    path.write_text(json.dumps({"all": {"children": groups, "vars": everywhere}}))
    return path


def _mount(one: Prepared) -> str:
    return str(re.findall(r"mount: ([\w-]+)", one.text)[0])


def _hosts(example: Example, outcomes: dict[str, tuple[bool, str]]) -> list[str]:
    if example.is_variables:
        return [host for host in outcomes if host == "localhost"]
    own = example.name.replace("_", "-")
    label = f"{example.name}_lookup" if "lookup(" in example.text and example.name == "certificate" else example.name
    return [host for host in outcomes if host == label or re.fullmatch(rf"{own}-\d\.example\.com", host)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("example", _ALL, ids=lambda one: one.name)
def test_an_example_runs(example: Example, outcomes: dict[str, tuple[bool, str]]) -> None:
    hosts = _hosts(example, outcomes)
    output = next(iter(outcomes.values()))[1]
    assert hosts, f"{example.name} did not run at all:\n{output[-6000:]}"
    failures = "\n".join(line[:1500] for line in output.splitlines() if any(f"[{host}" in line for host in hosts))
    assert all(outcomes[host][0] for host in hosts), failures
