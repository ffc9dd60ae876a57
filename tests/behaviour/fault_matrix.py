# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every fault against every module: what becomes of it, and what it says. ``python -m tests.behaviour.fault_matrix`` prints it.

The outcomes stand in ``docs/faults.md``; ``make fault-table`` writes them there.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.certops.vault_extca.plugins.module_utils.vault_settings import VaultSettings

from tests.tools.tree import REPOSITORY

from . import lookups, role_faults
from .fault_table import FAULTS, UNDER_WAY, Fault
from .harness import Result
from .pitfalls import Pitfalls, dug
from .scenarios import Job, asks_vault, job, modules, run
from .stage import Stage, raised, skipping

DOCUMENT = REPOSITORY / "docs" / "faults.md"
UNHARMED, WAITS, RETRIES, FAILS, NOTHING, ANOTHER_WAY, NEVER = "·", "W", "R", "F", "N", "A", "–"
AS_MODULE = "M"  # a role is as good as its modules
# Whose words stand in the document for all.
SPOKESMAN, WAITING_SPOKESMAN = "role_info", "order_certificate"
RECORD = ".vault_extca"  # of unfinished work: the next run goes on with its order
SKIPPED_PATIENCE = 1800
SLACK = 2.5  # seconds beyond its timeouts that a task may take on a busy machine


class Misbehaviour(AssertionError):
    """A task that does something else under a fault than to recover, or to fail with cause and remedy."""


def _expect(condition: bool, module: str, fault: Fault, what: str) -> None:
    if not condition:
        raise Misbehaviour(f"{module}, {fault.title}: {what}")


