# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The role certificate: fleets whose hosts have no token, behind a load balancer or each for itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.behaviour.harness import Played, fresh_name, play
from tests.testbed import Nginx
from tests.testbed.ports import free_port
from tests.unit.issuing import key_pem, new_key

from .site import Site, is_pair, serial

HOSTS = ("one", "two", "three")

# Whole plays of several hosts take their time on a machine that is busy otherwise.
pytestmark = pytest.mark.timeout(300)


@dataclass
class Fleet:
    """Three hosts with a web server each, behind a load balancer that Pebble comes to."""

    site: Site
    balancer: Nginx

    def folder(self, host: str) -> Path:
        return self.site.directory / host

    def certificate(self, host: str) -> Path:
        return self.folder(host) / "ssl" / "shop.pem"

    def key(self, host: str) -> Path:
        return self.folder(host) / "ssl" / "shop.key"

    def serials(self, *hosts: str) -> set[int]:
        """Serial numbers on these hosts, whose files must be pairs."""
        for host in hosts:
            assert is_pair(self.certificate(host).read_bytes(), self.key(host).read_bytes())
        return {serial(self.certificate(host)) for host in hosts}

    def published(self) -> list[Path]:
        """Challenges that are still there."""
        return [path for host in HOSTS for path in (self.folder(host) / "www").rglob("*") if path.is_file()]

    def play(
        self,
        name: str,
        *,
        hosts: str = "all",
        serial: int = 0,
        check: bool = False,
        then: dict[str, Any] | None = None,
        **variables: Any,
    ) -> Played:
        """Run the role for this name; ``variables`` without their prefix. ``then`` are those to change for a second time."""
        given: dict[str, Any] = {
            "mount": self.site.engine.mount,
            "role_name": "web",
            "identifiers": [name],
            "shared": True,
            "destination": {"fullchain": "{{ folder }}/ssl/shop.pem", "private_key": "{{ folder }}/ssl/shop.key"},
            **variables,
        }
        lines: dict[str, Any] = {
            "hosts": hosts,
            "gather_facts": False,
            **({"serial": serial} if serial else {}),
            "roles": [
                {
                    "role": "certops.vault_extca.certificate",
                    "vars": {f"certificate_{key}": value for key, value in one.items()},
                }
                for one in [given, *([{**given, **then}] if then else [])]
            ],
            "handlers": [
                {
                    "name": "Reload",
                    "ansible.builtin.copy": {"content": "reloaded\n", "dest": "{{ folder }}/reloaded", "mode": "0644"},
                    "listen": "vault_extca certificate changed",
                }
            ],
        }
        inventory = self.site.directory / "inventory.json"
        members: dict[str, dict[str, Any]] = {
            host: {"folder": str(self.folder(host)), "certificate_webroot": "{{ folder }}/www"} for host in HOSTS
        }
        members["dead"] = {
            "folder": "/nonexistent",
            "ansible_host": "127.0.0.1",
            "ansible_connection": "ssh",
            "ansible_port": 9,
        }
        if hosts == "all":
            lines["hosts"] = ",".join(HOSTS)
        shared = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        inventory.write_text(json.dumps({"all": {"hosts": members, "vars": shared}}))
        arguments = ["-i", str(inventory), *(["--check"] if check else [])]
        for host in HOSTS:
            (self.folder(host) / "reloaded").unlink(missing_ok=True)
        environment = {"ANSIBLE_FORKS": "3", "ANSIBLE_GATHERING": "explicit", "ANSIBLE_SSH_ARGS": "-F /dev/null"}
        environment["ANSIBLE_PIPELINING"] = "true"  # saves a third of the time, here as elsewhere
        return play(yaml.safe_dump([lines]), self.site.directory, self.site.bench, *arguments, environment=environment)

    def reloaded(self) -> set[str]:
        """Hosts whose handlers ran in the last play."""
        return {host for host in HOSTS if (self.folder(host) / "reloaded").exists()}


@pytest.fixture
def fleet(site: Site) -> Iterator[Fleet]:
    port = site.bench.pebble.http_port
    backends = {host: free_port() for host in HOSTS}
    for host in HOSTS:
        (site.directory / host / "www").mkdir(parents=True)
        (site.directory / host / "ssl").mkdir()
    servers = "".join(
        f"server {{ listen 127.0.0.1:{backends[host]}; root {site.directory / host / 'www'}; default_type text/plain; }}\n"
        for host in HOSTS
    )
    upstream = "upstream shop {" + "".join(f" server 127.0.0.1:{backend};" for backend in backends.values()) + " }\n"
    balancer = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://shop; proxy_next_upstream off; }} }}"
    )
    with Nginx(servers + upstream + balancer, [port, *backends.values()]) as nginx:
        yield Fleet(site, nginx)


