# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Runs that are killed, and runs at once: no second order, and the files always form one consistent set."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import yaml

from tests.behaviour.harness import fresh_name, play

from .killing import count_steps, run_and_kill, run_and_kill_during_the_renames, wait_for_quiet
from .site import Site, is_pair, serial

RECORD = ".www.key.vault_extca"


def bundle_and_pair(site: Site) -> dict[str, str]:
    return site.pair | {"pem_bundle": str(site.ssl / "www.bundle")}


def consistent_serial(site: Site) -> int | None:
    """The serial number of the one set that the files are; None where there are none."""
    paths = [Path(path) for path in bundle_and_pair(site).values()]
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    assert there == paths, "some files of the set are there and some are not"
    certificate, key, bundle = (path.read_bytes() for path in paths)
    assert is_pair(certificate, key)
    assert is_pair(bundle, bundle)
    assert serial(paths[0]) == serial(paths[2])
    return serial(paths[0])


@pytest.mark.parametrize(
    ("answering", "key_source"),
    [("webroot", "vault"), ("webroot", "local"), ("http-01 listen", "local"), ("tls-alpn-01 listen", "vault")],
)
@pytest.mark.timeout(300)
def test_a_run_killed_at_any_step_is_finished_by_the_next_without_a_second_order(
    site: Site, request: pytest.FixtureRequest, answering: str, key_source: str
) -> None:
    options = site.options(fresh_name(), key_source=key_source)
    options |= {"destination": bundle_and_pair(site), "force": True, "use_cached": False}
    if answering == "webroot":
        request.getfixturevalue("webroot")
        options["http_01"] = site.http_webroot
    elif answering == "tls-alpn-01 listen":
        options |= {"http_01": None, "tls_alpn_01": site.tls_here}
    steps = count_steps(site, options)
    # Each way of answering has its own.
    assert ("publish" in steps, "stop" in steps) == (("listen" in answering),) * 2
    orders, last = site.orders(), consistent_serial(site)
    assert orders == 1
    killed = 0
    # Every request of a kind is the same step, however often it is made.
    moments = [at for at, name in enumerate(steps) if name != steps[at - 1] or not name.startswith("GET")]
    moments = moments[moments.index(steps.index("POST:new-order")) :]
    for at in moments:
        was_killed = run_and_kill(site, options, at)
        killed += was_killed
        wait_for_quiet(site.ssl / RECORD)
        assert consistent_serial(site) is not None, f"killed before step {at}, {steps[at]}"
        result = site.run(options)
        found = consistent_serial(site)
        # A run that was over before it could be killed, since it polled less often, has made an order of its own.
        orders += 1 if was_killed else 2
        if found == last or site.orders() != orders:
            pytest.fail(f"killed before step {at}, {steps[at]}: {site.orders()} orders and not {orders}; {result}")
        last = found
        assert site.leftovers() == []
        assert list(site.webroot.rglob("*")) == []
    assert killed >= len(moments) - 5


def test_the_first_certificate_is_there_as_a_whole_or_not_at_all(site: Site, webroot: Path) -> None:
    options = site.options(fresh_name(), http_01=site.http_webroot, destination=bundle_and_pair(site))
    steps = count_steps(site, options)
    for at_end in range(1, 16, 2):
        for path in bundle_and_pair(site).values():
            Path(path).unlink(missing_ok=True)
        options["identifiers"] = [fresh_name()]
        orders = site.orders()
        run_and_kill(site, options, len(steps) - at_end)
        wait_for_quiet(site.ssl / RECORD)
        consistent_serial(site)
        site.run(options)
        assert consistent_serial(site)
        assert site.orders() == orders + 1
        assert site.leftovers() == []


