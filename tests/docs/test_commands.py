# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Commands on the pages are run as they stand there, with addresses and directories of this machine in the places of the reader's.

Together with test_examples this leaves out no block of any page, and no file that is there to be copied.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml
from ansible_collections.certops.vault_extca.plugins.module_utils import progress_lines

from tests.ecosystem.neighbours import mistakes
from tests.testbed import Testbed, TestbedOptions
from tests.testbed.devserver import Devserver
from tests.testbed.ports import free_port
from tests.tools.output import output
from tests.tools.tree import REPOSITORY

from .commands import ELSEWHERE, Command, commands
from .examples import blocks

pytestmark = pytest.mark.timeout(300)


@dataclass
class Desk:
    """Where commands are typed: the services, and a directory of the reader's."""

    testbed: Testbed
    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What a page has its reader export, and where Python finds this repository's packages."""
        vault = self.testbed.vault
        return {"PYTHONPATH": str(REPOSITORY), "VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token}

    def type(self, line: str) -> str:
        """The output of a command that succeeds."""
        return output("/bin/bash", "-c", line, directory=self.directory, environment=self.environment)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    options = TestbedOptions(tls_vault=False, bind=False, eab=False, bare=False)
    with Testbed(options) as testbed:
        yield Desk(testbed, tmp_path_factory.mktemp("desk"))


def _demo(_desk: Desk, _command: Command) -> None:
    """What the target runs, once it has set up what these tests have as well."""
    assert "demo: venv apt links" in (REPOSITORY / "Makefile").read_text()
    demo = [sys.executable, "-m", "tests.tools.demo"]
    told = output(*demo)
    assert "subject=CN = www.example.com" in told
    assert "a second run changed nothing, and nothing is left running" in told


def _matrix(desk: Desk, command: Command) -> None:
    """It takes hours; the tool has the options, which is what a page can get wrong."""
    told = desk.type(f"{sys.executable} -m tests.tools.matrix --help")
    options = re.findall(r"--[\w-]+", command.text)
    assert options
    assert all(f"{option} " in told or f"{option}\n" in told or f"{option}]" in told for option in options), told


def _development_vault(desk: Desk, command: Command) -> None:
    """It says what the page says that it says, on another port."""
    port = free_port()
    line = command.text.replace(".venv/bin/python", sys.executable).replace(":8200", f":{port}")
    with subprocess.Popen(
        shlex.split(line), cwd=REPOSITORY, env={**os.environ, **desk.environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        ready = process.stdout.readline().strip()
        process.terminate()
    assert process.returncode == 0
    expected = re.escape(command.answer.replace(":8200", f":{port}")).replace("…", r"\S+")
    assert re.fullmatch(expected, ready), ready


def _around_a_playbook(desk: Desk, command: Command) -> None:
    """The playbook gets what the page says that it gets."""
    task = {
        "ansible.builtin.assert": {
            "that": [
                "testbed_acme_directory_url is match('https://')",
                "lookup('ansible.builtin.file', testbed_acme_ca) is search('BEGIN CERTIFICATE')",
                "lookup('ansible.builtin.env', 'VAULT_ADDR') | length > 0",
                "lookup('ansible.builtin.env', 'VAULT_TOKEN') | length > 0",
                "lookup('ansible.builtin.env', 'TESTBED_ACME_DIRECTORY_URL') == testbed_acme_directory_url",
            ]
        }
    }
    account = {
        "name": "main",
        "directory_url": "{{ testbed_acme_directory_url }}",
        "email_contacts": ["pki@example.com"],
        "trusted_ca": "{{ lookup('ansible.builtin.file', testbed_acme_ca) }}",
    }
    tasks = [
        task,
        {"certops.vault_extca.vault_extca_mount": {}},
        {"certops.vault_extca.vault_extca_acme_account": account},
    ]
    text = yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    (desk.directory / "your-playbook.yml").write_text(text)
    assert "changed=2" in desk.type(command.text.replace(".venv/bin/python", sys.executable))
    assert not (desk.directory / "testbed.json").exists()


def _send(command: Command, url: str) -> tuple[str, str]:
    """Send what curl would send; the address and the body, which the endpoint has taken."""
    words = shlex.split(command.text.replace("$VAULT_ADDR", url))
    assert words[0:2] == ["curl", "-X"]
    assert words[4] == "-d"
    address, body = words[3], words[5]
    answer = requests.request(words[2], address, data=body, timeout=20)
    assert answer.status_code == 200, answer.text
    return address, body


def _trouble_on_demand(desk: Desk, command: Command) -> None:
    with _trouble(desk.testbed.vault.url) as in_force:
        address, body = _send(command, desk.testbed.vault.url)
        assert json.loads(body).get("role", "status$") in in_force(address)
        if address.endswith("faults"):
            asked = f"{desk.testbed.vault.url}/v1/pki-external-ca/role/web/order/none/status"
            answers = [requests.get(asked, timeout=20).status_code for _time in range(3)]
            assert answers[:2] == [503, 503]
            assert answers[2] != 503


@contextlib.contextmanager
def _trouble(url: str) -> Iterator[Callable[[str], str]]:
    """What an endpoint for trouble says is in force; nothing of it is left."""
    try:
        yield lambda address: requests.get(address, timeout=20).text
    finally:
        for name in ("faults", "scripts"):
            requests.delete(f"{url}/dev/{name}", timeout=20).raise_for_status()


# These two have a server of their own: what it answers, and when it thinks it is, would be met by other commands.
def _answer(_desk: Desk, command: Command) -> None:
    with Devserver() as vault:
        address, body = _send(command, vault.url)
        assert json.loads(body).items() <= requests.get(address, timeout=20).json().items()


def _clock(_desk: Desk, command: Command) -> None:
    with Devserver() as vault:
        address, body = _send(command, vault.url)
        ahead = datetime.fromisoformat(requests.get(address, timeout=20).json()["now"]) - datetime.now(UTC)
        assert abs(ahead.total_seconds() - json.loads(body)["advance"]) < 60


def _workflow(desk: Desk, command: Command) -> None:
    """From an empty Vault to a certificate; then the report finds it."""
    given = {
        "acme_directory_url": desk.testbed.pebble.directory_url,
        "acme_trusted_ca": desk.testbed.ca.pem,
        "certificate_directory": str(desk.directory / "ssl"),
    }
    (desk.directory / "here.json").write_text(json.dumps(given))
    line = command.text.replace("/var/www/html", str(desk.testbed.webroot))
    desk.type(f"{line} -e @here.json")
    assert "BEGIN CERTIFICATE" in (desk.directory / "ssl" / "fullchain.pem").read_text()


def _report(desk: Desk, command: Command) -> None:
    _issued(desk)
    desk.type(command.text.replace("/var/www/html", str(desk.directory)))
    assert json.loads((desk.directory / "certificates.json").read_text())["counts"]["good"] == 1
    assert all((desk.directory / f"certificates.{suffix}").stat().st_size for suffix in ("html", "csv"))


def _renew(desk: Desk, command: Command) -> None:
    _issued(desk)
    assert "failed=0" in desk.type(command.text)


def _issued(desk: Desk) -> None:
    """What the report and the renewals find: what the README's command has made."""
    if not (desk.directory / "ssl").exists():
        _workflow(desk, next(one for one in commands() if "certops.vault_extca.workflow" in one.text))


RUN: Mapping[str, Callable[[Desk, Command], None]] = {
    "make demo": _demo,
    "make matrix": _matrix,
    ".venv/bin/python -m devserver --listen 127.0.0.1:8200": _development_vault,
    ".venv/bin/python -m devserver --listen 127.0.0.1:8200 --root-token root": _development_vault,
    ".venv/bin/python -m tests.testbed run --small --vars testbed.json -- ansible-playbook -e @testbed.json"
    " your-playbook.yml": _around_a_playbook,
    """curl -X POST $VAULT_ADDR/dev/faults -d '{"path": "status$", "kind": "status", "status": 503, "count": 2}'""": (
        _trouble_on_demand
    ),
    """curl -X PUT $VAULT_ADDR/dev/scripts -d '{"role": "web", "stay": {"processing-challenge": 2}}'""": _trouble_on_demand,
    """curl -X PUT $VAULT_ADDR/dev/answers -d '{"OQ-1": "404"}'""": _answer,
    """curl -X POST $VAULT_ADDR/dev/clock -d '{"advance": 86400}'""": _clock,
    """ansible-playbook certops.vault_extca.workflow -e '{"certificate_names": ["www.example.com"], "webroot": "/var/www/html"}'""": (
        _workflow
    ),
    "ansible-playbook certops.vault_extca.report -e report_directory=/var/www/html": _report,
    "ansible-playbook certops.vault_extca.renew -e renew_at_once=5": _renew,
}


@pytest.mark.parametrize("text", dict.fromkeys(one.text for one in commands()))
def test_a_command_works(text: str, desk: Desk) -> None:
    command = next(one for one in commands() if one.text == text)
    name = command.name
    assert (name in RUN) is not (name in ELSEWHERE), (
        f"{command.page} has a command that nothing here runs or accounts for"
    )
    if name in RUN:
        RUN[name](desk, command)
    else:
        assert ELSEWHERE[name].text in (REPOSITORY / ELSEWHERE[name].file).read_text()
    if name.startswith("make "):
        desk.type(f"make -n -C {REPOSITORY} {name.removeprefix('make ')}")


def test_lists_hold_nothing_that_is_on_no_page() -> None:
    assert {*RUN, *ELSEWHERE} == {one.name for one in commands()}


def test_every_block_is_of_a_kind_that_something_runs() -> None:
    """YAML by test_examples, commands here; policies are written and proven by tests/behaviour; one text is held against the code."""
    for block in blocks():
        where = f"{block.page}: {block.text[:60]}"
        if block.language == "hcl":
            assert block.page == "docs/rights.md", where
        elif block.language == "yaml":
            assert "awx" not in block.page, where
        elif block.language == "console":
            assert block.text.startswith("$ "), where
        else:
            assert block.page == "docs/report.md", where
            told = progress_lines.Seen(
                "0193b0d2-6f1e-7c0a-9d55-0d4a6c1b2e3f", "processing-challenge", 2, 3, 40.0, 300.0
            )
            assert block.text == f"[www1] {told.sentence(45.0)}\n", where


def test_files_to_be_copied_are_all_accounted_for() -> None:
    """Policies are proven by tests/behaviour, what is AWX's by tests/ecosystem; and DNS tasks by make neighbours."""
    awx = {"configure.yml", "credential_types.yml", "execution-environment.yml"}
    present = {
        path.relative_to(REPOSITORY / "docs" / "awx").as_posix() for path in REPOSITORY.glob("docs/awx/**/*.yml")
    }
    project = {"project/issue.yml", "project/renew.yml", "project/report.yml", "project/collections/requirements.yml"}
    assert present == awx | project
    proof = "".join(path.read_text() for path in (REPOSITORY / "tests" / "ecosystem").glob("*.py"))
    assert all(f'"{name.rsplit("/", 1)[-1]}"' in proof for name in present - {"execution-environment.yml"}), proof
    assert "docs/awx/execution-environment.yml" in proof
    assert {path.stem for path in REPOSITORY.glob("docs/policies/*")} == {"administrator", "operator", "host"}


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("roles/*/examples/*")), ids=lambda path: path.stem)
def test_tasks_for_name_servers_fit_their_modules(path: Path) -> None:
    """Those modules are not here, and so their options are what is looked at; make neighbours runs the tasks."""
    for task in yaml.safe_load(path.read_text()):
        ((module, options),) = ((key, value) for key, value in task.items() if "." in key)
        assert mistakes(module, options) == []
        assert "certificate_record_name" in options["record"]
        assert options["state"] == {"create": "present", "delete": "absent"}[path.stem.split("_")[1]]
