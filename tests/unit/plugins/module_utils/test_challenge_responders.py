# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Challenges answered by this host, asked for over real sockets; by real processes, which are killed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import os
import select
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import challenge_process
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_options import challenges_of
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_proofs import proof
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_responders import (
    ChallengeNotAnswered,
    HttpResponder,
    Responder,
    TlsAlpnResponder,
    WebrootResponder,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_servers import Address, parse_address
from ansible_collections.certops.vault_extca.plugins.module_utils.tls_alpn import answered_digest
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError, InvalidInput

from ...support import free_port

NAME = "www.example.com"
HTTP = proof("http-01", NAME, "token-1_A", "token-1_A.thumbprint")
TLS = proof("tls-alpn-01", NAME, "token", "token.thumbprint")
PATH = HTTP["http_01"]["path"]


def free_address() -> Address:
    return Address("127.0.0.1", free_port())


def get(address: Address, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    connection.request("GET", path, headers={"Host": NAME})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def is_answered(address: Address) -> bool:
    try:
        return get(address, PATH) == (200, "token-1_A.thumbprint")
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("[::]:443", Address("::", 443)),
        (" localhost:8080 ", Address("localhost", 8080)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text.strip()


@pytest.mark.parametrize("text", ["", "80", ":80", "localhost", "[::]", "a:0", "a:65536", "a:b", "a b:80", "::1:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address with a port"):
        parse_address(text)


def test_an_address_of_all_interfaces_is_asked_at_the_loopback() -> None:
    assert Address("0.0.0.0", 1).local() == Address("127.0.0.1", 1)
    assert Address("::", 1).local() == Address("::1", 1)
    assert Address("192.0.2.1", 1).local() == Address("192.0.2.1", 1)


def test_the_tasks_own_server_serves_its_challenges_and_nothing_else() -> None:
    address = free_address()
    responder = HttpResponder(address)
    responder.publish(NAME, HTTP)
    try:
        assert responder.check() == []
        assert get(address, PATH) == (200, "token-1_A.thumbprint")
        for path in ("/", "/.well-known/acme-challenge/", PATH + "x", "/etc/passwd", "/../" + PATH):
            assert get(address, path)[0] == 404
    finally:
        responder.clean_up()
    assert not is_answered(address)
    responder.clean_up()


def test_an_ipv6_address_is_listened_on() -> None:
    address = Address("::1", free_address().port)
    responder = HttpResponder(address)
    responder.publish(NAME, HTTP)
    assert responder.check() == []
    responder.clean_up()


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", server.getsockname()[1])
        with pytest.raises(ExtcaError, match=r"Another server has the port.*use webroot"):
            HttpResponder(address).publish(NAME, HTTP)
        with pytest.raises(ExtcaError, match="Another server has the port"):
            TlsAlpnResponder(address).publish(NAME, TLS)


def test_a_port_of_roots_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refused)
    with pytest.raises(ExtcaError, match="Ports below 1024 are root's: use become"):
        HttpResponder(Address("127.0.0.1", 80)).publish(NAME, HTTP)


# ---------------------------------------------------------------------- webroot


def serving(content: str, status: int = 200, location: str = "") -> Any:
    """A web server that answers everything alike."""
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    class Server(http.server.ThreadingHTTPServer):
        def server_close(self) -> None:
            # A loop that went on would look at whatever is opened next under the same number.
            self.shutdown()
            super().server_close()

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def webroot(tmp_path: Path, server: Any) -> WebrootResponder:
    responder = WebrootResponder(str(tmp_path), Address("127.0.0.1", server.server_port))
    responder.publish(NAME, HTTP)
    return responder


def test_a_token_file_is_readable_by_the_web_server_and_goes_with_its_directories(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        responder = WebrootResponder(str(tmp_path), None)
        behind = responder.leaves_behind(HTTP)
        responder.publish(NAME, HTTP)
    finally:
        os.umask(umask)
    made = [tmp_path / ".well-known", tmp_path / ".well-known/acme-challenge", tmp_path / PATH.lstrip("/")]
    assert behind == [str(path) for path in made]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o755, 0o755, 0o644]
    assert made[-1].read_text() == "token-1_A.thumbprint"
    assert responder.check() == []
    responder.clean_up()
    assert list(tmp_path.iterdir()) == []


def test_another_tasks_challenge_stays(tmp_path: Path) -> None:
    responder = WebrootResponder(str(tmp_path), None)
    responder.publish(NAME, HTTP)
    other = tmp_path / ".well-known/acme-challenge/other"
    other.write_text("x")
    responder.clean_up()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]


def test_a_link_in_the_place_of_a_token_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    folder = tmp_path / "www/.well-known/acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token-1_A").symlink_to(precious)
    responder = WebrootResponder(str(tmp_path / "www"), None)
    responder.publish(NAME, HTTP)
    responder.clean_up()
    assert precious.read_text() == "keep"


@pytest.mark.parametrize("token", ["../../../etc/cron.d/x", "a/b", "", "a b", "a\n"])
def test_a_token_that_could_leave_the_directory_is_refused(tmp_path: Path, token: str) -> None:
    hostile = proof("http-01", NAME, token, "x")
    for responder in (WebrootResponder(str(tmp_path), None), HttpResponder(free_address())):
        with pytest.raises(ExtcaError, match="no base64url text"):
            responder.publish(NAME, hostile)
    assert list(tmp_path.iterdir()) == []


def test_a_webroot_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / ".well-known").write_text("a file")
    with pytest.raises(ExtcaError, match="cannot be written to"):
        WebrootResponder(str(tmp_path), None).publish(NAME, HTTP)


