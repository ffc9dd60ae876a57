# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every fault against every module: it recovers by itself, or fails with cause and remedy, as ``docs/faults.md`` says."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .fault_matrix import DOCUMENT, Matrix, Outcomes, asking_modules, parse, render, words_of
from .fault_table import FAULTS, Fault
from .harness import Played, fresh_name
from .pitfalls import Pitfalls
from .scenarios import PREFIX, job
from .stage import Stage

STALE = "docs/faults.md does not say so; look at the difference, and if it is meant, run: make fault-table"


@pytest.fixture(scope="module")
def document() -> Outcomes:
    return parse(DOCUMENT.read_text())


def test_the_document_knows_every_module_and_every_fault(document: Outcomes) -> None:
    assert sorted(document.letters) == asking_modules(), STALE
    for module, letters in document.letters.items():
        assert list(letters) == [fault.title for fault in FAULTS], f"{module}: {STALE}"


def test_the_document_is_as_it_was_generated(document: Outcomes) -> None:
    assert render(document) == DOCUMENT.read_text(), STALE


@pytest.mark.parametrize("module", asking_modules())
def test_every_fault(module: str, stage: Stage, pitfalls: Pitfalls, document: Outcomes) -> None:
    letters, said = Matrix(stage, pitfalls).column(module)
    assert letters == document.letters[module], STALE
    for title, words in words_of(module, said, stage, pitfalls).items():
        assert words == document.words[title], STALE


# ---------------------------------------------------------------------- as real tasks


def _lasting(fault: Fault) -> bool:
    # A closed port is closed for all tasks, and a standby's redirect is no failure.
    return fault.meanwhile is None and not fault.harmless and (fault.spec is None or fault.spec["kind"] != "refuse")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("half", [0, 1])
def test_every_row_and_every_column_as_a_real_task(
    half: int,
    stage: Stage,
    pitfalls: Pitfalls,
    run_playbook: Callable[..., Played],
    tmp_path: Path,
) -> None:
    every, names = [fault for fault in FAULTS if _lasting(fault)], asking_modules()
    assert len(every) >= len(names), "some modules are not tried out"
    pairs = list(zip(every, itertools.cycle(names), strict=False))[half::2]
    faults = [fault for fault, _module in pairs]
    tasks: list[dict[str, Any]] = []
    for number, (fault, module) in enumerate(pairs):
        # A mount that is only there to be met by this fault, and no other.
        mount = f"fault-{number}"
        where = {"url": stage.vault.url, "token": stage.vault.token, "mount": mount}
        options: dict[str, Any] = {**where, **job(module, stage).options, "timeout": 1}
        if fault.place is not None:
            options |= fault.place(stage, pitfalls)
        else:
            met = f"^(sys/mounts|{mount}/)" if module == "mount" else f"^{mount}/"
            stage.bench.dev("POST", "faults", {**(fault.spec or {}), "path": met})
        if fault.own_token:
            options["token"] = stage.token(ttl="1h")
        tasks.append(_task(fault.title, f"{PREFIX}{module}", options))
    results = _results(tasks, run_playbook, tmp_path)
    for fault, result in zip(faults, results, strict=True):
        if fault.nothing and not result["failed"]:
            continue
        assert result["failed"], fault.title
        if not fault.nothing:
            assert re.search(fault.cause, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"
            assert re.search(fault.remedy, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"


def test_the_lookup_fails_with_cause_and_remedy(
    stage: Stage, pitfalls: Pitfalls, run_playbook: Callable[..., Played], tmp_path: Path
) -> None:
    looks, faults = [], []
    for number, fault in enumerate(fault for fault in FAULTS if _lasting(fault) and not fault.nothing):
        where = {"url": stage.vault.url, "token": stage.vault.token, "mount": f"look-{number}"}
        options: dict[str, Any] = {**where, "role_name": "web", "timeout": 1}
        if fault.place is not None:
            options |= fault.place(stage, pitfalls)
        else:
            stage.bench.dev("POST", "faults", {**(fault.spec or {}), "path": f"^look-{number}/"})
        if fault.own_token:
            options["token"] = stage.token(ttl="1h")
        given = ", ".join(f"{name}={json.dumps(value)}" for name, value in options.items())
        look = f"{{{{ lookup('certops.vault_extca.certificate', 'www.example.com', {given}) }}}}"
        looks.append({"name": fault.title, "ansible.builtin.debug": {"msg": look}})
        faults.append(fault)
    for fault, result in zip(faults, _results(looks, run_playbook, tmp_path), strict=True):
        assert result["failed"], fault.title
        assert re.search(fault.cause, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"
        assert re.search(fault.remedy, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"


@pytest.mark.parametrize("title", ["sealed", "wrong CA"])
def test_the_role_fails_with_cause_and_remedy_and_leaves_no_file(
    title: str, stage: Stage, pitfalls: Pitfalls, run_playbook: Callable[..., Played], tmp_path: Path
) -> None:
    fault = next(fault for fault in FAULTS if fault.title == title)
    folder = tmp_path / "files"
    folder.mkdir()
    where: dict[str, Any] = {"url": stage.vault.url, "token": stage.vault.token}
    if fault.place is not None:
        where |= fault.place(stage, pitfalls)
    else:
        stage.bench.dev("POST", "faults", {**(fault.spec or {}), "path": f"^{stage.engine.mount}/"})
    variables = {
        "certificate_identifiers": [fresh_name()],
        "certificate_role_name": "web",
        "certificate_mount": stage.engine.mount,
        "certificate_vault": where,
        "certificate_destination": {"fullchain": str(folder / "a.pem"), "private_key": str(folder / "a.key")},
    }
    role = {"role": "certops.vault_extca.certificate", "vars": variables}
    played = run_playbook(json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": [role]}]))
    assert played.status != 0
    assert "Traceback" not in played.output
    text = " ".join(played.output.split())
    assert re.search(fault.cause, text), played.output
    assert re.search(fault.remedy, text), played.output
    assert list(folder.glob("[!.]*")) == []


def _task(name: str, module: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, f"certops.vault_extca.{module}": options}


def _results(tasks: list[dict[str, Any]], run_playbook: Callable[..., Played], directory: Path) -> list[dict[str, Any]]:
    """Run all of these, whether they fail or not, in one playbook; their results."""
    kept = [
        {**task, "register": f"result_{number}", "ignore_errors": True, "delegate_to": "localhost"}
        for number, task in enumerate(tasks)
    ]
    gathered = ", ".join(f"result_{number}" for number in range(len(tasks)))
    copy = {"content": f"{{{{ [{gathered}] | to_json }}}}", "dest": str(directory / "results.json")}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [*kept, {"ansible.builtin.copy": copy}],
    }
    played = run_playbook(json.dumps([play]))
    assert played.status == 0, played.output
    assert "Traceback" not in played.output
    results: list[dict[str, Any]] = json.loads((directory / "results.json").read_text())
    return results
