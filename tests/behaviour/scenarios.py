# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""One job for every module that makes it do all that it can: what the matrices of faults, secrets and inputs run.

A module without a row here is found by :func:`modules`, and fails every matrix.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic

from tests.tools.tree import REPOSITORY
from tests.unit.running import MODULES, run_main

from . import lookups
from .harness import Result, fresh_name
from .stage import Stage

PREFIX = "vault_extca_"
_numbers = itertools.count(1)


@dataclass
class Job:
    """Options of a module. ``waits_on`` matches the requests that it repeats while it waits; None: it never waits.

    ``folder`` is where it writes files, if it does.
    """

    options: dict[str, Any]
    waits_on: str | None = None
    folder: Path | None = None


JOBS: dict[str, Callable[[Stage], Job]] = {}


def modules() -> list[str]:
    """All modules of the collection, without the prefix that they share."""
    return sorted(path.stem.removeprefix(PREFIX) for path in (REPOSITORY / "plugins" / "modules").glob("vault_*.py"))


class _Captured(Exception):
    """Carries what a module says of its options."""


@functools.cache
def specification(module: str) -> dict[str, Any]:
    """A module's whole argument spec, as it tells Ansible."""

    def capture(_self: object, argument_spec: dict[str, Any], **_rest: object) -> None:
        raise _Captured(argument_spec)

    main = importlib.import_module(f"{MODULES}.{PREFIX}{module}").main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(basic.AnsibleModule, "__init__", capture)
        try:
            main()
        except _Captured as captured:
            found: dict[str, Any] = captured.args[0]
            return found
    raise LookupError(f"{PREFIX}{module} has no argument spec")


def asks_vault(module: str) -> bool:
    """Whether a module talks to Vault at all."""
    return "url" in specification(module)


def run(module: str, stage: Stage, options: dict[str, Any], **modes: Any) -> Result:
    """Run a module (or the lookup), which may fail, with the stage's address, token and mount where it takes them."""
    if module == lookups.TITLE:
        return lookups.look_up(stage, options, stage.known)
    if asks_vault(module):
        return stage.run(module, options, **modes)
    return run_main(f"{PREFIX}{module}", options, **modes)


def job(module: str, stage: Stage) -> Job:
    """A fresh job for a module. LookupError for a module that nobody has thought of here."""
    if module not in JOBS:
        raise LookupError(f"{PREFIX}{module} has no row in {__name__}: say there what it does when it does all it can")
    return JOBS[module](stage)


def _job(make: Callable[[Stage], Job]) -> Callable[[Stage], Job]:
    JOBS[make.__name__.strip("_")] = make
    return make


def fresh(kind: str) -> str:
    """A name that no job has had before."""
    return f"{kind}-{next(_numbers)}"


def _pending(stage: Stage) -> dict[str, Any]:
    order_id = stage.engine.order(fresh_name())
    stage.engine.wait(order_id, "awaiting-challenge-fulfillment")
    return {"role_name": "web", "order_id": order_id}


def _completed(stage: Stage) -> dict[str, Any]:
    return {"role_name": "web", "order_id": stage.known_order}


def tsig(stage: Stage) -> dict[str, Any]:
    """Fields of a DNS provider that BIND believes."""
    key = stage.bind.keys["hmac-sha256"]
    return {
        "identifiers": [f"*.{stage.bind.dynamic_zones[0]}"],
        "nameserver": stage.bind.server,
        "tsig_key_name": key.name,
        "tsig_secret": key.secret,
    }


def _provider(stage: Stage) -> str:
    name = "lasting"
    stage.engine.api("POST", f"config/dns/rfc2136/{name}", tsig(stage))
    return name


@_job
def _mount(stage: Stage) -> Job:
    return Job({"mount": fresh("mount"), "description": "made by a job"})


@_job
def _acme_account(stage: Stage) -> Job:
    return Job({"name": fresh("account"), **stage.bench.account_fields()})


@_job
def _acme_account_info(stage: Stage) -> Job:
    return Job({"name": stage.engine.account})


@_job
def _acme_account_rotate_key(stage: Stage) -> Job:
    name = fresh("rotated")
    stage.engine.api("POST", f"config/acme-account/{name}", stage.bench.account_fields(key_type="ec-256"))
    return Job({"name": name, "key_type": "ec-384"})


@_job
def _role(stage: Stage) -> Job:
    return Job({"name": fresh("role"), "acme_account_name": stage.engine.account, "allowed_domains": ["example.com"]})


@_job
def _role_info(stage: Stage) -> Job:
    return Job({"name": stage.engine.role})


@_job
def _dns_provider(stage: Stage) -> Job:
    return Job({"name": fresh("provider"), "type": "rfc2136", **tsig(stage)})


@_job
def _dns_provider_info(stage: Stage) -> Job:
    return Job({"name": _provider(stage), "type": "rfc2136"})


@_job
def _dns_provider_test(stage: Stage) -> Job:
    return Job({"name": _provider(stage), "type": "rfc2136", "identifier": f"test.{stage.bind.dynamic_zones[0]}"})


@_job
def _order(stage: Stage) -> Job:
    return Job({"role_name": "web", "identifiers": [fresh_name()], "wait_timeout": 2}, waits_on="/status$")


@_job
def _order_info(stage: Stage) -> Job:
    return Job(_completed(stage))


@_job
def _order_challenge_info(stage: Stage) -> Job:
    options = {**_pending(stage), "challenge_type": "http-01", "wait_timeout": 2}
    return Job(options, waits_on="/(status|challenge)$")


@_job
def _order_challenge_fulfilled(stage: Stage) -> Job:
    options = {**_pending(stage), "challenge_type": "http-01", "wait_timeout": 2}
    return Job(options, waits_on="/status$")


@_job
def _order_certificate(stage: Stage) -> Job:
    return Job({**_completed(stage), "wait_timeout": 2}, waits_on="/status$")


@_job
def _order_certificates(stage: Stage) -> Job:
    options = {"role_name": "web", "order_ids": [stage.known_order], "wait_timeout": 2}
    return Job(options, waits_on="/status$")


@_job
def _certificate_info(stage: Stage) -> Job:
    return Job({"role_name": "web", "identifiers": [stage.known]})


JOBS[lookups.TITLE] = lambda stage: Job({"role_name": stage.engine.role})


@_job
def _certificate_revoke(stage: Stage) -> Job:
    # Its certificate is revoked, so it is none of those that others need.
    order_id = stage.engine.order(stage.spare)
    stage.engine.wait(order_id, "completed")
    return Job({"role_name": "web", "order_id": order_id})


@_job
def _certificate_files(stage: Stage) -> Job:
    issued = stage.engine.fetch(stage.known_order)
    folder, destination = _destination(stage)
    given = {name: issued[name] for name in ("certificate", "ca_chain", "private_key")}
    return Job({"identifiers": [stage.known], "destination": destination, **given}, folder=folder)


def _destination(stage: Stage) -> tuple[Path, dict[str, str]]:
    folder = stage.directory / fresh("files")
    folder.mkdir()
    (folder / "precious").write_text("as it was\n")
    return folder, {"fullchain": str(folder / "fullchain.pem"), "private_key": str(folder / "key.pem")}


@_job
def _certificate(stage: Stage) -> Job:
    folder, destination = _destination(stage)
    options = {
        "role_name": "web",
        "identifiers": [stage.known],
        "destination": destination,
        "use_cached": False,
        "wait_timeout": 2,
    }
    return Job(options, waits_on="/status$", folder=folder)