def test_what_the_web_server_serves_is_checked(tmp_path: Path) -> None:
    with serving("token-1_A.thumbprint\n") as right:
        assert webroot(tmp_path, right).check() == []
    with serving("welcome") as other, pytest.raises(ChallengeNotAnswered, match="with other content"):
        webroot(tmp_path, other).check()
    with serving("no", 403) as forbidding, pytest.raises(ChallengeNotAnswered, match="answers 403"):
        webroot(tmp_path, forbidding).check()
    with serving("", 301, "https://www.example.com/") as redirecting:
        (warning,) = webroot(tmp_path, redirecting).check()
    assert "redirected to 'https://www.example.com/'" in warning
    silent = WebrootResponder(str(tmp_path), free_address())
    silent.publish(NAME, HTTP)
    with pytest.raises(ChallengeNotAnswered, match="does not answer"):
        silent.check()


# ---------------------------------------------------------------------- tls-alpn-01


def test_the_challenge_certificate_is_shown_for_each_name() -> None:
    address = free_address()
    other = proof("tls-alpn-01", "example.org", "token", "other.thumbprint")
    responder = TlsAlpnResponder(address)
    responder.publish(NAME, TLS)
    responder.publish("example.org", other)
    assert responder.leaves_behind(TLS) == []
    try:
        assert responder.check() == []
        assert answered_digest(tuple(address), NAME, 5) == TLS["tls_alpn_01"]["digest"]
        assert answered_digest(tuple(address), "example.org", 5) == other["tls_alpn_01"]["digest"]
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            answered_digest(tuple(address), "example.net", 5)
    finally:
        responder.clean_up()
    with pytest.raises((OSError, ValueError)):
        answered_digest(tuple(address), NAME, 1)


def test_the_challenge_certificate_is_that_of_rfc_8737() -> None:
    from cryptography import x509

    address = free_address()
    responder = TlsAlpnResponder(address)
    responder.publish(NAME, TLS)
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["acme-tls/1"])
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname=NAME) as connection:
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    responder.clean_up()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert extension.critical
    value: Any = extension.value
    assert value.value == b"\x04\x20" + bytes.fromhex(TLS["tls_alpn_01"]["digest"])


def test_another_server_in_its_place_is_noticed() -> None:
    address = free_address()
    impostor = TlsAlpnResponder(address)
    impostor.publish(NAME, proof("tls-alpn-01", NAME, "token", "another.thumbprint"))
    responder = TlsAlpnResponder(address)
    responder._digests[NAME] = TLS["tls_alpn_01"]["digest"]
    with pytest.raises(ChallengeNotAnswered, match="Another server than this task's"):
        responder.check()
    impostor.clean_up()
    with pytest.raises(ChallengeNotAnswered, match="is not answered at"):
        responder.check()


# ---------------------------------------------------------------------- tasks that are killed

BY_TYPE: dict[str, tuple[Callable[..., Responder], dict[str, Any]]] = {
    "http-01": (HttpResponder, HTTP),
    "tls-alpn-01": (TlsAlpnResponder, TLS),
}
OTHERS = {
    "http-01": proof("http-01", "example.org", "token-2", "token-2.thumbprint"),
    "tls-alpn-01": proof("tls-alpn-01", "example.org", "token-2", "token-2.thumbprint"),
}
both_types = pytest.mark.parametrize("challenge_type", list(BY_TYPE))


def answers(challenge_type: str, address: Address, wanted: dict[str, Any]) -> bool:
    """Whether this challenge is answered there."""
    try:
        if challenge_type == "http-01":
            return get(address, wanted["http_01"]["path"]) == (200, wanted["http_01"]["content"])
        tls = wanted["tls_alpn_01"]
        return bool(answered_digest(tuple(address), tls["server_name"], 5) == tls["digest"])
    except (OSError, ValueError, http.client.HTTPException):
        return False