def backend_port(fleet: Fleet, host: str) -> int:
    configuration = (fleet.balancer.directory / "nginx.conf").read_text()
    line = next(line for line in configuration.splitlines() if str(fleet.folder(host)) in line)
    return int(line.split("127.0.0.1:")[1].split(";")[0])


def test_three_orders_behind_a_load_balancer_fail(fleet: Fleet) -> None:
    """The limitation that the engine documents: each instance orders for itself, and the CA asks the wrong one."""
    name = fresh_name()
    results = []
    for host in HOSTS:
        here = {"webroot": str(fleet.folder(host) / "www"), "check_address": f"127.0.0.1:{backend_port(fleet, host)}"}
        destination = {"fullchain": str(fleet.certificate(host)), "private_key": str(fleet.key(host))}
        options = fleet.site.options(name, destination=destination, http_01=here, use_cached=False)
        results.append(fleet.site.run(options, fails=None))
    assert all(result.get("failed") for result in results), results
    assert all(result["order_status"] == "error" for result in results)


def test_one_order_serves_all_members_of_a_load_balancer(fleet: Fleet) -> None:
    name = fresh_name()
    played = fleet.play(name)
    assert played.status == 0, played.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert fleet.site.orders() == 1
    assert fleet.published() == []
    assert fleet.reloaded() == set(HOSTS)
    assert "PRIVATE KEY" not in played.output
    # Every backend was asked: nginx hands the CA's requests around.
    assert fleet.balancer.access_log.count("/.well-known/acme-challenge/") >= 3
    fleet.site.calls()
    again = fleet.play(name)
    assert again.status == 0, again.output
    assert fleet.site.calls() == []
    assert fleet.reloaded() == set()
    assert again.output.count("changed=0") == 3
    # A member that has lost its files gets the same certificate back.
    fleet.certificate("two").unlink()
    fleet.key("two").write_text(key_pem(new_key()))
    mended = fleet.play(name)
    assert mended.status == 0, mended.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert fleet.site.orders() == 1
    assert fleet.reloaded() == {"two"}


def test_a_rolling_renewal_makes_one_order(fleet: Fleet) -> None:
    name = fresh_name()
    # The first batch is two of three: the challenge is published on the third all the same.
    for number, force in enumerate((False, True), start=1):
        before = fleet.serials(*HOSTS) if force else set()
        played = fleet.play(name, serial=2, force=force)
        assert played.status == 0, played.output
        assert len(fleet.serials(*HOSTS)) == 1
        assert fleet.serials(*HOSTS) != before
        assert fleet.site.orders() == number
        assert fleet.published() == []
        assert fleet.reloaded() == set(HOSTS)


def test_a_good_certificate_keeps_its_permissions(fleet: Fleet) -> None:
    name = fresh_name()
    assert fleet.play(name).status == 0
    fleet.certificate("one").chmod(0o666)
    for is_first in (True, False):
        played = fleet.play(name, mode="0644", private_key_mode="0640")
        assert played.status == 0, played.output
        assert {fleet.certificate(host).stat().st_mode & 0o777 for host in HOSTS} == {0o644}
        assert {fleet.key(host).stat().st_mode & 0o777 for host in HOSTS} == {0o640}
        assert ("changed=0" in played.output) is not is_first, played.output
    assert fleet.site.orders() == 1


def test_a_member_that_is_down_does_not_keep_the_others_from_their_certificate(fleet: Fleet) -> None:
    name = fresh_name()
    played = fleet.play(name, hosts="dead," + ",".join(HOSTS))
    assert "unreachable=1" in played.output, played.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert fleet.published() == []


def test_a_host_that_fails_loses_only_its_own(fleet: Fleet) -> None:
    """Each host for itself: one has no directory for its files."""
    fleet.certificate("two").parent.rmdir()
    fleet.site.engine.write_role("web", allowed_challenge_types=["dns-01"])
    played = fleet.play(
        fresh_name(),
        shared=False,
        challenge_type="dns-01",
        **dns_tasks(fleet),
        identifiers=["{{ inventory_hostname }}.example.com"],
    )
    assert played.status != 0
    assert "does not exist; create it before this task" in played.output
    assert len(fleet.serials("one", "three")) == 2
    assert fleet.reloaded() == {"one", "three"}


