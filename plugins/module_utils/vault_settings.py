# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""How to reach Vault: options first, then the environment variables that Vault's own command line reads.

Source: https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, Mapping, Optional, Set
from urllib.parse import urlsplit

from . import deadlines
from .durations import parse_duration
from .vault_errors import InvalidInput

DEFAULT_TIMEOUT = 30
MOST_AT_ONCE = 50  # requests of one task; so many connections are kept alive
_RETRIED = (412, 500, 502, 503)
# With these, Vault (or what stands before it) has turned a request away without doing anything.
_TURNED_AWAY = (412, 429, 503)
_TRUE = ("1", "t", "true", "y", "yes", "on")
_FALSE = ("", "0", "f", "false", "n", "no", "off")
# Option to variables, the first that is set decides.
_VARIABLES = {
    # Vault's command line talks to an agent where there is one.
    "url": ("VAULT_AGENT_ADDR", "VAULT_ADDR"),
    "namespace": ("VAULT_NAMESPACE",),
    "timeout": ("VAULT_CLIENT_TIMEOUT",),
    "retries": ("VAULT_MAX_RETRIES",),
    "proxies": ("VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY"),
    "ca_cert": ("VAULT_CACERT",),
    "token": ("VAULT_TOKEN",),
    "cert_auth_public_key": ("VAULT_CLIENT_CERT",),
    "cert_auth_private_key": ("VAULT_CLIENT_KEY",),
}


