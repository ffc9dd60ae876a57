# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""One connection to Vault: TLS, proxies, retries, namespace and login, over hvac.

Options, environment variables and their precedence are community.hashi_vault's; the environment variables of Vault's own
command line stand in for options that are not given.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

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

DEFAULT_TIMEOUT = 30
# A fetch-cert answer with a long chain is some 30 kB, 10,000 orders are 1 MB of ids: more than this is no answer of Vault's.
LARGEST_ANSWER = 16 * 1024 * 1024
_RETRIED = (412, 500, 502, 503)
_CAPABILITY = {"GET": "read", "LIST": "list", "POST": "update", "DELETE": "delete"}
_TEXT_SHOWN = 300
_FALSE = ("", "0", "f", "false", "no", "n", "off")


class Answer(NamedTuple):
    """A successful answer. ``data`` is the envelope's; ``body`` the whole envelope ({} for an empty body)."""

    status: int
    data: Optional[Dict[str, Any]]
    warnings: List[str]
    body: Dict[str, Any]


class VaultConnection:
    """A connection that is made, and logged in, with its first request.

    ``options`` are the module's or plugin's; ``warn`` takes a text for the user; ``hide`` takes a secret that must never be
    shown. Raises the exceptions of :mod:`vault_errors`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        environ: Optional[Mapping[str, str]] = None,
        warn: Callable[[str], None] = lambda text: None,
        hide: Callable[[str], None] = lambda secret: None,
    ) -> None:
        self._options = options
        self._environ = os.environ if environ is None else environ
        self._warn = warn
        self._hide = hide
        self._client: Any = None
        self._revoke = False

    # ------------------------------------------------------------------ requests

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
    ) -> Answer:
        """Send one request to ``/v1/<path>`` (percent-encoded by the caller) and read its answer.

        ``timeout`` (seconds) can only shorten the connection's own.
        """
        if self._client is None:
            self._log_in()
        return self._send(method, path, params=params, body=body, timeout=timeout)

    def missing_capability(self, error: PermissionDenied) -> Optional[str]:
        """What the token lacks on the path it was refused, as far as it may ask; None if it lacks nothing or cannot ask.

        Source: https://developer.hashicorp.com/vault/api-docs/system/capabilities-self
        """
        try:
            answer = self._send("POST", "sys/capabilities-self", body={"paths": [error.path]})
        except VaultError:
            return None
        held = (answer.data or {}).get(error.path)
        if not isinstance(held, list) or "root" in held or error.capability in held:
            return None
        return f"the token has {', '.join(map(str, held)) or 'nothing'} there, and lacks {error.capability}"

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
            self._client.adapter.close()
            self._client = None

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
    ) -> Answer:
        seconds = min(self._timeout(), timeout) if timeout else self._timeout()
        for _attempt in range(3):
            response, content = self._exchange(method, path, params, body, seconds)
            if response.status_code not in (301, 302, 307, 308):
                return self._read(method, path, response, content)
            self._follow(response.headers.get("Location", ""))
        raise VaultError(
            f"Vault at {self._url()} redirects in a circle; set url to the address of the active node.", path=path
        )

    def _exchange(self, method: str, path: str, params: Any, body: Any, seconds: float) -> Any:
        import requests

        # requests' timeout is one of silence: a server that drips is stopped by the clock below.
        start = time.monotonic()
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
                            f"The answer of {self._url()} to {method} /v1/{path} is larger than {LARGEST_ANSWER >> 20} MiB. "
                            "Check that url is Vault's address.",
                            path=path,
                        )
                    if time.monotonic() - start > seconds + 1:
                        raise requests.exceptions.ReadTimeout("the answer came too slowly")
            return response, content
        except requests.exceptions.RequestException as error:
            raise self._unreachable(error, path, seconds) from None
        except UnicodeError:
            raise InvalidInput(
                "The token or namespace has characters that no HTTP header can carry. Check for a copied space or quote."
            ) from None

    def _read(self, method: str, path: str, response: Any, content: bytes) -> Answer:
        status = response.status_code
        parsed: Any = None
        if content.strip():
            try:
                import json

                parsed = json.loads(content)
            except ValueError:
                parsed = None
        envelope: Dict[str, Any] = parsed if isinstance(parsed, dict) else {}
        if status >= 400:
            raise self._refusal(method, path, response, envelope, content)
        if status != 204 and not (
            isinstance(parsed, dict) and isinstance(envelope.get("data", {}), (dict, type(None)))
        ):
            raise UnexpectedAnswer(
                f"{self._url()} answered {status} to {method} /v1/{path} with {self._describe(response, content)}. "
                "Check that url is Vault's address and that nothing between (a proxy, a load balancer) answers for it.",
                status=status,
                path=path,
            )
        warnings = envelope.get("warnings") or []
        return Answer(status, envelope.get("data"), [str(one) for one in warnings], envelope)

    @staticmethod
    def _describe(response: Any, content: bytes) -> str:
        kind = str(response.headers.get("Content-Type", "")).split(";")[0] or "no content type"
        return f"{len(content)} bytes of {kind} instead of Vault's JSON" if content else "an empty body"

    def _refusal(self, method: str, path: str, response: Any, envelope: Dict[str, Any], content: bytes) -> VaultError:
        status = response.status_code
        said = envelope.get("errors")
        errors = [str(one).strip() for one in said] if isinstance(said, list) else []
        text = "; ".join(" ".join(one.split()) for one in errors)[:_TEXT_SHOWN]
        if not envelope:
            text = self._describe(response, content)
        what = f"Vault at {self._url()} answered {status} to {method} /v1/{path}" + (f": {text}" if text else "")
        common: Dict[str, Any] = {"status": status, "errors": errors, "path": path}
        if isinstance(envelope.get("data"), dict):
            common["answer"] = envelope["data"]
        if status == 403:
            return PermissionDenied(f"{what}.", capability=_CAPABILITY.get(method, "update"), **common)
        if status == 404:
            return NotFound(what + ".", **common)
        if status == 503 and "sealed" in text.lower():
            return Unavailable(f"{what}. Unseal it, or point url at a node that is unsealed.", **common)
        if status in (412, 429) or status >= 500:
            return Unavailable(f"{what}.", retry_after=_retry_after(response.headers.get("Retry-After")), **common)
        return BadRequest(f"{what}.", **common)

    def _follow(self, location: str) -> None:
        """Turn to the node that a standby names; a token is never carried to another host."""
        here, there = urlsplit(self._client.adapter.base_uri), urlsplit(location)
        if not there.scheme and not there.netloc:
            return
        if there.hostname != here.hostname or (here.scheme == "https" and there.scheme != "https"):
            raise VaultError(
                f"Vault at {self._url()} redirects to {there.scheme}://{there.netloc}, another place. The token was not sent "
                "there. If that is the active node of your cluster, set url to it."
            )
        self._client.adapter.base_uri = f"{there.scheme}://{there.netloc}"

    def _unreachable(self, error: Exception, path: str, seconds: float) -> Unreachable:
        import requests

        text = _reason(error)
        where = f"Vault at {self._url()}"
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
            message = f"The answer of {where} broke off: {text}."
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

        url = self._option("url", "VAULT_ADDR")
        if not url:
            raise InvalidInput("Vault's address is not given. Set the option url, or VAULT_ADDR where the task runs.")
        if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#@]*)?", str(url)):
            raise InvalidInput(
                f"url {_without_password(str(url))!r} is not an address of Vault; write for example https://vault.example.com:8200"
            )
        session = self._session()
        self._client = hvac.Client(
            url=str(url).rstrip("/"),
            token="",
            namespace=self._option("namespace", "VAULT_NAMESPACE") or None,
            session=session,
            verify=session.verify,
            cert=session.cert,
            timeout=self._timeout(),
            allow_redirects=False,
            adapter=hvac.adapters.RawAdapter,
        )
        try:
            self._revoke = log_in(self, self._client, self._options, self._environ, self._hide)
        except BaseException:
            self._client.adapter.close()
            self._client = None
            raise

    def _session(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter

        server_name = self._environ.get("VAULT_TLS_SERVER_NAME")

        class Transport(HTTPAdapter):
            def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
                if server_name:
                    kwargs.update(server_hostname=server_name, assert_hostname=server_name)
                return super().init_poolmanager(*args, **kwargs)

        session = requests.Session()
        session.mount("https://", Transport(max_retries=self._retries()))
        session.mount("http://", HTTPAdapter(max_retries=self._retries()))
        session.verify = self._verify()
        session.proxies = self._proxies()
        session.cert = self._client_certificate()
        return session

    def _retries(self) -> Any:
        from urllib3.util import Retry

        given = self._option("retries", "VAULT_MAX_RETRIES")
        if given in (None, "", 0, "0", False):
            return 0
        if isinstance(given, Mapping):
            settings = dict(given)
        else:
            try:
                total = int(str(given))
            except ValueError:
                total = -1
            if total < 0 or isinstance(given, bool):
                raise InvalidInput(
                    f"retries {given!r} is neither a number of retries nor a dictionary for urllib3's Retry."
                )
            settings = {
                "total": total,
                "backoff_factor": 0.3,
                "status_forcelist": list(_RETRIED),
                "allowed_methods": None,
            }
        settings.setdefault("raise_on_status", False)
        warn = self._warn if self._options.get("retry_action") != "ignore" else None

        class WarningRetry(Retry):
            def increment(self, *args: Any, **kwargs: Any) -> Any:
                following = super().increment(*args, **kwargs)
                if warn is not None:
                    warn(f"A request to Vault failed and is tried again; {following.total} more retries are left.")
                return following

        try:
            return WarningRetry(**settings)
        except TypeError as error:
            raise InvalidInput(f"retries cannot be used: {error}. See urllib3's class Retry for its keys.") from None

    def _verify(self) -> Any:
        validate = self._options.get("validate_certs")
        if validate is None:
            validate = self._environ.get("VAULT_SKIP_VERIFY", "").strip().lower() in _FALSE
        if not validate:
            return False
        authority = self._option("ca_cert", "VAULT_CACERT") or self._environ.get("VAULT_CAPATH")
        if not authority:
            return True
        if not os.path.exists(authority):
            raise InvalidInput(f"ca_cert {authority!r} does not exist on the host that runs this task.")
        return authority

    def _proxies(self) -> Dict[str, str]:
        given = (
            self._options.get("proxies")
            or self._environ.get("VAULT_PROXY_ADDR")
            or self._environ.get("VAULT_HTTP_PROXY")
        )
        if not given:
            return {}
        if isinstance(given, str) and given.lstrip().startswith("{"):
            import ast
            import json

            try:
                given = json.loads(given)
            except ValueError:
                try:
                    given = ast.literal_eval(given)
                except (ValueError, SyntaxError):
                    raise InvalidInput("proxies looks like a dictionary, but is neither JSON nor Python.") from None
        if isinstance(given, Mapping):
            return {str(scheme): str(url) for scheme, url in given.items()}
        return {"http": str(given), "https": str(given)}

    def _client_certificate(self) -> Any:
        certificate = self._option("cert_auth_public_key", "VAULT_CLIENT_CERT")
        key = self._option("cert_auth_private_key", "VAULT_CLIENT_KEY")
        for name, path in (("cert_auth_public_key", certificate), ("cert_auth_private_key", key)):
            if path and not os.path.isfile(path):
                raise InvalidInput(f"{name} {path!r} does not exist on the host that runs this task.")
        if certificate and key:
            return (certificate, key)
        return certificate or None

    def _option(self, name: str, variable: str) -> Any:
        value = self._options.get(name)
        return self._environ.get(variable) if value is None else value

    def _timeout(self) -> float:
        given = self._option("timeout", "VAULT_CLIENT_TIMEOUT")
        if given in (None, ""):
            return DEFAULT_TIMEOUT
        from .durations import parse_duration

        try:
            seconds = parse_duration(given)
        except ValueError as error:
            raise InvalidInput(f"timeout: {error}.") from None
        if seconds < 1:
            raise InvalidInput(f"timeout {given!r} is too short; write a number of seconds from 1 on.")
        return seconds

    def _url(self) -> str:
        return _without_password(str(self._option("url", "VAULT_ADDR") or ""))


_RESOLUTION = re.compile(
    r"resolve|Name or service not known|Temporary failure in name|nodename nor servname|No address", re.I
)


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)


def _reason(error: Exception) -> str:
    """The innermost cause, without the object addresses and nested class names that urllib3 prints."""
    text = str(error)
    found = re.findall(r"\[Errno -?\d+\] ([^'\")]+)|(certificate verify failed: [^(\"]+|\[SSL[^\]]*\] [^(\"]+)", text)
    if found:
        return " ".join((found[-1][0] or found[-1][1]).split())
    if "hostname" in text and "match" in text:
        return "its certificate is for another host name"
    text = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:?|\(Caused by|HTTPS?ConnectionPool\([^)]*\):?", " ", text)
    return _without_password(" ".join(re.sub(r"['\"()]", " ", text).split()))[:_TEXT_SHOWN] or type(error).__name__


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
