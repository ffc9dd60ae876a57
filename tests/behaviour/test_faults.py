# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every fault against every module: it recovers by itself, or fails with cause and remedy, as ``docs/faults.md`` says."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import fault_matrix, lookups, role_faults
from .fault_matrix import (
    AS_MODULE,
    DOCUMENT,
    Matrix,
    Misbehaviour,
    Outcomes,
    asking_modules,
    fault_of,
    parse,
    render,
    role_cell,
    role_letter,
    staged,
    words_of,
)
from .fault_table import FAULTS
from .harness import Played
from .pitfalls import Pitfalls
from .role_faults import lasts, under_lasting_faults
from .scenarios import PREFIX, job
from .stage import Stage

STALE = "docs/faults.md does not say so; look at the difference, and if it is meant, run: make fault-table"


@pytest.fixture(scope="module", name="_staged")
def _staged_for_this_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Pitfalls]]:
    """A stage of its own, since faults leave orders behind that others would find."""
    with staged(tmp_path_factory.mktemp("stage")) as both:
        yield both


@pytest.fixture(scope="module")
def document() -> Outcomes:
    return parse(DOCUMENT.read_text())


def test_the_document_knows_every_module_and_every_fault(document: Outcomes) -> None:
    assert sorted(document.letters) == sorted([*asking_modules(), lookups.TITLE, role_faults.TITLE]), STALE
    for module, letters in document.letters.items():
        assert list(letters) == [fault.title for fault in FAULTS], f"{module}: {STALE}"


def test_the_document_is_as_it_was_generated(document: Outcomes) -> None:
    assert render(document) == DOCUMENT.read_text(), STALE


@pytest.mark.parametrize("module", [*asking_modules(), lookups.TITLE])
def test_every_fault(module: str, stage: Stage, pitfalls: Pitfalls, document: Outcomes) -> None:
    letters, said = Matrix(stage, pitfalls).column(module)
    assert letters == document.letters[module], STALE
    for title, words in words_of(module, said, stage, pitfalls).items():
        assert words == document.words[title], STALE


# ---------------------------------------------------------------------- whether it would be noticed


def test_every_fault_says_what_its_message_must_name() -> None:
    for fault in FAULTS:
        if fault.harmless or (fault.meanwhile is not None and fault.passes):
            continue  # nobody fails
        for wanted in (fault.cause, fault.remedy):
            assert len(wanted) > 8, fault.title
            assert not re.search(wanted, ""), fault.title
        # One sentence cannot do for both.
        assert not re.search(fault.cause, fault.remedy), fault.title
        assert not re.search(fault.remedy, fault.cause), fault.title


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "another cause": ("403", {"cause": "the moon is full"}, "does not name the cause"),
    "no remedy": ("403", {"remedy": "wait for daylight"}, "names no remedy"),
    "a harmless fault that harms": ("500", {"harmless": True}, "is harmed by it"),
    "a fault that is none": ("answer late, within timeout", {"harmless": False}, "went on"),
}


@pytest.mark.parametrize(("title", "changes", "said"), WRONG.values(), ids=WRONG)
def test_a_task_that_does_not_say_what_it_must_is_noticed(
    title: str, changes: dict[str, Any], said: str, stage: Stage, pitfalls: Pitfalls
) -> None:
    with pytest.raises(Misbehaviour, match=said):
        Matrix(stage, pitfalls).cell("role_info", dataclasses.replace(fault_of(title), **changes))


SAID = "Vault answered 403 to a request: permission denied. Check the token and its policies."
FAILED: dict[str, Any] = {"failed": True, "msg": SAID}


