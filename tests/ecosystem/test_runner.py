# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Jobs run by ansible-runner, as AWX runs them, with the project and the credential types of docs/awx."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests.behaviour.harness import Bench, Engine, fresh_name
from tests.testbed import Devserver

from .runner import job

POLICY = """
path "{mount}/*" {{ capabilities = ["create", "read", "update", "list"] }}
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def proven(engine: Engine) -> list[str]:
    """Names that the ACME server has seen proven already, for which there is no certificate of the role web."""
    engine.write_role("other")
    names = [fresh_name() for _number in range(4)]
    for name in names:
        engine.issue(name, role="other")
    return names


def orders(engine: Engine) -> int:
    """How many orders the role web has seen."""
    rows = engine.api("LIST", "lookup/orders/recent?within=168h")["key_info"].values()
    return sum(row["role_name"] == "web" for row in rows)


def test_a_job_template_issues_with_a_token_from_the_environment(
    engine: Engine, proven: list[str], tmp_path: Path
) -> None:
    """Survey variables, a credential, artifacts, a check-mode job, and progress in the job's output."""
    token = engine.bench.token_with(POLICY.format(mount=engine.mount))
    credential = {"url": engine.bench.vault.url, "token": token}
    survey = {"certificate_names": "\n".join(proven[:2]) + "\n", "certificate_one_for_all": "no"}

    checked = job(tmp_path / "check", engine, **survey)
    checked.inject("Vault token", credential)
    checked.run("issue.yml", "--cmdline", "--check --diff")
    assert orders(engine) == 0
    assert list((tmp_path / "check" / "ssl").rglob("*.pem")) == []

    real = job(tmp_path / "real", engine, **survey)
    real.inject("Vault token", credential)
    with engine.bench.scripts({"role": "web", "stay": {"submitted": 4}}):
        real.run("issue.yml")
    assert orders(engine) == 1
    assert len(list((tmp_path / "real" / "ssl" / "localhost").iterdir())) == 2
    handed_on = real.stats()["certificates"]["localhost"]
    assert handed_on["identifiers"] == proven[:2]
    assert handed_on["serial_number"]
    assert handed_on["not_after"]
    left = real.everything_left()
    assert "PRIVATE KEY" not in left
    assert token not in left
    assert len(list((tmp_path / "real" / "ssl" / "localhost").iterdir())) == 2


def test_progress_is_part_of_a_jobs_output(engine: Engine, proven: list[str], tmp_path: Path) -> None:
    order_id = engine.order(fresh_name())
    engine.wait(order_id, "awaiting-challenge-fulfillment")
    waiting = job(tmp_path / "job", engine)
    task = {
        "certops.vault_extca.vault_extca_order_certificate": {
            "mount": engine.mount,
            "role_name": "web",
            "order_id": order_id,
            "wait_timeout": 5,
        },
        "failed_when": False,
    }
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    (tmp_path / "job" / "project" / "wait.yml").write_text(yaml.safe_dump(play))
    waiting.inject("Vault token", {"url": engine.bench.vault.url, "token": engine.bench.vault.token})
    waiting.run("wait.yml")
    line = f"… order {order_id}: awaiting-challenge-fulfillment, 0 of 1 identifier valid"
    events = waiting.events()
    shown = next(number for number, event in enumerate(events) if line in event["stdout"])
    ended = next(number for number, event in enumerate(events) if event["event"] == "runner_on_ok")
    assert events[shown]["event"] == "verbose"
    assert shown < ended


