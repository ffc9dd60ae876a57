# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_certificate: when it asks Vault, what for, and what it says."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.behaviour.harness import Result, fresh_name
from tests.testbed import Nginx, Pebble, PebbleOptions
from tests.testbed.ports import free_port
from tests.tools.tree import BUILD, REPOSITORY
from tests.unit.issuing import SmallCA, key_pem, new_key, pem

from .site import Site, is_pair, leaf, openssl, serial

ALL_FILES = ("certificate", "chain", "fullchain", "private_key", "pem_bundle", "pkcs12")


def all_files(site: Site) -> dict[str, str]:
    return {kind: str(site.ssl / f"www.{kind}") for kind in ALL_FILES} | {"pkcs12_passphrase": "pässphrase 1"}


def test_the_second_run_asks_vault_nothing(site: Site) -> None:
    options = site.options(fresh_name(), destination=all_files(site))
    first = site.run(options)
    before = {path: path.stat() for path in site.ssl.iterdir()}
    site.calls()
    second = site.run(options)
    assert site.calls() == []
    assert (second["changed"], second["source"], second["files"]) == (False, "destination", [])
    assert second["reason"].startswith(f"valid until {first['not_after']}")
    for key in ("certificate", "ca_chain", "fullchain", "serial_number", "not_after", "next_renewal", "identifiers"):
        assert second[key] == first[key]
    assert {path: path.stat().st_mtime_ns for path in site.ssl.iterdir()} == {
        path: status.st_mtime_ns for path, status in before.items()
    }


def test_a_good_certificate_needs_neither_vault_nor_token(site: Site) -> None:
    options = site.options(fresh_name())
    site.run(options)
    result = site.run({**options, "url": "http://127.0.0.1:9", "token": None})
    assert result["changed"] is False


