# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""One connection to Vault: TLS, proxies, retries, namespace and login, over hvac.

Options, environment variables and their precedence are community.hashi_vault's; the environment variables of Vault's own
command line stand in for options that are not given.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set
from urllib.parse import unquote, urlsplit

from . import deadlines
from .vault_errors import (
    BadRequest,
    InvalidInput,
    MissingLibrary,
    NotFound,
    PermissionDenied,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    VaultError,
)
from .vault_settings import VaultSettings, without_password

# A fetch-cert answer with a long chain is some 30 kB, 10,000 orders are 1 MB of ids: more than this is no answer of Vault's.
LARGEST_ANSWER = 16 * 1024 * 1024
_CAPABILITY = {"GET": "read", "LIST": "list", "POST": "update", "DELETE": "delete"}
_TEXT_SHOWN = 300
# Keys of what Vault says, one of which there is in each of its refusals.
_OF_VAULT = frozenset(("errors", "data", "request_id"))
_CHECK_URL = "Check that url is Vault's address, with the right one of http and https, and that nothing between answers for Vault."
_SECRET_OPTIONS = (
    "token",
    "password",
    "secret_id",
    "wrapped_secret_id",
    "jwt",
    "aws_secret_key",
    "aws_security_token",
    "azure_client_secret",
)


class Answer(NamedTuple):
    """A successful answer. ``data`` is the envelope's; ``body`` the whole envelope ({} for an empty body)."""

    status: int
    data: Optional[Dict[str, Any]]
    warnings: List[str]
    body: Dict[str, Any]