def test_challenges_are_removed_after_a_failure(fleet: Fleet) -> None:
    name = fresh_name()
    with fleet.site.bench.scripts({"role": "web", "fail": "the CA is on holiday", "in": "processing-challenge"}):
        played = fleet.play(name)
    assert played.status != 0
    told = [line for line in played.output.splitlines() if "FAILED!" in line and "censored" not in line]
    assert any("the CA is on holiday" in line for line in told), played.output
    assert fleet.published() == []


def test_challenges_are_removed_when_a_member_fails_while_they_are_published(fleet: Fleet) -> None:
    # The first of them, which does what is done once for all.
    www = fleet.folder("one") / "www"
    (www / ".well-known").write_text("no directory\n")
    played = fleet.play(fresh_name())
    assert played.status != 0
    assert fleet.published() == [www / ".well-known"]


@pytest.mark.parametrize("failing", ["one", "three"])
def test_a_member_that_cannot_install_a_shared_certificate_loses_only_its_own(fleet: Fleet, failing: str) -> None:
    name = fresh_name()
    fleet.certificate(failing).parent.rmdir()
    others = [host for host in HOSTS if host != failing]
    played = fleet.play(name, challenge_type="dns-01", **dns_tasks(fleet))
    assert played.status != 0
    assert "does not exist; create it before this task" in played.output
    assert len(fleet.serials(*others)) == 1
    assert fleet.reloaded() == set(others)
    assert changes_of_records(fleet) == ["create", "delete"]
    # It follows as soon as it can, with the certificate that the others have.
    fleet.certificate(failing).parent.mkdir()
    mended = fleet.play(name, challenge_type="dns-01", **dns_tasks(fleet))
    assert mended.status == 0, mended.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert fleet.reloaded() == {failing}
    assert fleet.site.orders() == 1


def test_a_rolling_play_goes_on_without_a_member_that_is_down(fleet: Fleet) -> None:
    played = fleet.play(fresh_name(), hosts="one,two,dead,three", serial=2)
    assert "unreachable=1" in played.output, played.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert fleet.site.orders() == 1
    assert fleet.reloaded() == set(HOSTS)
    assert fleet.published() == []


def test_a_certificate_that_cannot_be_ordered_touches_no_challenge_of_the_one_before(fleet: Fleet) -> None:
    tasks = dns_tasks(fleet)
    played = fleet.play(
        fresh_name(), challenge_type="dns-01", **tasks, then={"role_name": "nowhere", "force": True, **tasks}
    )
    assert played.status != 0
    assert "nowhere" in played.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert changes_of_records(fleet) == ["create", "delete"]


def changes_of_records(fleet: Fleet) -> list[str]:
    """What :func:`dns_tasks` have done, in order."""
    return (fleet.site.directory / "dns.log").read_text().split()


def dns_tasks(fleet: Fleet) -> dict[str, Any]:
    """Files of tasks for challtestsrv's management API."""
    url = fleet.site.bench.challtestsrv.url
    paths = {}
    for what, endpoint in (("create", "set-txt"), ("delete", "clear-txt")):
        task = {
            "name": f"{what} the record",
            "ansible.builtin.uri": {
                "url": f"{url}/{endpoint}",
                "method": "POST",
                "body_format": "json",
                "body": {"host": "{{ certificate_record_name }}.", "value": "{{ item }}"},
            },
            "loop": "{{ certificate_record_values }}",
        }
        log = {"name": "Keep a log", "ansible.builtin.shell": f"echo {what} >> {fleet.site.directory}/dns.log"}
        path = fleet.site.directory / f"{what}.yml"
        path.write_text(yaml.safe_dump([task, log]))
        paths[f"dns_{what}_tasks"] = str(path)
    return paths


def test_dns_01_by_the_users_own_tasks(fleet: Fleet) -> None:
    name = fresh_name()
    played = fleet.play(name, challenge_type="dns-01", identifiers=[name, f"*.{name}"], **dns_tasks(fleet))
    assert played.status == 0, played.output
    assert len(fleet.serials(*HOSTS)) == 1
    assert fleet.site.orders() == 1
    assert fleet.reloaded() == set(HOSTS)


def test_check_mode_changes_nothing(fleet: Fleet) -> None:
    played = fleet.play(fresh_name(), check=True)
    assert played.status == 0, played.output
    assert fleet.site.orders() == 0
    assert [path for host in HOSTS for path in (fleet.folder(host) / "ssl").iterdir()] == []
