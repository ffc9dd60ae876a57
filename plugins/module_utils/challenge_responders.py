# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Places where this host answers challenges: a web server's directory, or a small server of the task's own.

A responder is told its challenges, checks that they are answered as the ACME server will ask, and cleans up, always.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
from typing import Any, Dict, List, Optional, Protocol, Tuple

from .challenge_process import LINGERS, ChallengeProcess, HeldByTask
from .challenge_proofs import HTTP_01, TLS_ALPN_01
from .challenge_servers import PATIENCE, Address, HttpServer, ServerAt, TlsAlpnServer
from .tls_alpn import answered_digest
from .vault_errors import ExtcaError, InvalidInput

# The characters of base64url: a token is part of a path (RFC 8555 section 8.3).
_TOKEN_PATH = re.compile(r"/\.well-known/acme-challenge/[A-Za-z0-9_-]+")


class ChallengeNotAnswered(ExtcaError):
    """This host does not answer a challenge as it should; nothing has been said to Vault."""


class Responder(Protocol):
    """Something that answers challenges of one type on this host."""

    challenge_type: str

    def leaves_behind(self, proof: Dict[str, Any]) -> List[str]:
        """What a run that is killed leaves on disk for this challenge; ``proof`` is challenge_proofs.proof()."""

    def publish(self, identifier: str, proof: Dict[str, Any]) -> None:
        """Answer this challenge from now on."""

    def check(self) -> List[str]:
        """Ask as the ACME server would. Returns warnings; raises ChallengeNotAnswered."""

    def clean_up(self) -> None:
        """Answer nothing any more, and leave nothing behind."""


# ---------------------------------------------------------------------- http-01


