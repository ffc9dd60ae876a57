# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order_certificate with destination: what was fetched is installed as one set."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.certops.vault_extca.plugins.module_utils import destination as destinations
from ansible_collections.certops.vault_extca.plugins.module_utils import file_set
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ...conftest import RunModule
from ...issuing import SmallCA, key_pem, new_csr, pem
from ...ordering import ORDER, ORDER_ID, order_status
from ...support import Answer, FakeVault

MODULE = "vault_extca_order_certificate"
CA = SmallCA()
LEAF = CA.issue("www.example.com")


@pytest.fixture
def options(tmp_path: Path, vault: FakeVault) -> dict[str, Any]:
    vault.on("GET", f"{ORDER}/status", order_status("completed"))
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data()))
    destination = {"fullchain": str(tmp_path / "www.pem"), "private_key": str(tmp_path / "www.key")}
    return {"role_name": "web", "order_id": ORDER_ID, "destination": destination}


def test_it_is_installed_once_and_the_key_is_not_returned(
    options: dict[str, Any], run_module: RunModule, tmp_path: Path
) -> None:
    first = run_module(MODULE, options, diff=True)
    assert (first["changed"], len(first["files"])) == (True, 2)
    assert (tmp_path / "www.pem").read_text() == pem(LEAF.certificate) + pem(CA.intermediate)
    assert (tmp_path / "www.key").read_text() == key_pem(LEAF.key)
    assert first["diff"]["before"] == {}
    assert first["diff"]["after"]["serial_number"] == first["serial_number"]
    assert "PRIVATE KEY" not in str(first)
    second = run_module(MODULE, options, diff=True)
    assert (second["changed"], second["files"]) == (False, [])
    assert second["diff"]["before"] == second["diff"]["after"] == first["diff"]["after"]
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}


def test_the_key_is_returned_where_that_is_asked_for(options: dict[str, Any], run_module: RunModule) -> None:
    result = run_module(MODULE, {**options, "return_private_key": True})
    assert result["private_key"] == result["ansible_facts"]["vault_extca_order_certificate"]["private_key"]


@pytest.mark.parametrize("certificate_format", ["pem", "pem_bundle", "der"])
def test_the_files_are_the_same_whatever_form_is_returned(
    options: dict[str, Any], vault: FakeVault, run_module: RunModule, tmp_path: Path, certificate_format: str
) -> None:
    leaf = pem(LEAF.certificate)
    forms = {"pem": leaf, "pem_bundle": leaf + pem(CA.intermediate), "der": "".join(leaf.split("\n")[1:-2])}
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data(certificate=forms[certificate_format])))
    run_module(MODULE, {**options, "certificate_format": certificate_format})
    assert (tmp_path / "www.pem").read_text() == leaf + pem(CA.intermediate)


@pytest.mark.parametrize("structure", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["pkcs8", "sec1"])
def test_a_key_in_der_is_written_as_the_pem_of_its_structure(
    options: dict[str, Any], vault: FakeVault, run_module: RunModule, tmp_path: Path, structure: PrivateFormat
) -> None:
    der = base64.b64encode(LEAF.key.private_bytes(Encoding.DER, structure, NoEncryption())).decode()
    leaf = "".join(pem(LEAF.certificate).split("\n")[1:-2])
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data(certificate=leaf, private_key=der)))
    changes = [run_module(MODULE, {**options, "certificate_format": "der"})["changed"] for _run in range(2)]
    assert changes == [True, False]
    written = (tmp_path / "www.key").read_bytes()
    assert written == LEAF.key.private_bytes(Encoding.PEM, structure, NoEncryption())


def test_check_mode_writes_nothing(options: dict[str, Any], run_module: RunModule, tmp_path: Path) -> None:
    result = run_module(MODULE, options, check=True)
    assert (result["changed"], len(result["files"])) == (True, 2)
    assert list(tmp_path.iterdir()) == []


