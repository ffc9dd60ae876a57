# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Examples that need other people's collections, run with them: ``make neighbours`` installs them, some 900 MB, beside .venv."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.harness import Bench, Engine
from tests.testbed import Testbed, TestbedOptions
from tests.testbed.pebble import Pebble
from tests.testbed.ports import free_port
from tests.testbed.process import Service, answers
from tests.tools.output import output
from tests.tools.tree import BUILD, REPOSITORY

from . import controller
from .neighbours import NOTES, documented
from .runner import AWX, load

PEERS = BUILD / "peers"
EXAMPLES = REPOSITORY / "roles" / "certificate" / "examples"

pytestmark = pytest.mark.timeout(300)


def run(playbook: Path, *arguments: str, **environment: str) -> str:
    """The output of a playbook that succeeds, with the ansible-core and the collections of Ansible's package."""
    return output(PEERS / "bin" / "ansible-playbook", playbook, *arguments, environment=environment)


def test_the_notes_are_of_what_is_installed() -> None:
    (site,) = (PEERS / "lib").glob("python3*/site-packages")
    assert json.loads(NOTES.read_text()) == documented(site), "run python -m tests.ecosystem.neighbours"


def test_configure_makes_in_awx_what_jobs_need() -> None:
    """With awx.awx itself; a second run changes nothing."""
    with controller.running() as awx:
        given = {
            "project_url": "https://git.example.com/certificates.git",
            "vault_url": "https://vault.example.com:8200",
        }
        arguments = ("-e", json.dumps({**given, "vault_token": "hvs.planted-token"}))
        where = {"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": awx.token}
        first = run(AWX / "configure.yml", *arguments, **where)
        assert "hvs.planted-token" not in first
        named = {kind: [item["name"] for item in items] for kind, items in awx.items.items()}
        templates = ["Issue certificates", "Renew certificates", "Report on certificates"]
        assert named == {
            "organizations": ["Default"],
            "execution_environments": ["vault-extca"],
            "credential_types": ["Vault token for certificates", "Vault AppRole for certificates"],
            "credentials": ["Vault"],
            "projects": ["Certificates"],
            "inventories": ["Certificate hosts"],
            "job_templates": templates,
            "schedules": ["Renew certificates every day", "Issue certificates every day"],
        }
        # What is a template to AWX reaches it as one.
        kinds = load(AWX / "credential_types.yml")["vault_credential_types"]
        assert [item["injectors"] for item in awx.items["credential_types"]] == [kind["injectors"] for kind in kinds]
        assert "{{ token }}" in json.dumps(awx.items["credential_types"][0]["injectors"])
        (credential,) = awx.items["credentials"]
        assert credential["inputs"]["token"] == "hvs.planted-token"
        assert credential["credential_type"] == awx.items["credential_types"][0]["id"]
        for template in awx.items["job_templates"]:
            assert template["project"] == awx.items["projects"][0]["id"]
            assert awx.belongings[f"{template['url']}credentials/"]["results"] == [credential]
            questions = awx.belongings[template["related"]["survey_spec"]]["spec"]
            assert questions[0]["variable"] == "vault_mount"
        assert awx.items["schedules"][0]["rrule"] == "DTSTART:20260101T031000Z RRULE:FREQ=DAILY;INTERVAL=1"
        assert "changed=0 " in run(AWX / "configure.yml", *arguments, **where)