def test_a_task_killed_between_two_renames_leaves_the_new_set(site: Site) -> None:
    options = site.options(fresh_name(), destination=bundle_and_pair(site))
    site.run(options)
    before = consistent_serial(site)
    run_and_kill_during_the_renames(site, options | {"force": True}, whom="task")
    wait_for_quiet(site.ssl / RECORD)
    assert consistent_serial(site) != before
    site.calls()
    # The set is good, so that the next run has nothing to do but to clean up, and to tell what nobody was told.
    result = site.run(options)
    assert (result["changed"], site.calls(), site.leftovers()) == (True, [], [])
    assert result["reason"].startswith("an earlier run was cut short after it had replaced files; valid until")
    assert site.run(options)["changed"] is False


@pytest.mark.parametrize("after", [0, 1, 2])
def test_renames_that_stopped_half_way_are_finished_by_the_next_run_without_vault(site: Site, after: int) -> None:
    options = site.options(fresh_name(), destination=bundle_and_pair(site))
    site.run(options)
    before = consistent_serial(site)
    run_and_kill_during_the_renames(site, options | {"force": True}, whom="renamer", after=after)
    site.calls()
    result = site.run(options)
    assert site.calls() == []
    assert (result["changed"], result["source"]) == (True, "destination")
    assert consistent_serial(site) != before
    assert site.orders() == 2
    assert site.leftovers() == []


def test_a_key_made_here_survives_until_its_certificate_comes(site: Site, webroot: Path) -> None:
    name = fresh_name()
    options = site.options(name, http_01=site.http_webroot, key_source="local")
    steps = count_steps(site, options)
    for path in site.pair.values():
        Path(path).unlink()
    options["identifiers"] = [fresh_name()]
    run_and_kill(site, options, steps.index("GET:challenge"))
    record = site.ssl / RECORD
    assert record.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in record.read_text()
    orders = site.orders()
    result = site.run(options)
    assert site.orders() == orders
    assert is_pair(Path(site.pair["fullchain"]).read_bytes(), Path(site.pair["private_key"]).read_bytes())
    assert (result["source"], site.leftovers()) == ("order", [])


def test_work_for_other_names_is_not_gone_on_with(site: Site, webroot: Path) -> None:
    options = site.options(fresh_name(), http_01=site.http_webroot)
    steps = count_steps(site, options)
    for path in site.pair.values():
        Path(path).unlink()
    run_and_kill(site, options | {"identifiers": [fresh_name()]}, steps.index("POST:fulfilled-challenge"))
    assert len(list(webroot.rglob("*"))) == 3
    wanted = [fresh_name()]
    result = site.run(options | {"identifiers": wanted})
    assert result["identifiers"] == wanted
    assert [path for path in webroot.rglob("*") if path.is_file()] == []
    assert site.leftovers() == []


def test_a_task_that_is_told_to_end_cleans_up_and_the_next_goes_on(site: Site, webroot: Path) -> None:
    options = site.options(fresh_name(), http_01=site.http_webroot)
    with site.bench.scripts({"role": "web", "stay": {"processing-challenge": 3.0}}):
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        result = site.run(options, fails=True)
        timer.join()
    assert "ended by SIGTERM" in result["msg"]
    assert list(webroot.rglob("*")) == []
    order_id = site.engine.api("LIST", "lookup/orders/recent?within=1h")["keys"]
    result = site.run(options)
    assert [result["order_id"]] == order_id


def module_processes(site: Site) -> dict[bool, list[int]]:
    """Processes of modules that Ansible has started for this site's Vault: tasks (False), and what answers for them (True)."""
    found: dict[bool, list[int]] = {False: [], True: []}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if len(words) > 1 and b"AnsiballZ_vault_extca_certificate" in words[1]:
                ours = f"VAULT_ADDR={site.bench.vault.url}".encode() in (process / "environ").read_bytes().split(b"\0")
                number = int(process.name)
                if ours:
                    found[os.getsid(number) == number].append(number)
    return found