def test_an_approle_whose_secret_id_is_a_file(engine: Engine, proven: list[str], tmp_path: Path) -> None:
    bench, name = engine.bench, engine.mount
    methods = bench.api("GET", "sys/auth")
    if "approle/" not in methods.get("data", methods):
        bench.api("POST", "sys/auth/approle", {"type": "approle"})
    bench.api("POST", f"sys/policies/acl/{name}", {"policy": POLICY.format(mount=engine.mount)})
    bench.api("POST", f"auth/approle/role/{name}", {"token_policies": [name]})
    role_id = bench.api("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
    secret_id = bench.api("POST", f"auth/approle/role/{name}/secret-id")["data"]["secret_id"]
    credential = {"url": bench.vault.url, "role_id": role_id, "secret_id": secret_id}

    for playbook in ("issue.yml", "report.yml"):
        run = job(tmp_path / playbook, engine, certificate_names=proven[0], report_directory=str(tmp_path))
        run.inject("Vault AppRole", credential)
        run.run(playbook)
        assert secret_id not in run.everything_left()
    counts = json.loads((tmp_path / "certificates.json").read_text())["counts"]
    assert counts["good"] == len(proven) + 1
    assert run.stats()["certificate_counts"] == counts


def test_public_facts_leave_no_key_in_the_fact_cache(engine: Engine, proven: list[str], tmp_path: Path) -> None:
    order_id = engine.order(proven[0])
    engine.wait(order_id, "completed")
    fetching = job(tmp_path / "job", engine)
    options = {"mount": engine.mount, "role_name": "web", "order_id": order_id, "facts": "public"}
    task = {"certops.vault_extca.vault_extca_order_certificate": options, "no_log": True}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    (tmp_path / "job" / "project" / "fetch.yml").write_text(yaml.safe_dump(play))
    fetching.inject("Vault token", {"url": engine.bench.vault.url, "token": engine.bench.vault.token})
    fetching.write("settings", {"fact_cache_type": "jsonfile", "fact_cache": "fact_cache"})
    fetching.run("fetch.yml")
    cached = "".join(path.read_text() for path in (fetching.artifacts / "fact_cache").iterdir())
    assert engine.fetch(order_id)["serial_number"] in cached
    assert "BEGIN CERTIFICATE" in cached
    assert "PRIVATE KEY" not in fetching.everything_left()
    # That the search would find it: with all facts, it is there.
    shutil.rmtree(fetching.artifacts)
    options["facts"] = "all"
    (tmp_path / "job" / "project" / "fetch.yml").write_text(yaml.safe_dump(play))
    fetching.run("fetch.yml")
    assert "PRIVATE KEY" in "".join(path.read_text() for path in (fetching.artifacts / "fact_cache").iterdir())


def test_two_slices_of_a_fleet_at_once(engine: Engine, proven: list[str], tmp_path: Path) -> None:
    """Each job has its part of the inventory, and both ask the same Vault at the same time."""
    slices = []
    for number in range(2):
        part = job(tmp_path / f"slice-{number}", engine, proven[number::2])
        part.inject("Vault token", {"url": engine.bench.vault.url, "token": engine.bench.vault.token})
        slices.append(part)
    began = time.monotonic()
    processes = [part.start("issue.yml") for part in slices]
    for process in processes:
        output, _nothing = process.communicate(timeout=110)
        assert process.returncode == 0, output
    assert time.monotonic() - began < 110
    assert orders(engine) == len(proven)
    handed_on = {host: public for part in slices for host, public in part.stats()["certificates"].items()}
    assert sorted(handed_on) == sorted(proven)
    assert len({public["serial_number"] for public in handed_on.values()}) == len(proven)


def test_a_job_renews_what_is_due_and_hands_on_what_came_of_it(
    engine: Engine, proven: list[str], tmp_path: Path
) -> None:
    """With extra variables that a launch may give; as a check first, which only says what would be."""
    everything = "lookup/orders"
    before = len(engine.api("LIST", everything)["keys"])
    stats = {}
    for kind, arguments in (("check", ("--cmdline=--check",)), ("run", ())):
        renewing = job(tmp_path / kind, engine, report_renew_before="3000d", renew_at_most=2, renew_at_once=1)
        renewing.inject("Vault token", {"url": engine.bench.vault.url, "token": engine.bench.vault.token})
        renewing.run("renew.yml", *arguments)
        stats[kind] = renewing.stats()
        assert "PRIVATE KEY" not in renewing.everything_left()
        assert len(engine.api("LIST", everything)["keys"]) == before + len(stats[kind]["certificates_renewed"])
    assert stats["check"]["certificates_renewed"] == []
    assert [one["identifiers"][0] in proven for one in stats["run"]["certificates_renewed"]] == [True, True]
    assert all(one["serial_number"] and one["not_after"] for one in stats["run"]["certificates_renewed"])
    assert stats["run"]["certificates_not_renewed"] == []


def test_a_credential_brings_namespace_and_ca(bench: Bench, tmp_path: Path) -> None:
    """Against a Vault that speaks TLS with a certificate of a private CA, in a namespace."""
    with Devserver(ca=bench.ca) as vault:
        secured = Engine(Bench(bench.ca, bench.pebble, bench.challtestsrv, vault), "pki-external-ca", "team")
        secured.bench.api("POST", "sys/namespaces/team")
        secured.bench.api("POST", f"sys/mounts/{secured.mount}", {"type": "pki-external-ca"}, namespace="team")
        secured.furnish()
        secured.issue(fresh_name())
        credential = {"url": vault.url, "token": vault.token, "namespace": "team", "ca_cert": bench.ca.pem}
        reporting = job(tmp_path / "with", secured, report_directory=str(tmp_path))
        reporting.inject("Vault token", credential)
        reporting.run("report.yml")
        assert reporting.stats()["certificate_counts"]["good"] == 1
        # Without the CA, the job fails, and says so.
        refused = job(tmp_path / "without", secured, report_directory=str(tmp_path))
        refused.inject("Vault token", {**credential, "ca_cert": ""})
        with refused.start("report.yml") as process:
            output, _nothing = process.communicate(timeout=110)
        assert process.returncode != 0
        assert "certificate" in output
        assert vault.token not in output