def test_an_order_that_goes_on_writes_nothing(
    options: dict[str, Any], vault: FakeVault, run_module: RunModule, tmp_path: Path
) -> None:
    vault.on("GET", f"{ORDER}/status", order_status("processing-challenge"))
    assert run_module(MODULE, {**options, "wait": False})["changed"] is False
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_vault_has_not_cannot_be_written(
    options: dict[str, Any], vault: FakeVault, run_module: RunModule, tmp_path: Path
) -> None:
    vault.on("GET", f"{ORDER}/status", order_status("completed", csr=new_csr("www.example.com", key=LEAF.key)))
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data(private_key=None, private_key_type=None)))
    result = run_module(MODULE, options)
    assert "Vault has no key for this order" in result["msg"]
    assert list(tmp_path.iterdir()) == []
    only = {"certificate": str(tmp_path / "leaf.pem"), "chain": str(tmp_path / "chain.pem")}
    assert run_module(MODULE, {**options, "destination": only})["changed"] is True
    assert (tmp_path / "chain.pem").read_text() == pem(CA.intermediate)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"destination": {"fullchain": "/nonexistent/www.pem"}}, "The directory /nonexistent does not exist"),
        ({"destination": {"fullchain": "www.pem"}}, "not the absolute path"),
        ({"destination": {"fullchain": "/tmp/a", "certificate": "/tmp/a"}}, "are the same file"),
        ({"destination": {"pkcs12": "/tmp/a", "pkcs12_passphrase": ""}}, "pkcs12_passphrase is empty"),
        ({"group": "no-such-group"}, "group 'no-such-group' does not exist on this host"),
    ],
)
def test_places_that_cannot_be_are_told_before_vault_is_asked(
    options: dict[str, Any], vault: FakeVault, run_module: RunModule, changes: dict[str, Any], message: str
) -> None:
    assert message in run_module(MODULE, options | changes)["msg"]
    assert vault.calls == []


def test_owner_mode_and_link_of_an_old_file_stay(
    options: dict[str, Any], run_module: RunModule, tmp_path: Path
) -> None:
    (tmp_path / "real.pem").write_text("old")
    (tmp_path / "real.pem").chmod(0o604)
    (tmp_path / "www.pem").symlink_to("real.pem")
    run_module(MODULE, {**options, "backup": True})
    assert (tmp_path / "www.pem").is_symlink()
    assert (tmp_path / "real.pem").stat().st_mode & 0o777 == 0o604
    assert any(path.name.startswith("real.pem.") and path.read_text() == "old" for path in tmp_path.iterdir())


def test_files_that_changed_before_a_failure_are_told_of_by_the_next_run(
    options: dict[str, Any], run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(module: AnsibleModule, path: str, attributes: Any, changed: bool, *_more: Any) -> bool:
        if attributes:
            module.fail_json(msg="chattr failed")
        return changed

    monkeypatch.setattr(AnsibleModule, "set_attributes_if_different", refuse)
    assert run_module(MODULE, {**options, "attributes": "+i"})["msg"] == "chattr failed"
    assert [run_module(MODULE, options)["changed"] for _run in range(2)] == [True, False]
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}


def test_what_stands_where_a_new_file_is_made_is_told(
    options: dict[str, Any], run_module: RunModule, tmp_path: Path
) -> None:
    (tmp_path / f".www.pem{file_set.NEW}").mkdir()
    result = run_module(MODULE, options)
    assert f"{tmp_path}/.www.pem{file_set.NEW} cannot be tidied up: Is a directory" in result["msg"]


def test_the_copy_of_a_key_is_never_open_to_others(
    options: dict[str, Any], run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "www.key").write_text("old")
    (tmp_path / "www.key").chmod(0o600)
    modes: list[int] = []
    copystat = shutil.copystat

    def watched(source: str, copy: str, **how: Any) -> None:
        modes.append(Path(copy).stat().st_mode & 0o777)
        copystat(source, copy, **how)

    monkeypatch.setattr(shutil, "copystat", watched)
    run_module(MODULE, {**options, "backup": True})
    assert modes == [0o600]


def test_a_file_of_megabytes_is_not_read(
    options: dict[str, Any], run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destinations, "_LARGEST", 2000)
    (tmp_path / "www.pem").write_bytes(b"x" * 4000)
    assert run_module(MODULE, options)["changed"] is True
    assert (tmp_path / "www.pem").read_text().startswith("-----BEGIN CERTIFICATE-----")