@pytest.mark.parametrize(
    ("result", "writes", "said"),
    [
        ({**FAILED, "exception": "Traceback (most recent call last):"}, False, "shows a traceback"),
        ({**FAILED, "module_stderr": "Traceback (most recent call last):"}, False, "shows a traceback"),
        (FAILED, True, "left .*fullchain.pem.* behind"),
    ],
)
def test_a_task_that_breaks_or_leaves_half_its_work_is_noticed(
    result: dict[str, Any], writes: bool, said: str, stage: Stage, pitfalls: Pitfalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(_module: str, _stage: Stage, options: dict[str, Any]) -> dict[str, Any]:
        if writes:
            Path(options["destination"]["fullchain"]).write_text("half of it")
        return result

    monkeypatch.setattr(fault_matrix, "run", careless)
    with pytest.raises(Misbehaviour, match=said):
        Matrix(stage, pitfalls).cell("certificate", fault_of("403"))


def test_a_task_that_takes_too_long_is_noticed(
    stage: Stage, pitfalls: Pitfalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_matrix, "SLACK", -1.0)
    with pytest.raises(Misbehaviour, match="took"):
        Matrix(stage, pitfalls).cell("role_info", fault_of("no answer (read timeout)"))


def test_a_role_that_does_not_say_what_it_must_is_noticed() -> None:
    fault = fault_of("403")
    assert role_letter(fault, SAID, []) == AS_MODULE
    for said, left in (("", []), (SAID.partition(" Check")[0], []), (SAID, ["a.key"])):
        with pytest.raises(Misbehaviour):
            role_letter(fault, said, left)


# ---------------------------------------------------------------------- as real tasks


@pytest.mark.timeout(240)
@pytest.mark.parametrize("half", [0, 1])
def test_every_row_and_every_column_as_a_real_task(
    half: int,
    stage: Stage,
    pitfalls: Pitfalls,
    run_playbook: Callable[..., Played],
    tmp_path: Path,
) -> None:
    every, names = [fault for fault in FAULTS if lasts(fault)], asking_modules()
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
            options["token"] = stage.token(ttl="10m")
        tasks.append(_task(fault.title, f"{PREFIX}{module}", options))
    results = _results(tasks, run_playbook, tmp_path)
    for fault, result in zip(faults, results, strict=True):
        if fault.nothing and not result["failed"]:
            continue
        assert result["failed"], fault.title
        if not fault.nothing:
            assert re.search(fault.cause, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"
            assert re.search(fault.remedy, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"


# The lookup without its plugin has a column of its own; these show what Ansible makes of it.
SAMPLE = ("wrong CA", "403", "sealed", "HTML with status 200", "token revoked")


def test_the_lookup_fails_with_cause_and_remedy_as_a_real_task(
    stage: Stage, pitfalls: Pitfalls, run_playbook: Callable[..., Played], tmp_path: Path
) -> None:
    looks, faults = [], []
    for number, fault in enumerate(map(fault_of, SAMPLE)):
        where = {"url": stage.vault.url, "token": stage.vault.token, "mount": f"look-{number}"}
        options: dict[str, Any] = {**where, "role_name": "web", "timeout": 1}
        if fault.place is not None:
            options |= fault.place(stage, pitfalls)
        else:
            stage.bench.dev("POST", "faults", {**(fault.spec or {}), "path": f"^look-{number}/"})
        if fault.own_token:
            options["token"] = stage.token(ttl="10m")
        given = ", ".join(f"{name}={json.dumps(value)}" for name, value in options.items())
        look = f"{{{{ lookup('certops.vault_extca.certificate', 'www.example.com', {given}) }}}}"
        looks.append({"name": fault.title, "ansible.builtin.debug": {"msg": look}})
        faults.append(fault)
    for fault, result in zip(faults, _results(looks, run_playbook, tmp_path), strict=True):
        assert result["failed"], fault.title
        assert re.search(fault.cause, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"
        assert re.search(fault.remedy, result["msg"], re.DOTALL), f"{fault.title}: {result['msg']}"


@pytest.mark.timeout(240)
def test_the_role_under_every_fault_that_lasts(
    stage: Stage, pitfalls: Pitfalls, document: Outcomes, tmp_path: Path
) -> None:
    found = under_lasting_faults(stage, pitfalls, tmp_path)
    assert set(found) == {fault.title for fault in FAULTS if lasts(fault)}
    for title, (said, left) in found.items():
        assert role_letter(fault_of(title), said, left) == document.letters[role_faults.TITLE][title], STALE


@pytest.mark.parametrize("title", [fault.title for fault in FAULTS if not lasts(fault)])
def test_the_role_under_what_passes(
    title: str, stage: Stage, pitfalls: Pitfalls, document: Outcomes, tmp_path: Path
) -> None:
    assert role_cell(fault_of(title), stage, pitfalls, tmp_path) == document.letters[role_faults.TITLE][title], STALE


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
