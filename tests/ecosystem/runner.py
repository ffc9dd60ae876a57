# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Jobs as AWX runs them: ansible-runner with a directory that holds project, inventory, variables and credentials."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from tests.behaviour.harness import Engine
from tests.tools.ansible_test import home
from tests.tools.tree import BUILD, REPOSITORY

AWX = REPOSITORY / "docs" / "awx"


class _Loader(yaml.SafeLoader):
    """YAML with Ansible's !unsafe."""


def _unsafe(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("!unsafe", _unsafe)


def load(path: Path) -> Any:
    """What a YAML file of Ansible's holds."""
    return yaml.load(path.read_text(), _Loader)


def credential_type(name: str) -> dict[str, Any]:
    """A credential type that docs/awx defines."""
    types = load(AWX / "credential_types.yml")["vault_credential_types"]
    found: dict[str, Any] = next(one for one in types if one["name"].startswith(name))
    return found


@dataclass
class Job:
    """A job: its private data directory, and what it left there."""

    directory: Path
    engine: Engine

    def inject(self, name: str, inputs: Mapping[str, str]) -> None:
        """Give the job a credential, as AWX does with a custom type's injectors."""
        kind = credential_type(name)
        known = {field["id"]: "" for field in kind["inputs"]["fields"]} | dict(inputs)
        filenames = {}
        for label, template in kind["injectors"].get("file", {}).items():
            path = self.directory / f"credential-{label.split('.')[-1]}"
            path.touch(mode=0o600)
            path.write_text(_fill(template, known))
            filenames[label.split(".")[-1]] = str(path)
        known["tower"] = {"filename": filenames}  # type: ignore[assignment]
        for target, injector in (("envvars", "env"), ("extravars", "extra_vars")):
            values = kind["injectors"].get(injector, {})
            self.write(target, {key: _fill(template, known) for key, template in values.items()})

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Add to a file of ``env/``."""
        path = self.directory / "env" / name
        path.parent.mkdir(exist_ok=True)
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **values}))

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Begin."""
        self.write(
            "envvars",
            {
                "HOME": str(home()),
                "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
                "ANSIBLE_HOST_KEY_CHECKING": "false",
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin",
            },
        )
        runner = str(Path(sys.executable).with_name("ansible-runner"))
        command = [runner, "run", str(self.directory), "--playbook", playbook, "--ident", "job", *arguments]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, playbook: str, *arguments: str) -> None:
        """Run it; it must succeed."""
        with self.start(playbook, *arguments) as process:
            output, _nothing = process.communicate(timeout=110)
        assert process.returncode == 0, output

    @property
    def artifacts(self) -> Path:
        return self.directory / "artifacts" / "job"

    def events(self) -> list[dict[str, Any]]:
        """What AWX gets to see, in order."""
        events = [json.loads(path.read_text()) for path in (self.artifacts / "job_events").glob("*.json")]
        return sorted(events, key=lambda event: int(event["counter"]))

    def stats(self) -> dict[str, Any]:
        """The job's artifacts in AWX's sense: what set_stats handed on."""
        (end,) = (event for event in self.events() if event["event"] == "playbook_on_stats")
        data: dict[str, Any] = end["event_data"].get("artifact_data", {})
        return data

    def everything_left(self) -> str:
        """All that AWX would store: output, events, facts. (AWX keeps no copy of the environment: suppress_env_files.)"""
        files = [path for path in self.artifacts.rglob("*") if path.is_file() and path.name != "command"]
        return "\n".join(path.read_text(errors="replace") for path in files)


def _fill(template: str, values: Mapping[str, Any]) -> str:
    return jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined).from_string(template).render(values)


def job(directory: Path, engine: Engine, hosts: Sequence[str] = ("localhost",), **variables: Any) -> Job:
    """A job with the project of docs/awx, these hosts, and survey variables."""
    (directory / "inventory").mkdir(parents=True)
    shutil.copytree(AWX / "project", directory / "project")
    shared = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "certificate_directory": str(directory / "ssl" / "{{ inventory_hostname }}"),
        "certificate_webroot": str(directory / "www"),
    }
    (directory / "ssl").mkdir()
    members = dict.fromkeys(hosts, None)
    (directory / "inventory" / "hosts.json").write_text(json.dumps({"all": {"hosts": members, "vars": shared}}))
    made = Job(directory, engine)
    made.write("extravars", {"vault_mount": engine.mount, "certificate_role_name": "web", **variables})
    return made