def test_a_good_certificate_costs_no_http_library(site: Site) -> None:
    options = {**site.options(fresh_name()), "url": "http://127.0.0.1:9", "token": "hvs.unused"}
    site.run(site.options(*options["identifiers"]))
    code = (
        "import json, sys\n"
        "from tests.unit.running import run_main\n"
        "result = run_main('vault_extca_certificate', json.load(sys.stdin))\n"
        "heavy = {'hvac', 'requests', 'urllib3', 'ssl', 'http.server', 'http.client', 'socketserver'}\n"
        "print(json.dumps([result['changed'], sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(options),
        env={"PYTHONPATH": f"{REPOSITORY}:{BUILD / 'links'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [False, []]


def test_a_certificate_is_renewed_when_its_time_has_come(site: Site) -> None:
    dns_server = site.bench.challtestsrv.dns_server
    with Pebble(site.bench.ca, PebbleOptions(dns_server=dns_server, validity=8)) as pebble:
        account = site.bench.account_fields(directory_url=pebble.directory_url)
        site.engine.api("POST", "config/acme-account/brief", account)
        site.engine.write_role("brief", acme_account_name="brief")
        here = {"listen": f"127.0.0.1:{pebble.http_port}"}
        options = site.options(fresh_name(), role_name="brief", http_01=here, renew_before="50%")
        first = site.run(options)
        assert site.run(options)["changed"] is False
        half = datetime.datetime.fromisoformat(first["next_renewal"])
        time.sleep(max((half - datetime.datetime.now(datetime.UTC)).total_seconds(), 0) + 0.1)
        renewed = site.run(options)
    assert (renewed["changed"], renewed["source"]) == (True, "order")
    assert renewed["reason"].startswith("expires in ")
    assert renewed["serial_number"] != first["serial_number"]


ANSWERS = (
    *("OQ-1=404", "OQ-1=200", "OQ-2=400", "OQ-3=400", "OQ-3=204", "OQ-4=400", "OQ-7=empty", "OQ-8=underscores"),
    *("OQ-9=404", "OQ-9=412", "OQ-19=absent"),
)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("key_source", ["vault", "local"])
def test_whatever_vault_answers_to_open_questions_the_outcome_is_the_same(
    site: Site, answer: str, key_source: str
) -> None:
    question, given = answer.split("=")
    options = site.options(fresh_name(), key_source=key_source)
    with site.bench.answers({question: given}):
        first = site.run(options)
        assert (first["changed"], first["source"]) == (True, "order")
        renewed = site.run({**options, "force": True})
        assert renewed["serial_number"] != first["serial_number"]
        site.calls()
        assert site.run(options)["changed"] is False
        assert site.calls() == []
    assert site.orders() == 2


def _wrong_names(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return options | {"identifiers": [*options["identifiers"], fresh_name()]}, "and not for"


def _due(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    left = leaf(site.pair["fullchain"]).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return options | {"renew_before": f"{left.days + 1}d"}, f"expires in {left.days} days"


def _expired(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=93)
    old = SmallCA().issue(*options["identifiers"], days=90, not_before=then)
    Path(site.pair["fullchain"]).write_text(pem(old.certificate) + pem(old.chain[0]))
    Path(site.pair["private_key"]).write_text(key_pem(old.key))
    return options, "expired 3 days ago"


def _other_key(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    Path(site.pair["private_key"]).write_text(key_pem(new_key()))
    return options, "the private key does not belong to the certificate"


def _no_key(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    Path(site.pair["private_key"]).unlink()
    return options, f"{site.pair['private_key']} does not exist"


def _no_certificate(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    Path(site.pair["fullchain"]).unlink()
    return options, f"{site.pair['fullchain']} does not exist"


def _garbage(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    Path(site.pair["fullchain"]).write_bytes(b"\x00\xff garbage")
    return options, "is not a PEM file"


def _no_chain(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    path = Path(site.pair["fullchain"])
    path.write_text(path.read_text().split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
    return options, "its chain is missing"


def _wrong_chain(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    path = Path(site.pair["fullchain"])
    own = path.read_text().split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
    path.write_text(own + pem(SmallCA().intermediate))
    return options, "the chain is not in order"


def _forced(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return options | {"force": True}, "force is set"


def _revoked(site: Site, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    site.engine.run("certificate_revoke", {"serial_number": _serial_text(site), "reason": "superseded"}, fails=None)
    return options | {"check_revocation": True}, "Vault has revoked the certificate"


def _serial_text(site: Site) -> str:
    digits = f"{serial(site.pair['fullchain']):x}"
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


REASONS = {
    "names": _wrong_names,
    "due": _due,
    "expired": _expired,
    "another key": _other_key,
    "no key": _no_key,
    "no certificate": _no_certificate,
    "garbage": _garbage,
    "no chain": _no_chain,
    "wrong chain": _wrong_chain,
    "force": _forced,
    "revoked": _revoked,
}
Change = Callable[[Site, dict[str, Any]], tuple[dict[str, Any], str]]


@pytest.mark.parametrize("change", REASONS.values(), ids=REASONS.keys())
def test_every_reason_is_seen_said_and_mended(site: Site, change: Change) -> None:
    options, reason = change(site, _issued(site))
    before = {path.name: path.read_bytes() for path in site.ssl.iterdir()}
    predicted = site.run(options, check=True, diff=True)
    assert predicted["changed"] is True
    assert reason in predicted["reason"]
    assert {path.name: path.read_bytes() for path in site.ssl.iterdir()} == before
    site.calls()
    result = site.run(options)
    assert reason in result["reason"]
    assert result["source"] == predicted["source"]
    assert is_pair(Path(site.pair["fullchain"]).read_bytes(), Path(site.pair["private_key"]).read_bytes())
    assert set(result["identifiers"]) == set(options["identifiers"])
    if change is not _due:  # nothing that is issued now lasts that long
        again = site.run({**options, "force": False})
        assert again["changed"] is False
    assert site.leftovers() == []


def _issued(site: Site) -> dict[str, Any]:
    options = site.options(fresh_name())
    site.run(options)
    return options


@pytest.mark.parametrize("key_source", ["vault", "local"])
@pytest.mark.parametrize("lost", ALL_FILES)
def test_a_file_that_the_others_make_up_for_is_written_without_vault(site: Site, lost: str, key_source: str) -> None:
    destination = all_files(site)
    options = site.options(fresh_name(), destination=destination, key_source=key_source)
    first = site.run(options)
    Path(destination[lost]).unlink()
    site.calls()
    result = site.run(options)
    assert site.calls() == []
    assert (result["changed"], result["source"]) == (True, "destination")
    assert result["files"] == [destination[lost]]
    assert result["serial_number"] == first["serial_number"]


def test_a_certificate_that_was_issued_before_is_taken_from_the_cache(site: Site) -> None:
    options = _issued(site)
    there = {kind: path.replace("www.", "other.") for kind, path in site.pair.items()}
    site.calls()
    result = site.run({**options, "destination": there, "http_01": None})
    assert (result["changed"], result["source"]) == (True, "cached")
    assert serial(there["fullchain"]) == serial(site.pair["fullchain"])
    assert not any("new-order" in call for call in site.calls())
    assert result["order_id"]


def test_the_cache_is_left_alone_where_that_is_asked_for(site: Site) -> None:
    options = _issued(site)
    there = {kind: path.replace("www.", "other.") for kind, path in site.pair.items()}
    result = site.run({**options, "destination": there, "use_cached": False})
    assert result["source"] == "order"
    assert serial(there["fullchain"]) != serial(site.pair["fullchain"])


def test_an_active_order_for_the_same_names_is_used(site: Site) -> None:
    name = fresh_name()
    order_id = site.engine.order(name)
    result = site.run(site.options(name))
    assert (result["source"], result["order_id"]) == ("order", order_id)
    assert site.orders() == 1


@pytest.mark.parametrize("key_type", ["ec-256", "ec-384", "ec-521", "rsa-2048", "rsa-4096"])
def test_keys_are_made_on_the_host_and_stay_there(site: Site, key_type: str) -> None:
    options = site.options(fresh_name(), key_source="local", key_type=key_type, destination=all_files(site))
    result = site.run(options)
    key: Any = load_pem_private_key(Path(options["destination"]["private_key"]).read_bytes(), None)
    assert str(key.key_size) == key_type.split("-")[1]
    assert "private_key" not in site.engine.fetch(result["order_id"])
    site.calls()
    assert site.run(options)["changed"] is False
    assert site.calls() == []
    assert site.leftovers() == []


def test_another_key_type_is_a_reason(site: Site) -> None:
    options = site.options(fresh_name(), key_source="local")
    site.run(options)
    result = site.run({**options, "key_type": "ec-384"})
    assert result["reason"] == "its key is ec-256 and not ec-384"


def test_an_existing_key_is_used_now_and_for_the_renewal(site: Site) -> None:
    key = site.ssl / "own.key"
    key.write_text(key_pem(new_key()))
    destination = {"fullchain": site.pair["fullchain"]}
    options = site.options(fresh_name(), key_source="local", private_key_path=str(key), destination=destination)
    for force in (False, True):
        result = site.run({**options, "force": force})
        assert result["changed"] is True
        assert is_pair(Path(site.pair["fullchain"]).read_bytes(), key.read_bytes())
    assert site.run(options)["changed"] is False
    key.write_text(key_pem(new_key()))
    assert "private key does not belong" in site.run(options)["reason"]


def test_permissions_are_set_before_a_file_is_seen_and_kept_afterwards(site: Site) -> None:
    destination = all_files(site)
    options = site.options(fresh_name(), destination=destination, mode="0640", private_key_mode="0400")
    site.run(options)
    modes = {kind: Path(destination[kind]).stat().st_mode & 0o777 for kind in ALL_FILES}
    secret = {"private_key": 0o400, "pem_bundle": 0o400, "pkcs12": 0o400}
    assert modes == {"certificate": 0o640, "chain": 0o640, "fullchain": 0o640, **secret}
    Path(destination["private_key"]).chmod(0o644)
    site.calls()
    for check in (True, False):
        result = site.run(options, check=check)
        assert result["changed"] is True
        assert "mode or the like of a file differed" in result["reason"]
    assert site.calls() == []
    assert Path(destination["private_key"]).stat().st_mode & 0o777 == 0o400


def test_keys_are_their_owners_alone_by_default(site: Site) -> None:
    options = site.options(fresh_name(), destination=all_files(site), mode="0644")
    site.run(options)
    for kind in ("private_key", "pem_bundle", "pkcs12"):
        assert Path(options["destination"][kind]).stat().st_mode & 0o777 == 0o600


def test_old_files_are_kept_where_that_is_asked_for(site: Site) -> None:
    options = _issued(site)
    old = {path: Path(path).read_bytes() for path in site.pair.values()}
    result = site.run({**options, "force": True, "backup": True})
    assert {path: Path(copy).read_bytes() for path, copy in result["backup_files"].items()} == old


def test_the_diff_shows_names_serial_and_validity_and_no_key(site: Site) -> None:
    options = _issued(site)
    result = site.run({**options, "force": True}, diff=True)
    assert set(result["diff"]["before"]) == {"identifiers", "serial_number", "not_before", "not_after"}
    assert result["diff"]["after"]["serial_number"] == result["serial_number"]
    assert "PRIVATE KEY" not in str(result)


def test_a_key_that_stands_in_no_file_is_returned(site: Site) -> None:
    options = site.options(fresh_name(), destination={"certificate": str(site.ssl / "leaf.pem")})
    result = site.run(options)
    assert is_pair(Path(options["destination"]["certificate"]).read_bytes(), result["private_key"].encode())


def test_links_stay_and_what_they_lead_to_is_replaced(site: Site) -> None:
    real = site.directory / "real"
    real.mkdir()
    Path(site.pair["fullchain"]).symlink_to(real / "www.pem")
    site.run(site.options(fresh_name()))
    assert Path(site.pair["fullchain"]).is_symlink()
    assert leaf(real / "www.pem")


# ---------------------------------------------------------------------- read back by those it is for


def test_the_keystore_opens_in_openssl_and_java(site: Site) -> None:
    name = fresh_name()
    keystore, passphrase = site.ssl / "keystore.p12", "changeit-please"
    site.run(site.options(name, destination={"pkcs12": str(keystore), "pkcs12_passphrase": passphrase}))
    shown = openssl("pkcs12", "-in", str(keystore), "-nodes", "-passin", "stdin", text=passphrase + "\n")
    assert shown.count("BEGIN CERTIFICATE") == 2
    assert "BEGIN PRIVATE KEY" in shown
    assert f"friendlyName: {name}" in shown
    keytool = shutil.which("keytool")
    if keytool:
        arguments = [keytool, "-list", "-v", "-keystore", str(keystore), "-storetype", "PKCS12"]
        listed = subprocess.run(
            [*arguments, "-storepass", passphrase], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
        )
        assert listed.returncode == 0, listed.stdout + listed.stderr
        assert f"Alias name: {name}" in listed.stdout
        assert "Certificate chain length: 2" in listed.stdout


def test_another_passphrase_has_the_keystore_written_anew(site: Site) -> None:
    destination = {**site.pair, "pkcs12": str(site.ssl / "keystore.p12"), "pkcs12_passphrase": "one"}
    options = site.options(fresh_name(), destination=destination)
    site.run(options)
    result = site.run({**options, "destination": {**destination, "pkcs12_passphrase": "two"}})
    assert result["files"] == [destination["pkcs12"]]
    assert "cannot be opened with pkcs12_passphrase" in result["reason"]
    openssl("pkcs12", "-in", destination["pkcs12"], "-nodes", "-passin", "pass:two")


def test_the_chain_leads_to_the_cas_root_and_nginx_serves_the_bundle(site: Site) -> None:
    name = fresh_name()
    destination = all_files(site)
    site.run(site.options(name, destination=destination))
    root = site.directory / "root.pem"
    root.write_text(site.bench.pebble.root_pem())
    shown = openssl("verify", "-CAfile", str(root), "-untrusted", destination["chain"], destination["certificate"])
    assert shown.endswith(": OK\n")
    port = free_port()
    bundle = destination["pem_bundle"]
    server = f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {bundle}; ssl_certificate_key {bundle}; }}"
    with Nginx(server, [port]):
        arguments = ["s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-CAfile", str(root), "-brief"]
        subprocess.run(["openssl", *arguments, "-verify_return_error"], stdin=subprocess.DEVNULL, check=True)


def test_haproxy_accepts_the_bundle(site: Site) -> None:
    destination = {"pem_bundle": str(site.ssl / "www.pem")}
    site.run(site.options(fresh_name(), destination=destination))
    configuration = site.directory / "haproxy.cfg"
    configuration.write_text(
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
        f"frontend f\n bind 127.0.0.1:{free_port()} ssl crt {destination['pem_bundle']}\n"
    )
    path = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert path, "haproxy is missing: make apt installs it"
    done = subprocess.run([path, "-c", "-f", str(configuration)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------- bad input

BAD_INPUT = {
    "an address": ({"identifiers": ["192.0.2.1"]}, "is an IP address"),
    "no names": ({"identifiers": []}, "identifiers is empty"),
    "a relative path": ({"destination": {"fullchain": "www.pem"}}, "not the absolute path of a file"),
    "no such directory": ({"destination": {"fullchain": "/nonexistent/www.pem"}}, "does not exist; create it"),
    "one file twice": ({"destination": {"fullchain": "/tmp/a", "pem_bundle": "/tmp/a"}}, "are the same file"),
    "a directory": ({"destination": {"fullchain": "/tmp"}}, "exists and is not a file"),
    "no passphrase": ({"destination": {"pkcs12": "/tmp/a.p12"}}, "pkcs12_passphrase"),
    "an empty passphrase": ({"destination": {"pkcs12": "/tmp/a", "pkcs12_passphrase": ""}}, "passphrase is empty"),
    "no file for a leaf": ({"destination": {"private_key": "/tmp/a.key"}}, "fullchain"),
    "no such owner": ({"owner": "nobody-of-that-name"}, "owner 'nobody-of-that-name' does not exist"),
    "renew_before": ({"renew_before": "often"}, "renew_before: 'often' says neither a duration nor a share"),
    "a key for vault": ({"private_key_path": "/tmp/a.key"}, "key_source: local"),
    "nowhere for a key": (
        {"key_source": "local", "destination": {"certificate": "/tmp/a.pem"}},
        "nothing says where the key is or goes",
    ),
    "no key file": ({"key_source": "local", "private_key_path": "/nonexistent"}, "cannot be read"),
    "no webroot": ({"http_01": {"webroot": "/nonexistent"}}, "is not a directory on this host"),
    "two ways": ({"http_01": {"webroot": "/tmp", "listen": "0.0.0.0:80"}}, "mutually exclusive"),
    "no port": ({"http_01": {"listen": "localhost"}}, "listen of http_01: 'localhost' is not an address with a port"),
    "a path for a role": ({"role_name": "../../sys/policies/acl/root"}, "cannot be used"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_told_before_anything_is_ordered(site: Site, changes: dict[str, Any], message: str) -> None:
    result: Result = site.run(site.options(fresh_name()) | changes, fails=True)
    assert message in result["msg"]
    assert not any("new-order" in call for call in site.calls())
    assert site.leftovers() == []