class VaultSettings:
    """The settings of one connection. Raises InvalidInput for what cannot be right."""

    def __init__(self, options: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.options = options
        self.environ = environ
        self._ca_file: Optional[str] = None
        # Paths of requests that are repeated only where it is certain that nothing was done.
        self.once: Set[str] = set()

    def value(self, name: str) -> Any:
        """An option's value, or that of the environment variable which stands in for it; None if neither is given."""
        given = self.options.get(name)
        if given is not None:
            return given
        return next((self.environ[one] for one in _VARIABLES.get(name, ()) if self.environ.get(one)), None)

    def is_set(self, variable: str) -> bool:
        """Whether an environment variable that is a switch is on."""
        text = self.environ.get(variable, "").strip().lower()
        if text not in _TRUE + _FALSE:
            raise InvalidInput(f"{variable} is {text!r} in the environment of the task; write true or false.")
        return text in _TRUE

    def address(self) -> str:
        """Vault's URL, without a slash at its end."""
        url = self.value("url")
        if not url:
            raise InvalidInput("Vault's address is not given. Set the option url, or VAULT_ADDR where the task runs.")
        if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#@]*)?", str(url)):
            raise InvalidInput(
                f"url {self.shown_address()!r} is not an address of Vault; write for example https://vault.example.com:8200"
            )
        return str(url).rstrip("/")

    def shown_address(self) -> str:
        """The URL for a person."""
        return without_password(str(self.value("url") or ""))

    def timeout(self) -> float:
        """Seconds within which Vault must answer."""
        given = self.value("timeout")
        if given in (None, ""):
            return DEFAULT_TIMEOUT
        try:
            seconds = parse_duration(given)
        except ValueError as error:
            raise InvalidInput(f"timeout: {error}.") from None
        if seconds < 1:
            raise InvalidInput(f"timeout {given!r} is too short; write a number of seconds from 1 on.")
        return seconds

    def session(self, warn: Callable[[str], None]) -> Any:
        """A session of the library requests: TLS, client certificate, proxies, retries."""
        import requests

        options = {"max_retries": self._retries(warn), "pool_maxsize": MOST_AT_ONCE}
        server_name = self.environ.get("VAULT_TLS_SERVER_NAME")
        session = requests.Session()
        session.mount("https://", deadlines.adapter(server_hostname=server_name, **options))
        session.mount("http://", deadlines.adapter(**options))
        session.proxies = self._proxies()
        session.cert = self._client_certificate()
        session.verify = self._verify()
        return session

    def close(self) -> None:
        """Remove what was made for the connection."""
        path, self._ca_file = self._ca_file, None
        if path:
            os.unlink(path)

    def _retries(self, warn: Callable[[str], None]) -> Any:
        from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ResponseError
        from urllib3.util import Retry

        given = _read_dictionary("retries", self.value("retries"))
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
        quiet, once = self.options.get("retry_action") == "ignore", self.once

        class WarningRetry(Retry):
            def increment(self, *args: Any, **kwargs: Any) -> Any:
                asked: Dict[str, Any] = {**dict(zip(("method", "url", "response", "error"), args)), **kwargs}
                if urlsplit(asked.get("url") or "").path.endswith(tuple(once)):
                    error, response = asked.get("error"), asked.get("response")
                    cause = getattr(error, "original_error", error)  # of a proxy that cannot be reached, for one
                    if error is not None and not isinstance(cause, (ConnectTimeoutError, NewConnectionError)):
                        raise error
                    if response is not None and response.status not in _TURNED_AWAY:
                        raise MaxRetryError(asked["_pool"], asked["url"], ResponseError(f"status {response.status}"))
                following = super().increment(*args, **kwargs)
                if not quiet:
                    warn(f"A request to Vault failed and is tried again; {following.total} more retries are left.")
                return following

        try:
            return WarningRetry(**settings)
        except TypeError as error:
            raise InvalidInput(f"retries cannot be used: {error}. See urllib3's class Retry for its keys.") from None

    def _verify(self) -> Any:
        validate = self.options.get("validate_certs")
        if validate is None:
            validate = not self.is_set("VAULT_SKIP_VERIFY")
        if not validate:
            return False
        authority = self.value("ca_cert")
        if not authority and self.environ.get("VAULT_CACERT_BYTES"):
            return self._kept_ca(self.environ["VAULT_CACERT_BYTES"])
        authority = authority or self.environ.get("VAULT_CAPATH")
        if not authority:
            return True
        if not os.path.exists(authority):
            raise InvalidInput(f"ca_cert {authority!r} does not exist on the host that runs this task.")
        return authority

    def _kept_ca(self, text: str) -> str:
        # The TLS library wants a file; a CA's certificate is no secret.
        import tempfile

        with tempfile.NamedTemporaryFile("w", prefix="vault-ca-", suffix=".pem", delete=False) as file:
            file.write(text)
        self._ca_file = file.name
        return file.name

    def _proxies(self) -> Dict[str, str]:
        given = _read_dictionary("proxies", self.value("proxies"))
        if not given:
            return {}
        if isinstance(given, Mapping):
            return {str(scheme): str(url) for scheme, url in given.items()}
        return {"http": str(given), "https": str(given)}

    def _client_certificate(self) -> Any:
        certificate, key = self.value("cert_auth_public_key"), self.value("cert_auth_private_key")
        for name, path in (("cert_auth_public_key", certificate), ("cert_auth_private_key", key)):
            if path and not os.path.isfile(path):
                raise InvalidInput(f"{name} {path!r} does not exist on the host that runs this task.")
            if path and not os.access(path, os.R_OK):
                raise InvalidInput(f"{name} {path!r} may not be read by the user that runs this task.")
        if not certificate:
            return None
        _check_pair(certificate, key or certificate)
        return (certificate, key) if key else certificate


def _read_dictionary(option: str, given: Any) -> Any:
    """An option's value, with a text that is a dictionary (of the environment, or of ansible.cfg) read as one."""
    if not isinstance(given, str) or not given.lstrip().startswith("{"):
        return given
    import ast
    import json

    try:
        return json.loads(given)
    except ValueError:
        try:
            return ast.literal_eval(given)
        except (ValueError, SyntaxError, TypeError):  # the last for a list as a key
            raise InvalidInput(f"{option} looks like a dictionary, but is neither JSON nor Python.") from None


def _check_pair(certificate: str, key: str) -> None:
    """Raise InvalidInput unless TLS can use this certificate with its key."""
    import ssl

    try:
        # With a password of its own for an encrypted key, the TLS library does not ask the terminal for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError):
        raise InvalidInput(
            f"cert_auth_public_key and cert_auth_private_key ({certificate}, {key}) cannot be used: they have to be a PEM "
            "certificate and its own private key, which must not be encrypted."
        ) from None


def without_password(url: str) -> str:
    """A URL without the user and password that it may hold."""
    return re.sub(r"//[^/@]*@", "//***@", url)