class Cloud(Service):
    """The API of Amazon Web Services, as moto has it, without any zone."""

    name = "moto"
    ready_timeout = 60.0

    def prepare(self) -> None:
        self.port = free_port()

    def command(self) -> Sequence[str]:
        return [str(PEERS / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]

    def is_ready(self) -> bool:
        return answers(self.port)

    @property
    def variables(self) -> dict[str, str]:
        """What AWS's clients find it with, and log in."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "planted-id",
            "AWS_SECRET_ACCESS_KEY": "planted-key",
        }


def furnish(testbed: Testbed, pebble: Pebble) -> dict[str, str]:
    """An engine whose role ``web`` has names proven by dns-01, with this ACME server; returns what finds its Vault."""
    engine = Engine(Bench(testbed.ca, pebble, testbed.challtestsrv, testbed.vault), "pki-external-ca")
    engine.bench.api("POST", "sys/mounts/pki-external-ca", {"type": "pki-external-ca"})
    engine.furnish(allowed_challenge_types=["dns-01"])
    return {"VAULT_ADDR": testbed.vault.url, "VAULT_TOKEN": testbed.vault.token}


def wildcard(directory: Path, create: Path, delete: Path, **variables: object) -> dict[str, Any]:
    """A play with the role: a certificate for a name and its wildcard, whose two proofs share one record."""
    given = {
        "certificate_role_name": "web",
        "certificate_identifiers": ["example.net", "*.example.net"],
        "certificate_challenge_type": "dns-01",
        "certificate_dns_create_tasks": str(create),
        "certificate_dns_delete_tasks": str(delete),
        "certificate_destination": {"pem_bundle": str(directory / "bundle.pem")},
    }
    return {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {**given, **variables},
        "roles": ["certops.vault_extca.certificate"],
    }


def test_the_tasks_for_rfc_2136_prove_a_wildcard(tmp_path: Path) -> None:
    """The role, with roles/certificate/examples and community.general, against BIND, which Pebble then asks."""
    with Testbed(TestbedOptions(tls_vault=False, eab=False, bare=False)) as testbed:
        assert testbed.bind is not None
        assert testbed.bind_pebble is not None
        vault = furnish(testbed, testbed.bind_pebble)
        key = testbed.bind.keys["hmac-sha256"]
        address, port = testbed.bind.server.rsplit(":", 1)
        play = wildcard(
            tmp_path,
            EXAMPLES / "nsupdate_create.yml",
            EXAMPLES / "nsupdate_delete.yml",
            ansible_python_interpreter=sys.executable,
            certificate_nsupdate_server=address,
            certificate_nsupdate_zone="example.net",
            certificate_nsupdate_key_name=key.name,
            certificate_nsupdate_key_secret=key.secret,
        )
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(
            json.dumps([{**play, "module_defaults": {"community.general.nsupdate": {"port": int(port)}}}])
        )
        first = run(playbook, **vault)
        assert "BEGIN CERTIFICATE" in (tmp_path / "bundle.pem").read_text()
        assert "Create the TXT record" in first
        assert testbed.bind.query("_acme-challenge.example.net") == []
        assert key.secret not in first
        assert "changed=0 " in run(playbook, **vault)


def test_the_tasks_for_route_53_prove_a_wildcard(tmp_path: Path) -> None:
    """The role, with roles/certificate/examples and amazon.aws; what Route 53's API then holds is what Pebble finds in the DNS."""
    options = TestbedOptions(tls_vault=False, bind=False, eab=False, bare=False)
    with Cloud() as cloud, Testbed(options) as testbed:
        vault = furnish(testbed, testbed.pebble)
        record = {"zone": "example.net", "record": "_acme-challenge.example.net", "type": "TXT"}
        held = {"amazon.aws.route53": {**record, "state": "get"}, "register": "held"}
        # Route 53 is a database and name servers: the stand-in is the database, and this hands on what is in it.
        name_servers = {
            "ansible.builtin.uri": {
                "url": f"{testbed.challtestsrv.url}/set-txt",
                "method": "POST",
                "body_format": "json",
                "body": {"host": "{{ held.set.Name }}", "value": "{{ item.Value | from_json }}"},
            },
            "loop": "{{ held.set.ResourceRecords }}",
        }
        create = tmp_path / "create.yml"
        create.write_text(
            json.dumps([{"ansible.builtin.include_tasks": str(EXAMPLES / "route53_create.yml")}, held, name_servers])
        )
        play = wildcard(
            tmp_path,
            create,
            EXAMPLES / "route53_delete.yml",
            ansible_python_interpreter=str(PEERS / "bin" / "python"),
            certificate_route53_zone="example.net",
        )
        zone = {"amazon.aws.route53_zone": {"zone": "example.net"}}
        nothing = {"ansible.builtin.assert": {"that": "held.resource_record_sets == []"}}
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(json.dumps([{**play, "pre_tasks": [zone], "post_tasks": [held, nothing]}]))
        first = run(playbook, **vault, **cloud.variables)
        assert "BEGIN CERTIFICATE" in (tmp_path / "bundle.pem").read_text()
        assert "Create the TXT record" in first
        assert "Delete the TXT record" in first
        assert "planted-key" not in first
        assert "changed=0 " in run(playbook, **vault, **cloud.variables)