class VaultConnection:
    """A connection that is made, and logged in, with its first request. Several threads may use it at the same time.

    ``options`` are the module's or plugin's; ``warn`` takes a text for the user; ``hide`` takes a secret that must never be
    shown; ``conceal`` makes secrets unreadable in what a server says. Raises the exceptions of :mod:`vault_errors`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        environ: Optional[Mapping[str, str]] = None,
        warn: Callable[[str], None] = lambda text: None,
        hide: Callable[[str], None] = lambda secret: None,
        conceal: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.settings = VaultSettings(options, os.environ if environ is None else environ)
        self._warn = warn
        self._hide = hide
        self._conceal = conceal
        self._hidden: Set[str] = set()
        self._client: Any = None
        self._revoke = False
        # Held while one thread logs in, which takes requests of its own.
        self._login = threading.RLock()

    # ------------------------------------------------------------------ requests

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
        creates: bool = False,
        once: bool = False,
    ) -> Answer:
        """Send one request to ``/v1/<path>`` (percent-encoded by the caller) and read its answer.

        ``timeout`` (seconds) can only shorten the connection's own. ``creates`` tells that a POST makes what the path names
        where there is none, for which Vault asks for another capability than for a change. ``once`` tells that the option
        ``retries`` must not have it done twice: it is sent again only where it has not reached Vault or was turned away.
        """
        if once:
            self.settings.once.add(f"/v1/{path}")
        with self._login:
            if self._client is None:
                self._log_in()
        try:
            return self._send(method, path, params=params, body=body, timeout=timeout)
        except PermissionDenied as error:
            if creates:
                error.capabilities = ("create", "update")
            raise

    def missing_capability(self, error: PermissionDenied) -> Optional[str]:
        """What the token lacks on the path it was refused, as far as it may ask; None if it lacks nothing or cannot ask.

        Source: https://developer.hashicorp.com/vault/api-docs/system/capabilities-self
        """
        # A policy may name the path of a list with the slash at its end or without.
        path = unquote(error.path)
        paths = [path, path + "/"] if "list" in error.capabilities else [path]
        try:
            answer = self._send("POST", "sys/capabilities-self", body={"paths": paths})
        except VaultError:
            return None
        told = [(answer.data or {}).get(path) for path in paths]
        held = {str(one) for row in told if isinstance(row, list) for one in row} - {"deny"}
        lacking = [one for one in error.capabilities if one not in held]
        if not any(isinstance(row, list) for row in told) or "root" in held or not lacking:
            return None
        return f"the token has {', '.join(sorted(held)) or 'nothing'} there, and lacks {' and '.join(lacking)}"

    def hide(self, secret: str) -> None:
        """Never show this, whoever repeats it."""
        if secret:
            self._hidden.add(secret)
            self._hide(secret)

    def concealed(self, text: str) -> str:
        """A text without the secrets that this connection was given or has come to know."""
        given = {str(self.settings.value(name) or "") for name in _SECRET_OPTIONS}
        # The longest first, as one may be a part of another.
        for secret in sorted((given | self._hidden) - {""}, key=len, reverse=True):
            text = text.replace(secret, "********")
        return self._conceal(text)

    def close(self) -> None:
        """Revoke a token that a login gave, unless ``revoke_token`` says otherwise, and drop the connection."""
        if self._client is None:
            return
        try:
            if self._revoke:
                self._send("POST", "auth/token/revoke-self", body={}, timeout=5)
        except VaultError as error:
            self._warn(f"The token of this task's login could not be revoked and lives on until it expires: {error}")
        finally:
            self._disconnect()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
    ) -> Answer:
        seconds = min(self.settings.timeout(), timeout) if timeout else self.settings.timeout()
        for _attempt in range(3):
            response, content = self._exchange(method, path, params, body, seconds)
            if response.status_code not in (301, 302, 307, 308):
                return self._read(method, path, response, content)
            self._follow(response.headers.get("Location", ""), path)
        raise VaultError(
            f"Vault at {self.settings.shown_address()} redirects in a circle; set url to the address of the active node.",
            path=path,
        )

    def _exchange(self, method: str, path: str, params: Any, body: Any, seconds: float) -> Any:
        import requests
        import urllib3

        try:
            response = self._client.adapter.request(
                method, f"/v1/{path}", raise_exception=False, params=params, json=body, timeout=seconds, stream=True
            )
            with response:
                content = b""
                for chunk in response.iter_content(64 * 1024):
                    content += chunk
                    if len(content) > LARGEST_ANSWER:
                        raise UnexpectedAnswer(
                            f"The answer of {self.settings.shown_address()} to {method} /v1/{path} is larger than "
                            f"{LARGEST_ANSWER >> 20} MiB. Check that url is Vault's address.",
                            path=path,
                        )
            if deadlines.finish():
                raise requests.exceptions.ReadTimeout("the answer came too slowly")
            return response, content
        except UnicodeError:
            raise InvalidInput(
                "The token or namespace has characters that no HTTP header can carry. Check for a copied space or quote."
            ) from None
        # urllib3's own come through where requests does not expect them, such as for a host name that is too long; a
        # ValueError is what a Location that is no URL becomes.
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            late = requests.exceptions.ReadTimeout("the answer came too slowly") if deadlines.finish() else None
            raise self._unreachable(late or error, path, seconds) from None

    def _read(self, method: str, path: str, response: Any, content: bytes) -> Answer:
        status = response.status_code
        parsed: Any = None
        if content.strip():
            try:
                import json

                parsed = json.loads(content)
            except (ValueError, RecursionError):  # the latter for brackets in brackets
                parsed = None
        envelope: Dict[str, Any] = parsed if isinstance(parsed, dict) else {}
        if status >= 400:
            raise self._refusal(method, path, response, envelope, content)
        if status != 204 and not (
            isinstance(parsed, dict) and isinstance(envelope.get("data", {}), (dict, type(None)))
        ):
            raise UnexpectedAnswer(
                f"{self.settings.shown_address()} answered {status} to {method} /v1/{path} with {self._describe(response, content)}. "
                "Check that url is Vault's address and that nothing between (a proxy, a load balancer) answers for it.",
                status=status,
                path=path,
            )
        said = envelope.get("warnings")
        warnings = [str(one) for one in said] if isinstance(said, list) else []
        return Answer(status, envelope.get("data"), warnings, envelope)

    @staticmethod
    def _describe(response: Any, content: bytes) -> str:
        kind = str(response.headers.get("Content-Type", "")).partition(";")[0] or "no content type"
        return f"{len(content)} bytes of {kind} instead of Vault's JSON" if content else "an empty body"

    def _refusal(self, method: str, path: str, response: Any, envelope: Dict[str, Any], content: bytes) -> VaultError:
        status = response.status_code
        said = envelope.get("errors")
        # Some servers repeat what they are told. This comes before texts are cut, as half a secret is not recognised any more.
        errors = [self.concealed(str(one).strip()) for one in said] if isinstance(said, list) else []
        text = "; ".join(" ".join(one.split()) for one in errors)[:_TEXT_SHOWN]
        if not envelope:
            text = self._describe(response, content)
        what = f"Vault at {self.settings.shown_address()} answered {status} to {method} /v1/{path}" + (
            f": {text.rstrip('.')}" if text else ""
        )
        common: Dict[str, Any] = {"status": status, "errors": errors, "path": path}
        if isinstance(envelope.get("data"), dict):
            common["answer"] = envelope["data"]
        if status == 403:
            return PermissionDenied(f"{what}.", capabilities=(_CAPABILITY.get(method, "update"),), **common)
        # Nothing there is for Vault to say: to look for an order at another server must not end with the news that there is none.
        if status == 404 and not envelope.keys() & _OF_VAULT:
            return UnexpectedAnswer(f"{what}. {_CHECK_URL}", **common)
        if status == 404:
            return NotFound(f"{what}. Check mount, namespace and url.", **common)
        if status in (412, 429) or status >= 500:
            remedy = _remedy(status, text, is_json=bool(envelope))
            retry_after = _retry_after(response.headers.get("Retry-After"))
            return Unavailable(f"{what}. {remedy}", retry_after=retry_after, **common)
        if status == 407:
            return VaultError(
                f"{what}. The proxy wants to know who asks. Check proxies, where a user and password may stand before the host.",
                **common,
            )
        if not envelope.keys() & _OF_VAULT:
            return VaultError(f"{what}. {_CHECK_URL}", **common)
        return BadRequest(
            f"{what}. {'Correct what it names.' if errors else 'Check url, mount and namespace.'}", **common
        )

    def _follow(self, location: str, path: str) -> None:
        """Turn to the node that a standby names; a token is never carried to another host."""
        if self.settings.is_set("VAULT_DISABLE_REDIRECTS"):
            raise VaultError(
                f"Vault at {self.settings.shown_address()} redirects to {without_password(location)}, and "
                "VAULT_DISABLE_REDIRECTS forbids to follow. Set url to the address of the active node.",
                path=path,
            )
        here = urlsplit(self._client.adapter.base_uri)
        try:
            there = urlsplit(location)
            _port = there.port
        except ValueError:
            raise VaultError(
                f"Vault at {self.settings.shown_address()} redirects to {without_password(location)[:_TEXT_SHOWN]!r}, which is no "
                "address. Check that nothing between answers for it, or set url to the active node.",
                path=path,
            ) from None
        if not there.scheme and not there.netloc:
            return
        if there.hostname != here.hostname or (here.scheme == "https" and there.scheme != "https"):
            raise VaultError(
                f"Vault at {self.settings.shown_address()} redirects to {there.scheme}://{there.netloc}, another place. The "
                "token was not sent there. If that is the active node of your cluster, set url to it.",
                path=path,
            )
        # What stands before /v1, as behind a reverse proxy, is part of the address.
        below, end = there.path, f"/v1/{path}"
        prefix = below[: -len(end)] if below.endswith(end) else ""
        self._client.adapter.base_uri = f"{there.scheme}://{there.netloc}{prefix}"

    def _unreachable(self, error: Exception, path: str, seconds: float) -> Unreachable:
        import requests

        text = _reason(error)
        where = f"Vault at {self.settings.shown_address()}"
        transient = True
        if isinstance(error, requests.exceptions.ProxyError):
            message = f"The proxy to {where} cannot be used: {text}. Check proxies and the variables HTTP_PROXY and HTTPS_PROXY."
        elif isinstance(error, requests.exceptions.SSLError):
            transient = False
            message = f"{where} cannot be trusted: {text}. {_tls_remedy(text)}"
        elif isinstance(error, requests.exceptions.ConnectTimeout):
            message = f"{where} did not accept a connection within {seconds:g} s. Check address, port and firewall, or set timeout."
        elif isinstance(error, (requests.exceptions.Timeout,)) or "timed out" in text:
            message = f"{where} did not answer within {seconds:g} s. Check its load, or set timeout."
        elif isinstance(error, requests.exceptions.ConnectionError) and _RESOLUTION.search(text):
            message = f"{where}: the host name cannot be resolved ({text}). Check url and the resolver of the host that runs this task."
        elif isinstance(error, requests.exceptions.ConnectionError):
            message = f"{where} cannot be reached: {text}. Check that it runs and that url names its address and port."
        elif isinstance(error, (requests.exceptions.ContentDecodingError, requests.exceptions.ChunkedEncodingError)):
            message = f"The answer of {where} broke off: {text}. Check what lies between, or set retries."
        else:
            transient = False
            message = f"No request can be sent to {where}: {text}. Check url and proxies."
        return Unreachable(message, path=path, transient=transient)

    # ------------------------------------------------------------------ connecting

    def _log_in(self) -> None:
        try:
            import hvac
        except ImportError as error:
            raise MissingLibrary("hvac", error) from None
        from .vault_auth import log_in

        url = self.settings.address()
        session = self.settings.session(self._warn)
        self._client = hvac.Client(
            url=url,
            token="",
            namespace=self.settings.value("namespace") or None,
            session=session,
            verify=session.verify,
            cert=session.cert,
            timeout=self.settings.timeout(),
            allow_redirects=False,
            adapter=hvac.adapters.RawAdapter,
        )
        try:
            self._revoke = log_in(self, self._client, self.settings)
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        self._client.adapter.close()
        self._client = None
        self.settings.close()


_RESOLUTION = re.compile(
    r"resolve|Name or service not known|Temporary failure in name|nodename nor servname|No address", re.I
)


def _reason(error: Exception) -> str:
    """The innermost cause, without the object addresses and nested class names that urllib3 prints."""
    text = str(error)
    found = re.findall(r"\[Errno -?\d+\] ([^'\")]+)|(certificate verify failed: [^(\"]+|\[SSL[^\]]*\] [^(\"]+)", text)
    if found:
        return " ".join((found[-1][0] or found[-1][1]).split())
    if "hostname" in text and "match" in text:
        return "its certificate is for another host name"
    text = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:?|\(Caused by|\w*HTTPS?ConnectionPool\([^)]*\):?", " ", text)
    return without_password(" ".join(re.sub(r"['\"()]", " ", text).split()))[:_TEXT_SHOWN] or type(error).__name__


def _remedy(status: int, text: str, *, is_json: bool) -> str:
    """What to do about a server that cannot serve a request now."""
    if status == 503 and "sealed" in text.lower():
        return "Unseal it, or point url at a node that is unsealed."
    if not is_json:
        return "A proxy or load balancer answers in its place: check the Vault behind it; if it passes by itself, set retries."
    if status == 412:
        return "A standby has not caught up with the active node: run the task again, or set retries."
    if status == 429:
        return "A quota limits the requests: run the task again later, or set retries."
    return "Look into Vault's log; if it passes by itself, set retries."


def _tls_remedy(text: str) -> str:
    if "host name" in text or "ostname" in text or "IP address" in text:
        return "Use in url a name that the certificate holds, or set VAULT_TLS_SERVER_NAME."
    if "expired" in text:
        return "Renew the certificate of Vault's listener, and check the clock of the host that runs this task."
    if "WRONG_VERSION" in text.upper() or "wrong version" in text:
        return "The port does not speak TLS: check whether url should begin with http://."
    return "Set ca_cert to the certificate authority of Vault's listener."


def _retry_after(header: Optional[str]) -> Optional[float]:
    """Seconds of a Retry-After header (RFC 9110 section 10.2.3); None if there is none or it is a date in the past."""
    if not header:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header):
        return float(header)
    from email.utils import parsedate_to_datetime

    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None
