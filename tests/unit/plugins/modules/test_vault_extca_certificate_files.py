# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_certificate_files: looks, and installs what it is given."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.destination import Destination

from ...issuing import SmallCA, key_pem, new_key, pem
from ...running import run_main

MODULE = "vault_extca_certificate_files"
NAMES = ["www.example.com"]
CA = SmallCA()
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
LEAF = CA.issue(*NAMES, not_before=NOW)
GIVEN = {"certificate": pem(LEAF.certificate), "ca_chain": [pem(CA.intermediate)], "private_key": key_pem(LEAF.key)}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    destination = {"fullchain": str(tmp_path / "www.pem"), "private_key": str(tmp_path / "www.key")}
    return {"identifiers": NAMES, "destination": destination}


def test_looking_changes_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    result = run_main(MODULE, options)
    assert (result["changed"], result["good"]) == (False, False)
    assert result["reason"] == f"{tmp_path / 'www.pem'} does not exist"
    assert list(tmp_path.iterdir()) == []


def test_what_is_given_is_installed_once(options: dict[str, Any], tmp_path: Path) -> None:
    predicted = run_main(MODULE, options | GIVEN, check=True, diff=True)
    assert (predicted["changed"], len(predicted["files"])) == (True, 2)
    assert list(tmp_path.iterdir()) == []
    first = run_main(MODULE, options | GIVEN, diff=True)
    # Which arguments a module was called with, not every ansible-core tells.
    assert {**predicted, "invocation": None} == {**first, "invocation": None}
    assert (first["changed"], first["good"]) == (True, True)
    assert first["diff"] == {"before": {}, "after": {key: first[key] for key in first["diff"]["after"]}}
    assert "PRIVATE KEY" not in str(first["diff"])
    second = run_main(MODULE, options | GIVEN)
    assert (second["changed"], second["files"]) == (False, [])
    look = run_main(MODULE, options)
    assert (look["good"], look["serial_number"]) == (True, LEAF.data()["serial_number"])
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}
    assert (tmp_path / "www.key").stat().st_mode & 0o777 == 0o600


def test_files_of_a_run_that_was_cut_short_are_not_good_until_somebody_is_told(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Destination, "settle", lambda _destination: sys.exit("killed"))
        with pytest.raises(json.JSONDecodeError):  # it has told nothing
            run_main(MODULE, options | GIVEN)
    look = run_main(MODULE, options)
    assert (look["changed"], look["good"], look["serial_number"]) == (False, False, LEAF.data()["serial_number"])
    assert look["reason"].startswith("a run that was cut short has replaced files; valid until")
    assert [run_main(MODULE, options | GIVEN)["changed"] for _run in range(2)] == [True, False]
    assert run_main(MODULE, options)["good"] is True
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}


def test_words_around_the_blocks_are_no_reason_for_another_certificate(options: dict[str, Any]) -> None:
    run_main(MODULE, options | GIVEN)
    for path in map(Path, options["destination"].values()):
        path.write_text(f"# Schlüssel und Zertifikat\n{path.read_text()}", encoding="utf-8")
    assert run_main(MODULE, options)["good"] is True


def test_a_certificate_that_is_due_is_not_good(options: dict[str, Any]) -> None:
    run_main(MODULE, options | GIVEN)
    result = run_main(MODULE, options | {"renew_before": "91d"})
    assert (result["good"], result["reason"]) == (False, "expires in 89 days")


def test_a_host_without_the_library_is_told(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    Path(options["destination"]["fullchain"]).write_text(pem(LEAF.certificate))
    for name in [one for one in sys.modules if one.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    result = run_main(MODULE, options)
    assert result["failed"] is True
    assert "The Python library cryptography cannot be imported on the host" in result["msg"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"certificate": "not base64!"}, "neither PEM nor base64"),
        ({"certificate": "-----BEGIN X-----\n-----END X-----"}, "there is no PEM certificate in it"),
        ({"private_key": key_pem(new_key())}, "the private key does not belong to the certificate"),
        ({"private_key": None}, "destination names a file for the private key, and private_key is not given"),
        ({"destination": {"fullchain": "", "private_key": "/tmp/www.key"}}, "has no file for the certificate"),
        ({"destination": {"pkcs12": "/tmp/www.p12", "pkcs12_passphrase": None}}, "pkcs12_passphrase is empty"),
        ({"ca_chain": [pem(SmallCA("Stranger").intermediate)]}, "chain is not in order"),
        ({"identifiers": ["example.org"]}, "the certificate is for www.example.com, not for example.org"),
        ({"identifiers": ["192.0.2.1"]}, "is an IP address"),
        ({"renew_before": "often"}, "neither a duration nor a share"),
        ({"wait_timeout": -1}, "wait_timeout -1 is negative; write seconds from 0 on."),
        ({"wait_timeout": 366 * 86400}, "is longer than 31536000 seconds, which are a year."),
    ],
)
def test_what_does_not_fit_is_not_installed(
    options: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    result = run_main(MODULE, options | GIVEN | changes)
    assert result["failed"] is True
    assert message in result["msg"]
    assert list(tmp_path.iterdir()) == []
