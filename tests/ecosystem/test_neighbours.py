# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Examples that need other people's collections, run with them: ``make neighbours`` installs them, some 600 MB, beside .venv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.behaviour.harness import Bench, Engine
from tests.testbed import Testbed, TestbedOptions
from tests.tools.ansible_test import home
from tests.tools.tree import BUILD, REPOSITORY

from . import controller
from .neighbours import NOTES, documented
from .runner import AWX, load

PEERS = BUILD / "peers"

pytestmark = pytest.mark.timeout(300)


def run(playbook: Path, *arguments: str, **environment: str) -> str:
    """The output of a playbook that succeeds, with the ansible-core and the collections of Ansible's package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "VAULT_"))}
    settings = {
        "HOME": str(home()),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
    }
    done = subprocess.run(
        [str(PEERS / "bin" / "ansible-playbook"), str(playbook), *arguments],
        env={**kept, **settings, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


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


def test_the_tasks_for_rfc_2136_prove_a_wildcard(tmp_path: Path) -> None:
    """The role, with roles/certificate/examples and community.general, against BIND, which Pebble then asks."""
    with Testbed(TestbedOptions(tls_vault=False, eab=False, bare=False)) as testbed:
        assert testbed.bind is not None
        assert testbed.bind_pebble is not None
        engine = Engine(Bench(testbed.ca, testbed.bind_pebble, testbed.challtestsrv, testbed.vault), "pki-external-ca")
        engine.bench.api("POST", "sys/mounts/pki-external-ca", {"type": "pki-external-ca"})
        engine.furnish(allowed_challenge_types=["dns-01"])
        key = testbed.bind.keys["hmac-sha256"]
        address, port = testbed.bind.server.rsplit(":", 1)
        examples = REPOSITORY / "roles" / "certificate" / "examples"
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "module_defaults": {"community.general.nsupdate": {"port": int(port)}},
            "vars": {
                "ansible_python_interpreter": sys.executable,
                "certificate_role_name": "web",
                "certificate_identifiers": ["example.net", "*.example.net"],
                "certificate_challenge_type": "dns-01",
                "certificate_dns_create_tasks": str(examples / "nsupdate_create.yml"),
                "certificate_dns_delete_tasks": str(examples / "nsupdate_delete.yml"),
                "certificate_nsupdate_server": address,
                "certificate_nsupdate_zone": "example.net",
                "certificate_nsupdate_key_name": key.name,
                "certificate_nsupdate_key_secret": key.secret,
                "certificate_destination": {"pem_bundle": str(tmp_path / "bundle.pem")},
            },
            "roles": ["certops.vault_extca.certificate"],
        }
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(json.dumps([play]))
        vault = {"VAULT_ADDR": testbed.vault.url, "VAULT_TOKEN": testbed.vault.token}
        output = run(playbook, **vault)
        assert "BEGIN CERTIFICATE" in (tmp_path / "bundle.pem").read_text()
        assert "Create the TXT record" in output
        assert testbed.bind.query("_acme-challenge.example.net") == []
        assert key.secret not in output
        assert "changed=0 " in run(playbook, **vault)
