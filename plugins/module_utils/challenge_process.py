# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""A process that answers a task's challenges, and goes on for a while if the task is killed.

Once Vault has been told that a challenge is in place, the ACME server comes and asks, whatever has become of the task; found
unanswered, the order is lost. So the server is no part of the task. It has a session of its own and nothing of what the task
has open, is told its challenges over a pair of sockets, and ends when the task says so. A task that is killed says nothing;
then it answers for ``LINGERS`` seconds more.

Meanwhile the next run may need the port. It cannot share it (with SO_REUSEPORT, the system would hand half of the connections to
the process that does not know the new challenges), so it takes it over: it asks at the "door", an abstract Unix socket named
after the address, and is passed the listening socket and the challenges that are answered there. No connection is refused in
between. An abstract socket lives in the network namespace that the port lives in, and leaves no file. Where the system has
none, or another has taken the name, the process does not outlive the task: it could not be asked to make way.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from typing import Any, Dict, NamedTuple, NoReturn, Optional

from .challenge_servers import PATIENCE, Address, ChallengeServer, ServerAt
from .vault_errors import ExtcaError

# How long an ACME server may take to come, in seconds, with the times it asks again.
LINGERS = 60.0
# How long a process that is about to end may still have the port, in seconds.
_DYING = 0.5

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_HANDED_OVER, _REFUSED = b"+", b"-"
_STOP = "stop"


class HeldByTask(OSError):
    """The address is in use by another task of this collection that is under way."""


class _Ended(ExtcaError):
    """The process is no more, or does not answer the task."""


class ChallengeProcess:
    """The process, as the task sees it."""

    def __init__(self, server_at: ServerAt, address: Address, lingers: float = LINGERS) -> None:
        """Returns when it listens. Raises OSError where it cannot listen, HeldByTask among others."""
        self._address = address
        self._child = 0
        self._control, theirs = socket.socketpair()
        self._control.settimeout(3 * PATIENCE)
        self._answers = self._control.makefile("rb")
        try:
            with theirs:
                self._fork(theirs, server_at, lingers)
            trouble = self._hear()
            if trouble:
                raise (HeldByTask if trouble["held"] else OSError)(trouble["errno"], trouble["strerror"])
        except BaseException:
            self.stop()
            raise

    def _fork(self, theirs: socket.socket, server_at: ServerAt, lingers: float) -> None:
        # No handler of the task's may run in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            self._child = os.fork()
            if self._child == 0:
                _live(theirs, server_at, self._address, lingers)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def publish(self, name: str, value: str) -> None:
        """Answer this challenge from now on; see the server for what is its name and its value."""
        trouble = self.tell({name: value})
        if trouble:
            raise ExtcaError(f"The challenge of {name} cannot be answered at {self._address}: {trouble['strerror']}.")

    def tell(self, message: Any) -> Any:
        """Say something to the process, and return what it says to that when it is done."""
        try:
            _say(self._control, message)
        except OSError:
            raise self._ended() from None
        return self._hear()

    def stop(self) -> None:
        """Have it end, and wait until it is gone."""
        try:
            if self._child:
                self.tell(_STOP)
        except _Ended:
            os.kill(self._child, signal.SIGKILL)  # not yet waited for, so that the number is still its own
        self._answers.close()
        self._control.close()
        if self._child:
            os.waitpid(self._child, 0)

    def _hear(self) -> Any:
        try:
            return json.loads(self._answers.readline())
        except (OSError, ValueError):
            raise self._ended() from None

    def _ended(self) -> _Ended:
        return _Ended(
            f"The process that answers challenges at {self._address} was ended from outside. Run the task again: it goes on with "
            "the same order."
        )


def _say(to: socket.socket, message: Any) -> None:
    to.sendall(json.dumps(message).encode() + b"\n")


# ---------------------------------------------------------------------- in the process


def _live(control: socket.socket, server_at: ServerAt, address: Address, lingers: float) -> NoReturn:
    """The whole life of the child. Nothing of the task's goes on in it: no handler, no clean-up, no output."""
    try:
        os.setsid()
        # What the task has open is closed below by number; no object of its may close that number again.
        gc.freeze()
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        _let_go_of_everything_but(control.fileno())
        answer(control, server_at, address, lingers)
    finally:
        os._exit(0)


def _let_go_of_everything_but(kept: int) -> None:
    """The task's pipes (Ansible waits for their end), its lock, its connection to Vault, its directory."""
    with contextlib.suppress(OSError):
        os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        if standard != kept:
            os.dup2(nothing, standard)
    try:
        numbers = [int(number) for number in os.listdir("/proc/self/fd")]
    except OSError:  # not Linux; there, numbers are small too: the lowest free one is taken
        numbers = list(range(4096))
    for number in numbers:
        if number not in (0, 1, 2, kept):
            with contextlib.suppress(OSError):
                os.close(number)