def children() -> set[int]:
    """Processes whose parent is this one."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(int(status.parent.name))
    return found


def ends(reader: int) -> bool:
    """Whether nobody can write to this pipe any more, which whoever reads it (such as Ansible) waits for."""
    return bool(select.select([reader], [], [], 5)[0]) and os.read(reader, 1) == b""


@pytest.fixture
def orphans_are_ours() -> Iterator[None]:
    """A process whose parent has died becomes a child of this one, so that its end can be waited for."""
    prctl, set_child_subreaper = ctypes.CDLL(None).prctl, 36
    assert prctl(set_child_subreaper, 1) == 0
    yield
    assert prctl(set_child_subreaper, 0) == 0


def killed_task(challenge_type: str, address: Address, lingers: float) -> int:
    """A task that publishes its challenge and is killed; the process that it leaves behind."""
    before = children()
    reader, writer = os.pipe()
    task = os.fork()
    if task == 0:
        try:
            responder, published = BY_TYPE[challenge_type]
            responder(address, lingers).publish(NAME, published)
            os.write(writer, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"."
    os.kill(task, signal.SIGKILL)
    os.waitpid(task, 0)
    assert ends(reader)
    os.close(reader)
    (orphan,) = children() - before
    return orphan


@both_types
def test_clean_up_leaves_no_process(challenge_type: str) -> None:
    responder, published = BY_TYPE[challenge_type]
    address, before = free_address(), children()
    one = responder(address)
    one.publish(NAME, published)
    assert len(children() - before) == 1
    assert answers(challenge_type, address, published)
    one.clean_up()
    assert children() == before
    assert not answers(challenge_type, address, published)


@pytest.mark.usefixtures("orphans_are_ours")
@both_types
def test_a_killed_tasks_challenge_is_answered_until_the_next_one_takes_over(challenge_type: str) -> None:
    responder, published = BY_TYPE[challenge_type]
    address = free_address()
    orphan = killed_task(challenge_type, address, lingers=600)
    assert answers(challenge_type, address, published)
    following = responder(address)
    following.publish("example.org", OTHERS[challenge_type])
    assert os.waitpid(orphan, 0)[1] == 0
    assert following.check() == []
    # The ACME server may have been told of the first one.
    assert answers(challenge_type, address, published)
    following.clean_up()
    assert not answers(challenge_type, address, published)
    assert not answers(challenge_type, address, OTHERS[challenge_type])


@pytest.mark.usefixtures("orphans_are_ours")
def test_who_is_asking_while_the_port_is_taken_over_gets_an_answer() -> None:
    address = free_address()
    orphan = killed_task("http-01", address, lingers=600)
    following = HttpResponder(address)
    # In the hands of the one, or still in the queue for the other.
    clients = [socket.create_connection(address, 5) for _time in range(3)]
    for client in clients:
        client.sendall(f"GET {PATH} HTTP/1.0\r\n".encode())
    following.publish("example.org", OTHERS["http-01"])
    for client in clients:
        client.sendall(b"\r\n")
        with client, client.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\ntoken-1_A.thumbprint")
    following.clean_up()
    assert os.waitpid(orphan, 0)[1] == 0


@pytest.mark.usefixtures("orphans_are_ours")
def test_a_task_of_another_type_takes_over_without_the_challenges() -> None:
    address = free_address()
    orphan = killed_task("http-01", address, lingers=600)
    following = TlsAlpnResponder(address)
    following.publish(NAME, TLS)
    assert os.waitpid(orphan, 0)[1] == 0
    assert following.check() == []
    following.clean_up()


@pytest.mark.usefixtures("orphans_are_ours")
@both_types
def test_what_a_killed_task_leaves_ends_by_itself(challenge_type: str) -> None:
    address = free_address()
    orphan = killed_task(challenge_type, address, lingers=0.05)
    assert os.waitpid(orphan, 0)[1] == 0
    assert not answers(challenge_type, address, BY_TYPE[challenge_type][1])


@pytest.mark.usefixtures("orphans_are_ours")
def test_where_it_could_not_be_asked_to_make_way_nothing_outlives_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    address = free_address()
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(challenge_process._door_name(tuple(address)))
        assert os.waitpid(killed_task("http-01", address, lingers=600), 0)[1] == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    assert os.waitpid(killed_task("http-01", address, lingers=600), 0)[1] == 0
    with socket.create_server(tuple(address)), pytest.raises(ExtcaError, match="Another server has the port"):
        HttpResponder(address).publish(NAME, HTTP)


@both_types
def test_a_task_that_is_under_way_keeps_its_port(challenge_type: str) -> None:
    responder, published = BY_TYPE[challenge_type]
    address, before = free_address(), children()
    first, second = responder(address), responder(address)
    first.publish(NAME, published)
    for _time in range(2):
        with pytest.raises(ExtcaError, match="Another task of this collection has the port"):
            second.publish("example.org", OTHERS[challenge_type])
    assert first.check() == []
    second.clean_up()
    first.clean_up()
    assert children() == before
    second.publish("example.org", OTHERS[challenge_type])
    assert second.check() == []
    second.clean_up()


@pytest.mark.usefixtures("orphans_are_ours")
def test_another_user_cannot_take_over() -> None:
    address = free_address()
    orphan = killed_task("http-01", address, lingers=600)
    reader, writer = os.pipe()
    stranger = os.fork()
    if stranger == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            else:
                os.geteuid = lambda: 65534
            HttpResponder(address).publish("example.org", OTHERS["http-01"])
        except ExtcaError as error:
            os.write(writer, error.message.encode())
        finally:
            # What measures coverage would first save its data, which this user may not.
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert "Another server has the port" in said.read()
    os.waitpid(stranger, 0)
    assert answers("http-01", address, HTTP)
    os.kill(orphan, signal.SIGTERM)
    assert os.waitpid(orphan, 0)[1] == signal.SIGTERM


def test_the_process_has_nothing_of_the_tasks(tmp_path: Path) -> None:
    address, before = free_address(), children()
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    reader, writer = os.pipe()
    first, second = HttpResponder(address), TlsAlpnResponder(free_address())
    first.publish(NAME, HTTP)
    second.publish(NAME, TLS)
    (one, other) = children() - before
    try:
        os.close(writer)
        assert ends(reader)
        os.close(lock)
        with (tmp_path / "lock").open() as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for process in (Path(f"/proc/{one}"), Path(f"/proc/{other}")):
            opened = [str(link.readlink()) for link in (process / "fd").iterdir()]
            assert opened.count("/dev/null") == 3
            assert not [path for path in opened if path.startswith("/") and path != "/dev/null"]
            # What it is told by, where it listens, the door, and a look at which of them is ready.
            assert len(opened) <= 3 + 3 + 2
            assert os.getsid(int(process.name)) == int(process.name)
            assert (process / "cwd").readlink() == Path("/")
            for shown in ("cmdline", "environ"):
                assert b"thumbprint" not in (process / shown).read_bytes()
    finally:
        os.close(reader)
        first.clean_up()
        second.clean_up()
    assert children() == before


def test_a_process_that_is_ended_from_outside_is_said_and_runs_nothing_of_the_tasks() -> None:
    address, before = free_address(), children()
    heard: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    responder = HttpResponder(address)
    try:
        responder.publish(NAME, HTTP)
        (child,) = children() - before
        os.kill(child, signal.SIGTERM)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ExtcaError, match=r"was ended from outside\. Run the task again"):
            responder.publish("example.org", OTHERS["http-01"])
        with pytest.raises(ChallengeNotAnswered):
            responder.check()
    finally:
        signal.signal(signal.SIGTERM, old)
        responder.clean_up()
    assert (heard, children()) == ([], before)


def test_a_certificate_that_cannot_be_made_is_told() -> None:
    responder, before = TlsAlpnResponder(free_address()), children()
    hostile = {"tls_alpn_01": {"server_name": NAME, "digest": "no hex"}}
    with pytest.raises(ExtcaError, match=f"The challenge of {NAME} cannot be answered at"):
        responder.publish(NAME, hostile)
    responder.clean_up()
    assert children() == before


def test_an_address_that_nobody_knows_is_told() -> None:
    with pytest.raises(ExtcaError, match=r"listen of http_01: cannot listen on no\.such\.invalid:8080: "):
        HttpResponder(Address("no.such.invalid", 8080)).publish(NAME, HTTP)


# ---------------------------------------------------------------------- options


def params(**changes: Any) -> dict[str, Any]:
    return {"challenge_type": "auto", "http_01": None, "tls_alpn_01": None, **changes}


def test_options_become_responders_http_first(tmp_path: Path) -> None:
    http_01 = {"webroot": str(tmp_path), "listen": None, "check_address": ""}
    found = challenges_of(params(http_01=http_01, tls_alpn_01={"listen": "127.0.0.1:4430"}))
    assert [one.challenge_type for one in found.responders] == ["http-01", "tls-alpn-01"]
    assert challenges_of(params(challenge_type="dns-01")).responders == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"challenge_type": "http-01"}, "http_01 does not say"),
        ({"challenge_type": "tls-alpn-01"}, "tls_alpn_01 does not say"),
        ({"http_01": {"webroot": None, "listen": "x", "check_address": ""}}, "listen of http_01"),
        ({"http_01": {"webroot": "/", "listen": None, "check_address": "x"}}, "check_address of http_01"),
        ({"http_01": {"webroot": "/nowhere", "listen": None, "check_address": ""}}, "is not a directory"),
        ({"tls_alpn_01": {"listen": "x"}}, "listen of tls_alpn_01"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        challenges_of(params(**changes))
