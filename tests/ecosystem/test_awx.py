# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What docs/awx configures fits awx.awx, AWX's credential types, and the project; and an execution environment can be made."""

from __future__ import annotations

import json
import re
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.behaviour.harness import Engine, fresh_name
from tests.tools.ansible_test import home
from tests.tools.output import output
from tests.tools.tree import BUILD, REPOSITORY

from .neighbours import mistakes
from .runner import AWX, load

NAME = re.compile(r"\{\{ ([a-z_.]+) \}\}")
SURVEY_TYPES = ("text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float")
FIELD_KEYS = {
    "id",
    "type",
    "label",
    "help_text",
    "multiline",
    "secret",
    "ask_at_runtime",
    "choices",
    "default",
    "format",
}


def tasks() -> list[tuple[str, dict[str, Any]]]:
    """Module and options of each task of configure.yml."""
    (play,) = load(AWX / "configure.yml")
    found = []
    for task in play["tasks"]:
        ((module, options),) = ((key, value) for key, value in task.items() if key.startswith("awx.awx."))
        found.append((module.removeprefix("awx.awx."), options))
    return found


def test_every_option_is_one_of_awx_awx() -> None:
    for module, options in tasks():
        assert mistakes(f"awx.awx.{module}", options) == []


def test_options_that_awx_awx_would_refuse_are_noticed() -> None:
    assert mistakes("awx.awx.schedule", {"name": "x", "rule": "y", "enabled": "perhaps", "state": "gone"}) == [
        "awx.awx.schedule has no option rule",
        "awx.awx.schedule.enabled is 'perhaps', not of type bool",
        "awx.awx.schedule.state is 'gone', which is no choice",
    ]
    assert mistakes("awx.awx.inventory", {"organization": "x"}) == ["awx.awx.inventory needs name"]


def test_the_tasks_make_all_that_certificates_need() -> None:
    made = [module for module, _options in tasks()]
    for module in ("credential_type", "credential", "project", "inventory", "schedule"):
        assert module in made
    templates = {options["playbook"]: options for module, options in tasks() if module == "job_template"}
    assert set(templates) == {"issue.yml", "renew.yml", "report.yml"}
    for playbook, options in templates.items():
        assert (AWX / "project" / playbook).exists()
        assert options["credentials"] == ["Vault"]


def test_surveys_ask_what_the_playbooks_take() -> None:
    (play,) = load(AWX / "configure.yml")
    common = play["vars"]["survey"]
    asked: dict[str, set[str]] = {}
    for module, options in tasks():
        if module != "job_template":
            continue
        spec = options["survey_spec"]["spec"]
        questions = common if isinstance(spec, str) else [common[0], *(one for one in spec if isinstance(one, dict))]
        for question in questions:
            assert {"variable", "question_name", "type", "required"} <= set(question)
            assert question["type"] in SURVEY_TYPES
            assert ("choices" in question) is (question["type"] in ("multiplechoice", "multiselect"))
        asked[options["name"]] = {question["variable"] for question in questions}
        text = (AWX / "project" / options["playbook"]).read_text()
        defaults = (REPOSITORY / "roles" / "certificate" / "meta" / "argument_specs.yml").read_text()
        assert all(name in text or name in defaults for name in asked[options["name"]])
    for schedule in play["tasks"][-1]["loop"]:
        assert set(schedule["extra_data"]) == asked[schedule["name"]]


def test_the_schedule_is_a_rule_that_awx_takes() -> None:
    (rule,) = (options["rrule"] for module, options in tasks() if module == "schedule")
    assert re.fullmatch(r"DTSTART:\d{8}T\{\{ item\.time \}\}00Z RRULE:FREQ=DAILY;INTERVAL=1", rule)


@pytest.mark.parametrize("number", [0, 1])
def test_credential_types_inject_what_they_ask(number: int) -> None:
    kind = load(AWX / "credential_types.yml")["vault_credential_types"][number]
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    assert all(set(field) <= FIELD_KEYS for field in fields.values())
    assert set(kind["inputs"]["required"]) <= set(fields)
    assert {name for name in ("token", "secret_id") if name in fields} == {
        name for name, field in fields.items() if field.get("secret")
    }
    assert set(kind["injectors"]) <= {"env", "extra_vars", "file"}
    files = kind["injectors"].get("file", {})
    assert all(re.fullmatch(r"template(\.\w+)?", label) for label in files)
    known = {*fields, *(f"tower.filename.{label.split('.')[1]}" for label in files)}
    used = set()
    for injector in kind["injectors"].values():
        for template in injector.values():
            used |= set(NAME.findall(template))
    assert used <= known
    assert set(fields) <= used
    # Extra variables are shown in AWX: no secret goes there.
    assert all(
        not fields.get(name, {}).get("secret")
        for template in kind["injectors"].get("extra_vars", {}).values()
        for name in NAME.findall(template)
    )