@pytest.mark.parametrize("challenge_type", ["http-01", "tls-alpn-01"])
def test_a_module_killed_under_ansible_keeps_nobody_waiting_and_loses_no_order(site: Site, challenge_type: str) -> None:
    options = site.options(fresh_name(), challenge_type=challenge_type, tls_alpn_01=site.tls_here)
    options["mount"] = site.engine.mount
    lines = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{"certops.vault_extca.vault_extca_certificate": options}],
        }
    ]
    text = yaml.safe_dump(lines)
    with (
        site.bench.scripts({"role": "web", "stay": {"processing-challenge": 1.0}}),
        ThreadPoolExecutor(1) as executor,
    ):
        playing = executor.submit(play, text, site.directory, site.bench)
        while not any(one.path.endswith("fulfilled-challenge") and one.status for one in site.bench.requests_made()):
            assert not playing.done(), playing.result().output
            time.sleep(0.01)
        (task,) = module_processes(site)[False]
        os.kill(task, signal.SIGKILL)
        killed = playing.result()
        assert module_processes(site) == {False: [], True: [ANY]}
    assert killed.status == 2, killed.output
    (order_id,) = site.engine.api("LIST", "lookup/orders/recent?within=1h")["keys"]
    site.engine.wait(order_id, "completed")
    played = play(text, site.directory, site.bench)
    assert played.status == 0, played.output
    assert site.orders() == 1
    assert is_pair(Path(site.pair["fullchain"]).read_bytes(), Path(site.pair["private_key"]).read_bytes())
    assert site.leftovers() == []


def test_runs_at_once_for_the_same_files_make_one_order(site: Site, webroot: Path) -> None:
    options = site.options(fresh_name(), http_01=site.http_webroot, destination=bundle_and_pair(site))
    results = site.run_at_once(options, 8)
    assert sum(result["changed"] for result in results) == 1
    assert len({result["serial_number"] for result in results}) == 1
    assert site.orders() == 1
    assert site.leftovers() == []


READER = """
import sys, os
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
FORM = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
certificate, key, bundle, stop = map(Path, sys.argv[1:])

def public(certificate, key):
    return (
        x509.load_pem_x509_certificate(certificate).public_key().public_bytes(*FORM),
        load_pem_private_key(key, None).public_key().public_bytes(*FORM),
    )

looks = seen = 0
serials = set()
while not stop.exists():
    text = bundle.read_bytes()
    one, other = public(text, text)
    assert one == other, "the bundle is torn"
    serials.add(x509.load_pem_x509_certificate(text).serial_number)
    # Two files cannot be read at one moment: what changed meanwhile is read again, as a server that is reloaded does.
    while True:
        before = (certificate.stat().st_ino, key.stat().st_ino)
        texts = certificate.read_bytes(), key.read_bytes()
        pair = public(*texts)
        if (certificate.stat().st_ino, key.stat().st_ino) == before and pair[0] == pair[1]:
            break
        looks += 1
        assert looks < 1000, "the pair does not match however often it is read"
    seen += 1
print(seen, len(serials))
"""


@pytest.mark.timeout(300)
def test_a_reader_sees_a_matching_pair_during_many_renewals(site: Site) -> None:
    options = site.options(fresh_name(), destination=bundle_and_pair(site))
    issued = [site.run(options | {"force": True, "return_private_key": True}) for _time in range(2)]
    stop = site.directory / "stop"
    paths = [site.pair["fullchain"], site.pair["private_key"], bundle_and_pair(site)["pem_bundle"], str(stop)]
    with subprocess.Popen([sys.executable, "-c", READER, *paths], stdout=subprocess.PIPE, text=True) as reader:
        try:
            deadline = time.monotonic() + 240  # which only a busy machine takes
            for number in range(200):
                _install(site, issued[number % 2])
                assert time.monotonic() < deadline
        finally:
            stop.touch()
            output: Any = reader.communicate(timeout=30)[0]
    assert reader.returncode == 0
    seen, serials = map(int, output.split())
    assert seen > 50
    assert serials == 2


def _install(site: Site, issued: dict[str, Any]) -> None:
    order = {"role_name": site.engine.role, "order_id": issued["order_id"], "facts": "none"}
    result = site.engine.run("order_certificate", order | {"destination": bundle_and_pair(site)})
    assert len(result["files"]) == 3
    assert "private_key" not in result
