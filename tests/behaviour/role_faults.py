# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The role's column of the matrix of faults: real playbooks, as a role is nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from .fault_table import FAULTS, Fault
from .harness import Played, play
from .pitfalls import Pitfalls
from .scenarios import fresh
from .stage import Stage

TITLE = "certificate (role)"
# Long enough for an order that waits, and for what happens meanwhile.
SLOW = {"submitted": 2.0}
PATIENCE, IMPATIENCE = 60, 5


def lasts(fault: Fault) -> bool:
    """Whether a fault can last for one task and not for all others."""
    return fault.meanwhile is None and not fault.harmless and (fault.spec is None or fault.spec["kind"] != "refuse")


def under_lasting_faults(stage: Stage, pitfalls: Pitfalls, directory: Path) -> dict[str, tuple[str, list[str]]]:
    """What the role says under each fault that lasts, and the files that it leaves; all of them in one playbook."""
    faults = [fault for fault in FAULTS if lasts(fault)]
    tasks: list[dict[str, Any]] = []
    for number, fault in enumerate(faults):
        # A mount that is only there to be met by this fault, and no other.
        mount = fresh("role-fault")
        where: dict[str, Any] = {"url": stage.vault.url, "token": stage.vault.token, "timeout": 1}
        if fault.place is not None:
            where |= fault.place(stage, pitfalls)
        else:
            stage.bench.dev("POST", "faults", {**(fault.spec or {}), "path": f"^{mount}/"})
        if fault.own_token:
            where["token"] = stage.token(ttl="10m")
        folder = directory / str(number)
        folder.mkdir()
        role = _role(stage, where, folder, mount=mount)
        said = {f"said_{number}": "{{ ansible_failed_result.msg }}"}
        tasks.append({"name": fault.title, "block": [role], "rescue": [{"ansible.builtin.set_fact": said}]})
    gathered = ", ".join(f"said_{number} | default('')" for number in range(len(faults)))
    keep = {"content": f"{{{{ [{gathered}] | to_json }}}}", "dest": str(directory / "said.json"), "mode": "0600"}
    played = _play(stage, [*tasks, {"ansible.builtin.copy": keep}], directory)
    assert played.status == 0, played.output
    assert "Traceback" not in played.output, played.output
    said = json.loads((directory / "said.json").read_text())
    left = [[path.name for path in (directory / str(number)).iterdir()] for number in range(len(faults))]
    return {fault.title: row for fault, row in zip(faults, zip(said, left, strict=True), strict=True)}


def under(fault: Fault, stage: Stage, pitfalls: Pitfalls, directory: Path) -> tuple[Played, Sequence[str]]:
    """The role while this happens: the play, and the files that are there at its end.

    What can only happen to one who waits happens while the role waits for its order, and once.
    """
    where = {"url": stage.vault.url, "token": stage.token(ttl="10m" if fault.own_token else "1d"), "timeout": 5}
    happen: Callable[[], Any] | None = None
    if fault.meanwhile is not None:
        happen = partial(fault.meanwhile, stage)
    elif fault.harmless:
        # A standby redirects; the node that it names does not.
        harm = {"location": pitfalls.other_port, **(fault.spec or {}), "path": "", "count": 1}
        stage.bench.dev("POST", "faults", harm)
    else:
        once = {**(fault.spec or {}), "path": "/status$", "count": 1}
        happen = partial(stage.bench.dev, "POST", "faults", once)
    if happen is not None:
        stage.bench.dev("PUT", "scripts", {"stay": SLOW})
    folder = directory / "files"
    folder.mkdir()
    # What is in the cache is of no use to who wants a new one.
    patience = IMPATIENCE if fault.endless else PATIENCE
    # A Vault role without orders: one that a fault has held up would be found and waited for.
    vault_role = fresh("role-fault")
    stage.engine.write_role(vault_role)
    role = _role(
        stage, where, folder, mount=stage.engine.mount, role_name=vault_role, force=True, wait_timeout=patience
    )
    stage.bench.forget_requests()
    # A Vault that is started again belongs to the thread that has started it, which must last.
    with ThreadPoolExecutor(1) as aside:
        playing = aside.submit(_play, stage, [role], directory)
        try:
            if happen is not None and _waits(stage, playing):
                happen()
        finally:
            mock.patch.stopall()  # of a fault that has set this process's clock
        return playing.result(), sorted(path.name for path in folder.iterdir())


def _waits(stage: Stage, playing: Future[Played]) -> bool:
    """Return as soon as the play asks for the state of its order; False if it does not come that far, and tells why."""
    while not playing.done():
        if any(one.path.endswith("/status") for one in stage.bench.requests_made()):
            return True
        time.sleep(0.05)
    return False


def _role(stage: Stage, where: dict[str, Any], folder: Path, **more: Any) -> dict[str, Any]:
    given = {
        "identifiers": [stage.known],
        "role_name": stage.engine.role,
        "vault": where,
        "wait_timeout": PATIENCE,
        "destination": {"fullchain": str(folder / "a.pem"), "private_key": str(folder / "a.key")},
        **more,
    }
    variables = {f"certificate_{name}": value for name, value in given.items()}
    return {"ansible.builtin.include_role": {"name": "certops.vault_extca.certificate"}, "vars": variables}


def _play(stage: Stage, tasks: list[dict[str, Any]], directory: Path) -> Played:
    text = json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    return play(text, directory, stage.bench, environment={"ANSIBLE_PIPELINING": "true"})