def answer(control: socket.socket, server_at: ServerAt, address: Address, lingers: float) -> None:
    """Listen, do what is said at ``control``, and answer until told to stop, handed over, or ``lingers`` seconds without a task."""
    try:
        place = _place(address)
    except OSError as error:
        _say(control, {"errno": error.errno, "strerror": error.strerror, "held": isinstance(error, HeldByTask)})
        return
    server = server_at(place.listener)
    door = _open_door(place.listener)
    challenges: Dict[str, str] = {}
    try:
        if place.challenge_type == server.challenge_type:
            _publish(server, place.challenges, challenges)
        with contextlib.suppress(OSError):  # the task is gone already, as is seen next
            _say(control, None)
        if _serve_task(control, server, door, challenges) and door is not None and challenges:
            _linger(server, door, place.listener, challenges, lingers)
    finally:
        server.stop()
        if door is not None:
            door.close()
    with contextlib.suppress(OSError):
        _say(control, None)


def _serve_task(
    control: socket.socket, server: ChallengeServer, door: Optional[socket.socket], challenges: Dict[str, str]
) -> bool:
    """Do what the task says until it says to stop; True where the task has ended without saying so."""
    sayings = control.makefile("rb")
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        if door is not None:
            selector.register(door, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _events in selector.select()]
            # The task comes first: if it ended before somebody came to the door, then this is an orphan.
            if control in ready:
                saying = sayings.readline()
                if not saying.endswith(b"\n"):
                    return True
                message = json.loads(saying)
                if message == _STOP:
                    return False
                trouble = _publish(server, message, challenges)
                with contextlib.suppress(OSError):  # the task is gone already, as is seen next
                    _say(control, trouble)
            elif door is not None:
                visitor = _visitor(door)
                if visitor is not None:
                    with visitor, contextlib.suppress(OSError):
                        visitor.sendall(_REFUSED)


def _publish(server: ChallengeServer, message: Dict[str, str], challenges: Dict[str, str]) -> Optional[Dict[str, str]]:
    for name, value in message.items():
        try:
            server.publish(name, value)
        except Exception as error:  # whatever it is, it is the task that tells the user
            return {"strerror": str(error)}
        challenges[name] = value
    return None


def _linger(
    server: ChallengeServer,
    door: socket.socket,
    listener: socket.socket,
    challenges: Dict[str, str],
    lingers: float,
) -> None:
    """Answer for so long, or until the next task takes over."""
    end = time.monotonic() + lingers
    while time.monotonic() < end:
        door.settimeout(max(end - time.monotonic(), 0.001))
        try:
            visitor = _visitor(door)
        except socket.timeout:
            return
        if visitor is None:
            continue
        with visitor, listener.dup() as handed:
            # The next one opens a door of the same name, and no connection is accepted here any more.
            server.stop()
            door.close()
            with contextlib.suppress(OSError):
                socket.send_fds(visitor, [_HANDED_OVER], [handed.fileno()])
                _say(visitor, {"challenge_type": server.challenge_type, "challenges": challenges})
        server.finish()
        return


# ---------------------------------------------------------------------- from one to the next


class _Place(NamedTuple):
    """A socket that listens, and the challenges that have been answered there until now."""

    listener: socket.socket
    challenge_type: str
    challenges: Dict[str, str]


def _place(address: Address) -> _Place:
    """Listen at an address, if need be by taking it over. Raises OSError."""
    family, there = address.resolve()
    end = time.monotonic() + _DYING
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(there)
            listener.listen()
            return _Place(listener, "", {})
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            taken_over = _take_over(there, error)
            if taken_over is not None:
                return taken_over
            if time.monotonic() >= end:
                raise
        time.sleep(_DYING / 10)


def _take_over(there: Any, in_use: OSError) -> Optional[_Place]:
    """Have an orphan hand over its place; None where another server has it."""
    if not _has_doors():
        return None
    said = b""
    place = None
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(PATIENCE)
        asking.connect(_door_name(there))
        if _is_trusted(asking):
            said, descriptors, _flags, _sender = socket.recv_fds(asking, 1, 1)
            with asking.makefile("rb") as rest:
                known = json.loads(rest.readline())
            place = _Place(socket.socket(fileno=descriptors[0]), known["challenge_type"], known["challenges"])
    if said == _REFUSED:
        raise HeldByTask(in_use.errno, in_use.strerror)
    return place


def _has_doors() -> bool:
    return sys.platform.startswith("linux")


def _door_name(there: Any) -> bytes:
    return f"\0certops.vault_extca challenges {there[0]} {there[1]}".encode()


def _open_door(listener: socket.socket) -> Optional[socket.socket]:
    """Where the next one asks for this place; None where there cannot be one."""
    if not _has_doors():
        return None
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(_door_name(listener.getsockname()))
        door.listen()
    except OSError:
        door.close()
        return None
    return door


def _visitor(door: socket.socket) -> Optional[socket.socket]:
    """Who is at the door, if it is one to talk to. Raises socket.timeout."""
    visitor = door.accept()[0]
    visitor.settimeout(PATIENCE)
    if _is_trusted(visitor):
        return visitor
    visitor.close()
    return None


def _is_trusted(other: socket.socket) -> bool:
    """Whether the process at the other end is the same user's or root's: anybody may connect, and anybody may take a name."""
    credentials = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
    _pid, uid, _gid = credentials.unpack(other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return uid in (os.geteuid(), 0)
