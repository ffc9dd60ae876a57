# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.demo``: the workflow playbook, twice, against a development Vault and Pebble.

The first run issues a certificate; the second must change nothing and order nothing. openssl has the last word.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import hvac

from tests.testbed import ServiceError, Testbed, TestbedOptions

from .ansible_test import home
from .tree import BUILD, REPOSITORY

_MOUNT = "pki-external-ca"
_RECAP = re.compile(r"^localhost\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+).*failed=(?P<failed>\d+)", re.MULTILINE)


class DemoError(Exception):
    """Something is not as the demo promises."""


def _play(testbed: Testbed, variables: Path) -> int:
    """Run the playbook; returns how many tasks changed something."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/workflow.yml", "-e", f"@{variables}"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "VAULT_"))},
        "HOME": str(home()),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "VAULT_ADDR": testbed.vault.url,
        "VAULT_TOKEN": testbed.vault.token,
    }
    print(f"\n$ ansible-playbook playbooks/workflow.yml -e @{variables.relative_to(REPOSITORY)}", flush=True)
    output = ""
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as playbook:
        try:
            for line in playbook.stdout or ():
                output += line
                print(line, end="", flush=True)
            status = playbook.wait()
        except BaseException:
            playbook.terminate()
            raise
    recap = _RECAP.search(output)
    if status or recap is None or recap["failed"] != "0":
        raise DemoError(f"ansible-playbook ended with status {status}")
    return int(recap["changed"])


def _orders(testbed: Testbed) -> list[str]:
    """The ids of all orders that Vault has."""
    answer = hvac.Client(url=testbed.vault.url, token=testbed.vault.token).list(f"{_MOUNT}/lookup/orders")
    return list(answer["data"]["keys"]) if answer else []


def _openssl(*arguments: str) -> None:
    print(f"$ openssl {' '.join(arguments)}", flush=True)
    done = subprocess.run(["openssl", *arguments], cwd=BUILD / "demo", check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoError(f"openssl {arguments[0]} ended with status {done.returncode}")


def _show(testbed: Testbed) -> None:
    directory = BUILD / "demo"
    (directory / "root.pem").write_text(testbed.pebble.root_pem())
    print("\nWhat openssl says of the certificate, given nothing but the CA's root:")
    _openssl("verify", "-CAfile", "root.pem", "-untrusted", "fullchain.pem", "fullchain.pem")
    _openssl("x509", "-in", "fullchain.pem", "-noout", "-subject", "-ext", "subjectAltName")
    _openssl("x509", "-in", "fullchain.pem", "-noout", "-serial", "-issuer", "-dates")


def _demonstrate(testbed: Testbed) -> None:
    directory = BUILD / "demo"
    directory.mkdir(parents=True, exist_ok=True)
    for left_over in directory.iterdir():
        left_over.unlink()
    variables = directory / "vars.json"
    variables.write_text(
        json.dumps(
            {
                "acme_directory_url": testbed.pebble.directory_url,
                "acme_trusted_ca": testbed.ca.pem,
                "certificate_directory": str(directory),
                "webroot": str(testbed.webroot),
            },
            indent=2,
        )
    )
    print(f"Vault (development): {testbed.vault.url}   ACME CA (Pebble): {testbed.pebble.directory_url}")
    if _play(testbed, variables) == 0:
        raise DemoError("the first run changed nothing")
    first = _orders(testbed)
    if len(first) != 1:
        raise DemoError(f"the first run made {len(first)} orders instead of one")
    changed = _play(testbed, variables)
    second = _orders(testbed)
    if changed or second != first:
        raise DemoError(f"the second run changed {changed} tasks and made {len(second) - len(first)} orders")
    print(f"\nThe second run changed nothing, and Vault still has one order: {first[0]}")
    _show(testbed)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """0 if everything was as promised."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    try:
        with Testbed(TestbedOptions(tls_vault=False, bind=False, eab=False, bare=False)) as testbed:
            _demonstrate(testbed)
    except (DemoError, ServiceError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("\ndemo: a certificate was issued, a second run changed nothing, and nothing is left running")
    return 0


if __name__ == "__main__":
    sys.exit(main())
