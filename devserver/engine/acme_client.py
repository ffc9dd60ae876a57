# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ACME client (RFC 8555), one account's view of one ACME server.

Transport, signatures and nonces are the acme package's; this file adds the requests that the engine makes, what
a person reads when one fails, and connections that are kept between them.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from acme import client, errors, jws, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy import jwa, jwk
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import encode_b64jose
from requests.adapters import HTTPAdapter

from . import csr
from .certificates import certificates_alone

_log = logging.getLogger(__name__)

_TIMEOUT = 15  # seconds for one request to an ACME server
_NONCE_ATTEMPTS = 20  # a server may refuse good nonces (RFC 8555 section 6.5 lets clients try again)
_TRANSIENT = frozenset({"badNonce", "rateLimited", "serverInternal"})
_ALGORITHMS = {256: jwa.ES256, 384: jwa.ES384, 521: jwa.ES512}


class AcmeError(Exception):
    """An ACME server could not be asked, or refused."""

    @property
    def transient(self) -> bool:
        """Whether trying again later may help."""
        return True


class AcmeUnreachable(AcmeError):
    """No answer, or none that makes sense."""


class AcmeProblem(AcmeError):
    """A problem document (RFC 7807) in an ACME server's answer."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        super().__init__(problem_text(document, status))
        self.status = status
        self.code = str(document.get("type", "")).rsplit(":", 1)[-1]

    @property
    def transient(self) -> bool:
        """Server errors and rate limits pass; all else is an answer."""
        return self.status >= 500 or self.code in _TRANSIENT


def problem_text(document: Mapping[str, Any], status: int = 0) -> str:
    """``403 urn:ietf:params:acme:error:unauthorized: what the server says``, with its subproblems."""
    text = f"{document.get('status') or status} {document.get('type', 'about:blank')}: {document.get('detail', '')}"
    subproblems = document.get("subproblems")
    parts = [
        f"[{_value(one.get('identifier'))}] {one.get('type', '')}: {one.get('detail', '')}"
        for one in (subproblems if isinstance(subproblems, list) else ())
        if isinstance(one, dict)
    ]
    return "; ".join([text, *parts])


def _value(identifier: Any) -> Any:
    return identifier.get("value", "") if isinstance(identifier, dict) else ""


@dataclass(frozen=True)
class Credentials:
    """What it takes to speak to an ACME server as one account. ``account_url`` is empty before registration."""

    directory_url: str
    key: str  # PEM
    account_url: str = ""
    trusted_ca: str = ""  # PEM bundle; empty means the system's


class _Payload(JSONDeSerializable):
    """A JSON object as it stands."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = dict(members)

    def to_partial_json(self) -> dict[str, Any]:
        return self._members

    @classmethod
    def from_json(cls, jobj: Any) -> _Payload:
        return cls(jobj)