class WebrootResponder:
    """Token files below the directory of a web server that runs on this host."""

    challenge_type = HTTP_01

    def __init__(self, webroot: str, check_address: Optional[Address]) -> None:
        if not os.path.isdir(webroot):
            raise InvalidInput(f"webroot {webroot!r} of http_01 is not a directory on this host.")
        self._webroot = webroot
        self._check_address = check_address
        self._published: Dict[str, Tuple[str, str]] = {}  # path in the URL: identifier, content
        self._folders: List[str] = []

    def leaves_behind(self, proof: Dict[str, Any]) -> List[str]:
        path = self._file_of(proof)
        return [*_missing_folders(os.path.dirname(path)), path]

    def _file_of(self, proof: Dict[str, Any]) -> str:
        return os.path.join(self._webroot, _token_path(proof).lstrip("/"))

    def publish(self, identifier: str, proof: Dict[str, Any]) -> None:
        path = self._file_of(proof)
        content = proof["http_01"]["content"]
        self._published[proof["http_01"]["path"]] = (identifier, content)
        try:
            self._make_folders(os.path.dirname(path))
            # Who may write to the webroot must not be able to have this task write elsewhere.
            _unlink(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(content)
        except OSError as error:
            raise ExtcaError(
                f"The challenge of {identifier} cannot be written to {path}: {error.strerror}. Check webroot of http_01 and its "
                "permissions."
            ) from None

    def _make_folders(self, folder: str) -> None:
        for one in _missing_folders(folder):
            try:
                os.mkdir(one, 0o755)
            except FileExistsError:
                continue  # another task has just made it
            os.chmod(one, 0o755)  # whatever the umask: the web server reads as another user
            self._folders.append(one)

    def check(self) -> List[str]:
        if self._check_address is None:
            return []
        warnings = []
        for path, (identifier, content) in self._published.items():
            where = f"the web server on this host, {self._check_address},"
            warnings += _check_http(self._check_address, identifier, path, content, where, _WEBROOT_REMEDY)
        return warnings

    def clean_up(self) -> None:
        for path in self._published:
            _unlink(os.path.join(self._webroot, path.lstrip("/")))
        for folder in reversed(self._folders):
            try:
                os.rmdir(folder)
            except OSError:
                break  # another task's challenge is in it
        self._published, self._folders = {}, []


def _missing_folders(folder: str) -> List[str]:
    """The directories that must be made for this one to exist, outermost first."""
    missing: List[str] = []
    while not os.path.isdir(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return missing


_WEBROOT_REMEDY = (
    "Check that webroot of http_01 is the directory from which it serves /.well-known/acme-challenge/ for this name, or set "
    "check_address of http_01 to where it listens (to an empty text to leave this check out)."
)


# ---------------------------------------------------------------------- listening


class _ListeningResponder:
    """A server of the task's own, for as long as the task runs, and a little longer if it is killed."""

    def __init__(self, server_at: ServerAt, option: str, address: Address, lingers: float) -> None:
        self._server_at = server_at
        self._option = option
        self._address = address
        self._lingers = lingers
        self._process: Optional[ChallengeProcess] = None

    def leaves_behind(self, proof: Dict[str, Any]) -> List[str]:
        return []

    def _answer(self, name: str, value: str) -> None:
        if self._process is None:
            self._process = self._listen()
        self._process.publish(name, value)

    def _listen(self) -> ChallengeProcess:
        try:
            return ChallengeProcess(self._server_at, self._address, self._lingers)
        except OSError as error:
            remedy = ""
            if isinstance(error, PermissionError):
                remedy = " Ports below 1024 are root's: use become."
            elif isinstance(error, HeldByTask):
                remedy = (
                    " Another task of this collection has the port. Run tasks that listen there one after the other."
                )
            elif error.errno == errno.EADDRINUSE:
                remedy = " Another server has the port." + (
                    " If it is a web server, use webroot of http_01 in place of listen."
                    if self._option == "http_01"
                    else ""
                )
            raise ExtcaError(
                f"listen of {self._option}: cannot listen on {self._address}: {error.strerror or error}.{remedy}"
            ) from None

    def clean_up(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop()


class HttpResponder(_ListeningResponder):
    """A web server of the task's own, which serves its challenges and nothing else."""

    challenge_type = HTTP_01

    def __init__(self, address: Address, lingers: float = LINGERS) -> None:
        super().__init__(HttpServer, "http_01", address, lingers)
        self._published: Dict[str, Tuple[str, str]] = {}  # path in the URL: identifier, content

    def publish(self, identifier: str, proof: Dict[str, Any]) -> None:
        path, content = _token_path(proof), proof["http_01"]["content"]
        self._answer(path, content)
        self._published[path] = (identifier, content)

    def check(self) -> List[str]:
        for path, (identifier, content) in self._published.items():
            _check_http(self._address.local(), identifier, path, content, "the task's own server", "")
        return []

    def clean_up(self) -> None:
        self._published.clear()
        super().clean_up()


class TlsAlpnResponder(_ListeningResponder):
    """A TLS server of the task's own, which shows the challenge certificate of RFC 8737 for each name."""

    challenge_type = TLS_ALPN_01

    def __init__(self, address: Address, lingers: float = LINGERS) -> None:
        super().__init__(TlsAlpnServer, "tls_alpn_01", address, lingers)
        self._digests: Dict[str, str] = {}

    def publish(self, identifier: str, proof: Dict[str, Any]) -> None:
        name, digest = proof["tls_alpn_01"]["server_name"], proof["tls_alpn_01"]["digest"]
        self._answer(name, digest)
        self._digests[name] = digest

    def check(self) -> List[str]:
        address = self._address.local()
        for name, digest in self._digests.items():
            try:
                shown = answered_digest(tuple(address), name, PATIENCE)
            except (OSError, ValueError) as error:
                raise ChallengeNotAnswered(
                    f"The tls-alpn-01 challenge of {name} is not answered at {address}: {error}. Nothing was said to Vault."
                ) from None
            if shown != digest:
                raise ChallengeNotAnswered(
                    f"Another server than this task's answers the tls-alpn-01 challenge of {name} at {address}. Stop it, or use "
                    "another challenge_type. Nothing was said to Vault."
                )
        return []

    def clean_up(self) -> None:
        self._digests.clear()
        super().clean_up()


# ---------------------------------------------------------------------- asking as the ACME server will


def _check_http(address: Address, identifier: str, path: str, content: str, who: str, remedy: str) -> List[str]:
    """Fetch a challenge from this host under the identifier's name, without resolving it (RFC 8555 section 8.3)."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Host": identifier, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(len(content) + 1024)
    except (OSError, http.client.HTTPException) as error:
        raise ChallengeNotAnswered(
            f"The http-01 challenge of {identifier} cannot be fetched: {who} does not answer ({error}). {remedy} "
            "Nothing was said to Vault.".replace("  ", " ")
        ) from None
    finally:
        connection.close()
    if answer.status in (301, 302, 303, 307, 308):
        there = str(answer.headers.get("Location"))[:200]
        warning = (
            f"The http-01 challenge of {identifier} is redirected to {there!r}, which the ACME server will follow."
        )
        return [f"{warning} Whether it is answered there was not checked."]
    if answer.status != 200:
        raise ChallengeNotAnswered(
            f"The http-01 challenge of {identifier} is not served: {who} answers {answer.status} to {path} for Host: {identifier}. "
            f"{remedy} Nothing was said to Vault.".replace("  ", " ")
        )
    # Trailing white space is ignored (RFC 8555 section 8.3).
    if body.decode("ascii", "replace").rstrip() != content:
        raise ChallengeNotAnswered(
            f"The http-01 challenge of {identifier} is served with other content: {who} answers {path} with {len(body)} bytes that "
            f"are not the key authorization. {remedy} Nothing was said to Vault.".replace("  ", " ")
        )
    return []


def _token_path(proof: Dict[str, Any]) -> str:
    path: str = proof["http_01"]["path"]
    if not _TOKEN_PATH.fullmatch(path):
        raise ExtcaError(
            "Vault gave a challenge token that is no base64url text; it cannot be used as the name of a file."
        )
    return path


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