@pytest.mark.parametrize("definition", ["meta/execution-environment.yml", "docs/awx/execution-environment.yml"])
def test_builder_takes_the_definitions(definition: str, tmp_path: Path) -> None:
    for name in ("requirements.txt", "bindep.txt", "meta/execution-environment.yml", definition):
        (tmp_path / Path(name).name).write_text((REPOSITORY / name).read_text())
    output(
        "ansible-builder",
        "create",
        "--file",
        Path(definition).name,
        "--context",
        "context",
        "--output-filename",
        "Containerfile",
        directory=tmp_path,
    )
    context = tmp_path / "context"
    recipe = (context / "Containerfile").read_text()
    assert "FROM" in recipe
    if definition.startswith("meta"):
        assert (context / "_build" / "requirements.txt").read_text() == (REPOSITORY / "requirements.txt").read_text()
        assert "openssl" in (context / "_build" / "bindep.txt").read_text()
    else:
        wanted = yaml.safe_load((context / "_build" / "requirements.yml").read_text())
        assert wanted["collections"][0]["name"] == "certops.vault_extca"


def test_builder_finds_what_the_collection_needs(tmp_path: Path) -> None:
    """What ansible-builder does inside of an image: look into the collections that are there."""
    (tmp_path / "ansible_collections" / "certops").mkdir(parents=True)
    (tmp_path / "ansible_collections" / "certops" / "vault_extca").symlink_to(REPOSITORY)
    told = output("ansible-builder", "introspect", str(tmp_path), directory=tmp_path)
    found = yaml.safe_load(told.split("---", 1)[-1])
    python = {Requirement(line.split("  #")[0].strip()).name for line in found["python"]}
    assert {"hvac", "cryptography"} <= python
    assert any("openssl" in str(line) for line in found["system"])


def test_an_environment_of_only_what_is_declared_runs_the_collection(engine: Engine, tmp_path: Path) -> None:
    """An execution environment without the container: ansible-core, ansible-runner and the declared libraries, nothing else."""
    venv.create(tmp_path / "ee", with_pip=False, symlinks=True)
    site = next((tmp_path / "ee" / "lib").glob("python3*")) / "site-packages"
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    declared = [Requirement(line).name for line in lines if line and not line.startswith("#")]
    lent = _with_dependencies(["ansible-core", "ansible-runner", *declared])
    assert "pytest" not in lent
    for name in sorted(lent):
        _lend(name, site)
    python = str(tmp_path / "ee" / "bin" / "python")
    certificate = tmp_path / "certificate.pem"
    order = {"role_name": "web", "order_id": engine.issue(fresh_name())}
    tasks = [
        {
            "certops.vault_extca.vault_extca_order_certificate": {
                "mount": engine.mount,
                **order,
                "facts": "none",
                "destination": {"pem_bundle": str(certificate)},
            }
        },
        {
            "certops.vault_extca.vault_extca_order_info": {"mount": engine.mount, **order},
            "register": "result",
            "failed_when": "result.orders[0].order_status != 'completed'",
        },
    ]
    private = tmp_path / "job"
    for name in ("project", "inventory", "env"):
        (private / name).mkdir(parents=True)
    hosts = {"all": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": python}}}}
    (private / "inventory" / "hosts.json").write_text(json.dumps(hosts))
    (private / "project" / "playbook.yml").write_text(
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}])
    )
    vault = engine.bench.vault
    variables = {
        "PATH": f"{tmp_path}/ee/bin:/usr/bin:/bin",
        "HOME": str(home()),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "ANSIBLE_NOCOLOR": "1",
        "VAULT_ADDR": vault.url,
        "VAULT_TOKEN": vault.token,
    }
    (private / "env" / "envvars").write_text(json.dumps(variables))
    # As its console script does; scripts are not lent, and the runner looks for ansible-playbook.
    script = tmp_path / "ee" / "bin" / "ansible-playbook"
    script.write_text(f"#!{python}\nimport sys\nfrom ansible.cli.playbook import main\nsys.exit(main())\n")
    script.chmod(0o755)
    told = output(python, "-m", "ansible_runner", "run", str(private), "-p", "playbook.yml", directory=tmp_path)
    assert re.search(r"ok=2 +changed=1 +unreachable=0 +failed=0", told), told
    assert "BEGIN CERTIFICATE" in certificate.read_text()
    assert "BEGIN" not in told


def _with_dependencies(names: list[str]) -> set[str]:
    from importlib.metadata import requires

    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        needed = (Requirement(line) for line in requires(name) or [])
        waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def _lend(name: str, site: Path) -> None:
    """Let an environment have a distribution that is installed here."""
    from importlib.metadata import distribution

    files = distribution(name).files or []
    for top in {file.parts[0] for file in files if file.parts[0] != ".." and "__pycache__" not in file.parts}:
        target = site / top
        if not target.exists():
            target.symlink_to(Path(str(distribution(name).locate_file(top))))