@dataclass
class Outcomes:
    """Letters by module and fault, and the words of the spokesmen by fault."""

    letters: dict[str, dict[str, str]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


class Matrix:
    """Runs cells of the matrix."""

    def __init__(self, stage: Stage, pitfalls: Pitfalls) -> None:
        self._stage = stage
        self._pitfalls = pitfalls
        self._untouched: dict[str, Job] = {}  # jobs that failed with their first request, and so can be done once more

    def column(self, module: str) -> tuple[dict[str, str], dict[str, str]]:
        """A module's letters by fault, and what it said. Raises Misbehaviour."""
        self._stage.renew()
        letters, words = {}, {}
        for fault in FAULTS:
            letters[fault.title], said = self.cell(module, fault)
            if said:
                words[fault.title] = said
        return letters, words

    def cell(self, module: str, fault: Fault) -> tuple[str, str]:
        """One letter, and the message of the task where it failed."""
        try:
            if fault.meanwhile is not None:
                return self._meanwhile(module, fault)
            if fault.place is not None:
                prepared = self._job(module, fault)
                failed = self._run(module, fault, prepared, fault.place(self._stage, self._pitfalls))
                said = self._explained(module, fault, failed)
                self._untouched[module] = prepared
                return FAILS, said
            return self._injected(module, fault)
        finally:
            self._stage.recover()

    # ------------------------------------------------------------------ the ways to bring a fault about

    def _injected(self, module: str, fault: Fault) -> tuple[str, str]:
        # A standby redirects; the node that it names does not.
        lasting = self._hit(module, fault, path="", count=1 if self._redirects_home(fault) else None)
        if fault.nothing and re.search("has no (order|cached certificate)", str(lasting.get("msg", ""))):
            return NOTHING, ""
        if fault.nothing and not lasting.get("failed"):
            _expect(not lasting["changed"], module, fault, f"claims a change: {lasting}")
            return NOTHING, ""
        if fault.harmless:
            _expect(not lasting.get("failed"), module, fault, f"is harmed by it: {lasting.get('msg')}")
            return UNHARMED, ""
        said = self._explained(module, fault, lasting)
        waits_on = self._job(module, fault).waits_on
        if waits_on is not None:
            # Who finds another way goes on, which takes the server real time; others wait in vain.
            patience = {} if fault.passes else {"wait_timeout": SKIPPED_PATIENCE}
            held_up = self._hit(module, fault, path=waits_on, count=None, **patience)
            if held_up.get("failed") and not (fault.nothing and "has no order" in held_up["msg"]):
                self._explained(module, fault, held_up)
        # Who does not wait meets what passes as he met what lasts, with his first request.
        if waits_on is not None or fault.nothing:
            # The server's real work goes on in real time, which is what skipped time is short of.
            patience = {"wait_timeout": SKIPPED_PATIENCE} if waits_on else {}
            passing = self._hit(module, fault, path=waits_on or "", count=1, **patience)
            if not passing.get("failed"):
                return (WAITS if fault.passes and waits_on else NOTHING if fault.nothing else ANOTHER_WAY), said
            if fault.nothing and "has no order" in passing["msg"]:
                return NOTHING, said
            self._explained(module, fault, passing)
            _expect(not (fault.passes and waits_on), module, fault, f"does not wait for it: {passing['msg']}")
        retried = self._hit(module, fault, path="", count=1, retries=3)
        if not retried.get("failed"):
            return RETRIES, said
        self._explained(module, fault, retried)
        return FAILS, said

    def _hit(self, module: str, fault: Fault, *, path: str, count: int | None, **options: Any) -> Result:
        assert fault.spec is not None
        given = {"location": self._pitfalls.other_port, **fault.spec, "path": path, "count": count}
        prepared = self._job(module, fault)
        self._stage.bench.dev("POST", "faults", given)
        try:
            result = self._run(module, fault, prepared, options)
        finally:
            self._stage.recover()
        if result.get("failed") and path == "" and count is None and not fault.nothing:
            self._untouched[module] = prepared
        return result

    @staticmethod
    def _redirects_home(fault: Fault) -> bool:
        return fault.spec is not None and fault.spec["kind"] == "redirect" and "location" not in fault.spec

    def _meanwhile(self, module: str, fault: Fault) -> tuple[str, str]:
        if self._job(module, fault).waits_on is None:
            return NEVER, ""
        slow = dict.fromkeys(UNDER_WAY, 3)
        happened: list[bool] = []

        def happen() -> None:
            assert fault.meanwhile is not None
            happened.append(True)
            fault.meanwhile(self._stage)

        for _attempt in range(2):
            prepared = self._slow_job(module, slow)
            if fault.own_token:
                prepared.options["token"] = self._stage.token(ttl="10m")
            result = self._run(module, fault, prepared, {"wait_timeout": SKIPPED_PATIENCE}, happen)
            if happened:
                break
            # An order of an earlier cell was still under way, and was finished before anybody had to wait for it.
            self._stage.recover()
        _expect(bool(happened), module, fault, "did not wait, so nothing could happen meanwhile")
        if not result.get("failed"):
            # A task that has done what it was asked to do need not know the rest.
            noticed = fault.passes or bool(result.get("warnings")) or result["changed"]
            _expect(noticed, module, fault, "did not notice")
            return (WAITS if fault.passes else ANOTHER_WAY), ""
        _expect(not fault.passes, module, fault, f"does not survive it: {result['msg']}")
        return FAILS, self._explained(module, fault, result)

    def _slow_job(self, module: str, slow: Mapping[str, float]) -> Job:
        stage = self._stage
        if module in ("order_certificate", "order_certificates"):
            stage.bench.dev("PUT", "scripts", {"stay": slow})
            reference = {"role_name": "web", "order_id": stage.engine.order(stage.known)}
            return Job(
                reference
                if module == "order_certificate"
                else {"role_name": "web", "order_ids": [reference["order_id"]]}
            )
        if module == "order_challenge_info":
            stage.bench.dev("PUT", "scripts", {"stay": slow})
            return Job({"role_name": "web", "order_id": stage.engine.order(), "challenge_type": "http-01"})
        prepared = job(module, stage)
        stage.bench.dev("PUT", "scripts", {"stay": slow})
        return prepared

    # ------------------------------------------------------------------ one run, and what must be true of it

    def _job(self, module: str, fault: Fault) -> Job:
        prepared = self._untouched.pop(module, None) or job(module, self._stage)
        options = {name: value for name, value in prepared.options.items() if name != "token"}
        if fault.own_token:
            options["token"] = self._stage.token(ttl="10m")
        return replace(prepared, options=options)

    def _run(
        self,
        module: str,
        fault: Fault,
        prepared: Job,
        options: Mapping[str, Any],
        meanwhile: Any = None,
    ) -> Result:
        given: dict[str, Any] = {"timeout": 1, **prepared.options, **options}
        before = _contents(prepared.folder)
        try:
            # A port that is closed for a real moment is not waited for by skipping time.
            really_closed = fault.spec is not None and fault.spec["kind"] == "refuse"
            with (
                skipping(self._stage, retries=not really_closed) as skipped,
                mock.patch.object(VaultSettings, "timeout", return_value=fault.timeout),
            ):
                skipped.on_first_sleep = meanwhile
                start, started = skipped.monotonic(), time.monotonic()
                result = run(module, self._stage, given)
                took, really = skipped.monotonic() - start, time.monotonic() - started
        finally:
            mock.patch.stopall()
        self._in_time(module, fault, prepared, given, took, really)
        shown = str(result)
        _expect("Traceback" not in shown and "exception" not in result, module, fault, f"shows a traceback: {shown}")
        if result.get("failed"):
            after = _contents(prepared.folder)
            _expect(before == after, module, fault, f"failed and left {sorted(set(after) ^ set(before))} behind")
        return result

    def _in_time(
        self, module: str, fault: Fault, prepared: Job, given: Mapping[str, Any], took: float, really: float
    ) -> None:
        patience = given.get("wait_timeout", 0) if prepared.waits_on or fault.meanwhile else 0
        retries = given.get("retries", 0)
        # A request that hangs takes its timeout, once for each retry; a wait its own on top, and a last look at its end.
        most = patience + (retries + 2) * fault.timeout + SLACK
        _expect(took <= most, module, fault, f"took {took:.1f} s (really {really:.1f}), and {most:.1f} s at most")

    def _explained(self, module: str, fault: Fault, result: Result) -> str:
        _expect(bool(result.get("failed")), module, fault, f"went on, with {result}")
        said = str(result["msg"])
        _expect(bool(re.search(fault.cause, said, re.DOTALL)), module, fault, f"does not name the cause: {said}")
        _expect(bool(re.search(fault.remedy, said, re.DOTALL)), module, fault, f"names no remedy: {said}")
        return said


def _contents(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != RECORD]
    return {str(path): path.read_bytes() for path in files}


def asking_modules() -> list[str]:
    """The modules that can meet a fault of Vault's."""
    return [module for module in modules() if asks_vault(module)]


def role_column(stage: Stage, pitfalls: Pitfalls, directory: Path) -> dict[str, str]:
    """The role's letters by fault. Raises Misbehaviour."""
    letters = {}
    for title, (said, left) in role_faults.under_lasting_faults(stage, pitfalls, directory).items():
        letters[title] = role_letter(fault_of(title), said, left)
    stage.recover()
    for number, fault in enumerate(fault for fault in FAULTS if fault.title not in letters):
        folder = directory / f"meanwhile-{number}"
        folder.mkdir()
        letters[fault.title] = role_cell(fault, stage, pitfalls, folder)
    return {fault.title: letters[fault.title] for fault in FAULTS}


def role_letter(fault: Fault, said: str, left: Sequence[str]) -> str:
    """The letter of what the role said under a fault that lasts."""
    _expect(bool(said), role_faults.TITLE, fault, "went on")
    if not fault.nothing:
        _expect(bool(re.search(fault.cause, said, re.DOTALL)), role_faults.TITLE, fault, f"names no cause: {said}")
        _expect(bool(re.search(fault.remedy, said, re.DOTALL)), role_faults.TITLE, fault, f"names no remedy: {said}")
    _expect(not left, role_faults.TITLE, fault, f"failed and left {left} behind")
    return AS_MODULE


def role_cell(fault: Fault, stage: Stage, pitfalls: Pitfalls, directory: Path) -> str:
    """The letter of the role under a fault that passes, that does no harm, or that it meets while it waits."""
    try:
        played, files = role_faults.under(fault, stage, pitfalls, directory)
    finally:
        stage.recover()
    _expect("Traceback" not in played.output, role_faults.TITLE, fault, f"shows a traceback: {played.output}")
    if played.status == 0:
        _expect(files == ["a.key", "a.pem"], role_faults.TITLE, fault, f"succeeded and left {files}")
        return UNHARMED if fault.harmless else WAITS
    _expect(not fault.passes and not fault.harmless, role_faults.TITLE, fault, f"fails: {played.output}")
    said = " ".join(played.output.split())
    _expect(bool(re.search(fault.cause, said)), role_faults.TITLE, fault, f"names no cause: {said}")
    _expect(bool(re.search(fault.remedy, said)), role_faults.TITLE, fault, f"names no remedy: {said}")
    _expect(files == [], role_faults.TITLE, fault, f"failed and left {files} behind")
    return FAILS


def fault_of(title: str) -> Fault:
    """The fault of this title."""
    return next(fault for fault in FAULTS if fault.title == title)


# ---------------------------------------------------------------------- the document


def render(outcomes: Outcomes) -> str:
    """The text of ``docs/faults.md``."""
    names = sorted(outcomes.letters)
    lines = [_HEAD.rstrip("\n"), ""]
    lines.append("| Fault | " + " | ".join(f"`{name}`" for name in names) + " |")
    lines.append("| --- |" + " :---: |" * len(names))
    for fault in FAULTS:
        lines.append(
            f"| {fault.title} | " + " | ".join(outcomes.letters[name].get(fault.title, "?") for name in names) + " |"
        )
    lines += ["", _WORDS.rstrip("\n"), "", "| Fault | Message |", "| --- | --- |"]
    lines += [f"| {fault.title} | {outcomes.words[fault.title]} |" for fault in FAULTS if fault.title in outcomes.words]
    return "\n".join(lines) + "\n"


def parse(text: str) -> Outcomes:
    """What :func:`render` has written."""
    outcomes = Outcomes()
    names: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| Fault | `"):
            names = [cell.strip("`") for cell in cells[1:]]
            outcomes.letters = {name: {} for name in names}
        elif line.startswith("|") and len(cells) == len(names) + 1 and len(names) > 1 and "---" not in line:
            for name, letter in zip(names, cells[1:], strict=True):
                outcomes.letters[name][cells[0]] = letter
        elif line.startswith("|") and len(cells) == 2 and cells[0] not in ("Fault", "---"):
            outcomes.words[cells[0]] = cells[1]
    return outcomes


def plain(said: str, stage: Stage, pitfalls: Pitfalls) -> str:
    """A message without what differs from run to run, for the document."""
    said = said.replace(stage.known_order, "<order_id>").replace(stage.engine.mount, "<mount>")
    said = re.sub(r"[0-9A-Za-z-]*[0-9a-f]{8}-[0-9a-f]{4}-[0-9A-Za-z-]+", "<order_id>", said)
    for url in (stage.vault.url, *[value for value in vars(pitfalls).values() if isinstance(value, str)]):
        said = said.replace(url, "<url>")
    said = re.sub(r"within [0-9.]+ s\b", "within &lt;timeout> s", said.replace("<", "&lt;"))
    said = re.sub(r"(is still \S+ after) [0-9]+ s\b", r"\1 &lt;wait_timeout> s", said)
    said = re.sub(r"(localhost|127\.0\.0\.1):\d+", "&lt;host>:&lt;port>", said)
    return re.sub(r"\s+", " ", said.replace("|", "/")).strip()


def words_of(module: str, said: Mapping[str, str], stage: Stage, pitfalls: Pitfalls) -> dict[str, str]:
    """The messages that a module speaks for all with."""
    waiting = {fault.title for fault in FAULTS if fault.meanwhile is not None}
    if module not in (SPOKESMAN, WAITING_SPOKESMAN):
        return {}
    speaks_of_waits = module == WAITING_SPOKESMAN
    return {
        title: plain(text, stage, pitfalls) for title, text in said.items() if (title in waiting) == speaks_of_waits
    }


_HEAD = """\
# What goes wrong, and what a task makes of it

<!-- Generated by `make fault-table`, and checked by the tests: do not edit. -->

Every module, the lookup and the role were run under every fault below, against the development Vault. `·`: nothing is noticed.
`W`: the fault passes while the task waits for an order, and the task goes on by itself; it fails, with the message, if the fault lasts
beyond `wait_timeout`.
`R`: the task fails with the message, and recovers by itself from a fault that passes if `retries` is set (`retries: 3` here).
`F`: the task fails with the message. `N`: the task takes the answer for "there is no such thing", since some versions of Vault say so
with this status. `A`: the task goes on another way, or has done what it was asked to do by then (a token may, for example, be permitted
to fetch a certificate and not to read the order's status). `–`: the module never waits. `M`: the role fails with the message of the module
that meets the fault, and recovers where that does (`certificate_vault` takes `retries`).

In no case does a task take longer than its `timeout` (for each request) and `wait_timeout` (for all of the wait) permit, or show
a traceback, or leave a file behind that differs from what was there before. (`vault_extca_certificate` leaves a hidden record beside
the first file, from which the next run goes on with the same order.)

`W` is about the time in which a task waits. Before it waits, it may look for an order and create one; trouble in these first
requests is met with `retries`, as in modules that do not wait.
"""

_WORDS = """\
## Messages

As `vault_extca_role_info` says it; `vault_extca_order_certificate` for what happens during a wait. Other modules name their own paths,
and those that have created an order begin with its id.
"""


@contextlib.contextmanager
def staged(directory: Path) -> Iterator[tuple[Stage, Pitfalls]]:
    """Everything that a matrix needs."""
    with raised(directory) as stage, dug(directory, stage.vault.url) as pitfalls:
        yield stage, pitfalls


def main() -> int:
    """Run all of it, print it, and write it to the document. 1 where a module misbehaves."""
    from ansible_collections.certops.vault_extca.plugins.module_utils import polling

    polling.FIRST_PAUSE = 0.02
    only = sys.argv[1:]
    outcomes, misbehaved = Outcomes(), False
    with tempfile.TemporaryDirectory() as directory, staged(Path(directory)) as (stage, pitfalls):
        matrix = Matrix(stage, pitfalls)
        for module in only or [*asking_modules(), lookups.TITLE]:
            start = time.monotonic()
            outcomes.letters[module], said = {}, {}
            for fault in FAULTS:
                try:
                    outcomes.letters[module][fault.title], text = matrix.cell(module, fault)
                except Misbehaviour as error:
                    misbehaved = True
                    print(error, file=sys.stderr)
                    continue
                if text:
                    said[fault.title] = text
            outcomes.words.update(words_of(module, said, stage, pitfalls))
            print(f"{module}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
        if not only:
            outcomes.letters[role_faults.TITLE] = role_column(stage, pitfalls, Path(directory))
    print(render(outcomes))
    if not misbehaved and not only:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(render(outcomes))
    return int(misbehaved)


if __name__ == "__main__":
    sys.exit(main())