class _TrustingAdapter(HTTPAdapter):
    """Validates servers against one bundle of certificates and nothing else."""

    def __init__(self, trusted_ca: str) -> None:
        self._context = ssl.create_default_context(cadata=certificates_alone(trusted_ca))
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context of the pool says it all; requests would add its own bundle here."""


class _Network(client.ClientNetwork):
    def __init__(self, credentials: Credentials, key: jwk.JWK, algorithm: jwa.JWASignature) -> None:
        account = None
        if credentials.account_url:
            account = messages.RegistrationResource(uri=credentials.account_url, body=messages.Registration())
        super().__init__(key, account, algorithm, user_agent="vault-dev-server", timeout=_TIMEOUT)
        self.session.trust_env = False  # an ACME server is named outright; a proxy of the environment is not meant
        if credentials.trusted_ca:
            self.session.mount("https://", _TrustingAdapter(credentials.trusted_ca))

    @classmethod
    def _check_response(cls, response: requests.Response, content_type: str | None = None) -> requests.Response:
        if not response.ok:
            try:
                document = response.json()
            except ValueError:
                document = None
            if not isinstance(document, dict):
                raise AcmeUnreachable(f"{response.url} answered {response.status_code} without a problem document")
            raise AcmeProblem(document, response.status_code)
        return super()._check_response(response, content_type)

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for _attempt in range(_NONCE_ATTEMPTS - 1):
            try:
                return self._post_once(*args, **kwargs)
            except AcmeProblem as problem:
                if problem.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)


class AcmeClient:
    """Requests to one ACME server, signed by one account key. Not for two threads at once."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._jwk, algorithm = _signer(csr.own_key(credentials.key))
        self._network = _Network(credentials, self._jwk, algorithm)
        self._directory: messages.Directory | None = None

    def close(self) -> None:
        """Drop the connections."""
        self._network.session.close()

    @property
    def thumbprint(self) -> str:
        """The account key's (RFC 7638), the second half of every key authorization."""
        return str(encode_b64jose(self._jwk.thumbprint()))

    def register(self, contacts: Sequence[str], eab_kid: str = "", eab_key: str = "") -> str:
        """Create the account (RFC 8555 section 7.3) and return its URL."""
        payload: dict[str, Any] = {"termsOfServiceAgreed": True, "contact": list(contacts)}
        with _readable(self._credentials.directory_url):
            directory = self._get_directory()
            if eab_kid:
                payload["externalAccountBinding"] = messages.ExternalAccountBinding.from_data(
                    self._jwk.public_key(), eab_kid, eab_key, directory
                )
            response = self._network.post(
                directory["newAccount"], _Payload(payload), new_nonce_url=directory["newNonce"]
            )
        return str(response.headers["Location"])

    def find_account(self) -> tuple[str, list[str]]:
        """URL and contacts of the account that this key is registered for (RFC 8555 section 7.3.1)."""
        with _readable(self._credentials.directory_url):
            directory = self._get_directory()
            response = self._network.post(
                directory["newAccount"], _Payload({"onlyReturnExisting": True}), new_nonce_url=directory["newNonce"]
            )
        account = response.json()
        if account.get("status") != "valid":
            raise AcmeProblem({"type": "accountDoesNotExist", "detail": f"account is {account.get('status')}"}, 403)
        return str(response.headers["Location"]), list(account.get("contact") or ())

    def deactivate(self) -> None:
        """Deactivate the account (RFC 8555 section 7.3.6)."""
        self._post(self._credentials.account_url, {"status": "deactivated"})

    def change_key(self, new_key: str) -> None:
        """Roll over to another account key (RFC 8555 section 7.3.5)."""
        new_jwk, algorithm = _signer(csr.own_key(new_key))
        with _readable(self._credentials.directory_url):
            url = self._get_directory()["keyChange"]
        old = self._jwk.public_key().to_partial_json()
        statement = _Payload({"account": self._credentials.account_url, "oldKey": old})
        inner = jws.JWS.sign(statement.json_dumps().encode(), key=new_jwk, alg=algorithm, nonce=None, url=url)
        self._post(url, inner.to_partial_json())

    def new_order(self, identifiers: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """URL and body of a new order (RFC 8555 section 7.4)."""
        with _readable(self._credentials.directory_url):
            url = self._get_directory()["newOrder"]
        response = self._post(url, {"identifiers": [{"type": "dns", "value": name} for name in identifiers]})
        return str(response.headers["Location"]), response.json()

    def read(self, url: str) -> dict[str, Any]:
        """An order, authorization or challenge (POST-as-GET, RFC 8555 section 6.3)."""
        body = self._post(url, None).json()
        if not isinstance(body, dict):
            raise AcmeUnreachable(f"{url} answered something that is no ACME resource")
        return body

    def answer_challenge(self, url: str) -> None:
        """Tell the server that a challenge is in place (RFC 8555 section 7.5.1)."""
        self._post(url, {})

    def finalize(self, url: str, request: str) -> dict[str, Any]:
        """Hand in the CSR, in PEM; returns the order (RFC 8555 section 7.4)."""
        der = x509.load_pem_x509_csr(request.encode()).public_bytes(Encoding.DER)
        body: dict[str, Any] = self._post(url, {"csr": encode_b64jose(der)}).json()
        return body

    def download(self, url: str) -> str:
        """The certificate and its chain in PEM (RFC 8555 section 7.4.2)."""
        return self._post(url, None).text

    def revoke(self, certificate: str, reason: int) -> None:
        """Revoke a certificate, in PEM, for a reason of RFC 5280 section 5.3.1 (RFC 8555 section 7.6)."""
        with _readable(self._credentials.directory_url):
            url = self._get_directory()["revokeCert"]
        der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
        self._post(url, {"certificate": encode_b64jose(der), "reason": reason})

    def _get_directory(self) -> messages.Directory:
        if self._directory is None:
            url = self._credentials.directory_url
            directory = client.ClientV2.get_directory(url, self._network)
            missing = [
                name for name in ("newNonce", "newAccount", "newOrder") if name not in directory.to_partial_json()
            ]
            if missing:
                raise AcmeUnreachable(f"{url} is not an ACME directory: it has no {', '.join(missing)}")
            self._directory = directory
        return self._directory

    def _post(self, url: str, payload: Mapping[str, Any] | None) -> requests.Response:
        with _readable(url):
            directory = self._get_directory()
            body = None if payload is None else _Payload(payload)
            return self._network.post(url, body, new_nonce_url=directory["newNonce"])


class AcmeClients:
    """Clients kept for their connections and nonces, each lent to one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[AcmeClient]] = defaultdict(list)

    @contextmanager
    def borrow(self, credentials: Credentials) -> Iterator[AcmeClient]:
        """A client for these credentials."""
        key = hashlib.sha256(repr(credentials).encode()).hexdigest()
        with self._lock:
            waiting = self._idle[key]
            acme = waiting.pop() if waiting else None
        if acme is None:
            acme = AcmeClient(credentials)
        try:
            yield acme
        except AcmeUnreachable:
            acme.close()
            raise
        except BaseException:
            self._return(key, acme)
            raise
        self._return(key, acme)

    def close(self) -> None:
        """Drop all connections."""
        with self._lock:
            for waiting in self._idle.values():
                for acme in waiting:
                    acme.close()
            self._idle.clear()

    def _return(self, key: str, acme: AcmeClient) -> None:
        with self._lock:
            self._idle[key].append(acme)


def _signer(key: csr.PrivateKey) -> tuple[jwk.JWK, jwa.JWASignature]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return jwk.JWKEC(key=key), _ALGORITHMS[key.curve.key_size]
    return jwk.JWKRSA(key=key), jwa.RS256


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """Turn what libraries raise into an AcmeError that says what happened to which URL."""
    try:
        yield
    except AcmeError:
        raise
    except requests.exceptions.RequestException as error:
        reason = _innermost(error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise AcmeUnreachable(f"the TLS certificate of {url} is not trusted (trusted_ca): {reason}") from None
        if isinstance(reason, socket.gaierror):
            text = f"its host name does not resolve ({reason.strerror})"
        else:
            text = str(reason) or type(reason).__name__
        raise AcmeUnreachable(f"{url} cannot be reached: {text}") from None
    except (errors.Error, messages.Error, JoseError, LookupError, ValueError, TypeError, AttributeError) as error:
        # The last ones are what the libraries make of JSON that is of another shape than an ACME server's.
        raise AcmeUnreachable(f"{url} answered something that is no ACME: {type(error).__name__}: {error}") from None


def _innermost(error: BaseException) -> BaseException:
    """The reason at the bottom of what requests and urllib3 wrap around it."""
    seen: BaseException = error
    while True:
        reason = getattr(seen, "reason", None)
        below = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
        if below is None and seen.args and isinstance(seen.args[0], BaseException):
            below = seen.args[0]
        if below is None or below is seen:
            return seen
        seen = below
