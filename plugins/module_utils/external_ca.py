# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Vault's ``pki-external-ca`` engine: one method an endpoint, typed in and out.

Where Vault's versions and documents differ, the difference ends here: callers see one spelling of states and reasons, one
kind of absence (None), and the same keys whichever Vault answers.

Source: https://developer.hashicorp.com/vault/api-docs/secret/pki-external-ca
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type, TypedDict, Union
from urllib.parse import quote

from . import order_states
from .certificates import normalise_serial
from .durations import plain_moment
from .vault_connection import Answer, VaultConnection
from .vault_errors import BadRequest, InvalidInput, NotFound, UnexpectedAnswer, VaultError

ENGINE_TYPE = "pki-external-ca"
DNS_PROVIDER_TYPES = ("aws-route53", "azure-dns", "google-cloud-dns", "rfc2136")
CSR_KEY_TYPES = ("ec-256", "ec-384", "ec-521", "rsa-2048", "rsa-4096")
REVOCATION_REASONS = (
    "unspecified",
    "key-compromise",
    "ca-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
    "certificate-hold",
    "remove-from-crl",
    "privilege-withdrawn",
    "aa-compromise",
)

_NAME = re.compile(r"\w(([\w.-]+)?\w)?", re.ASCII)
_ORDER_ID = re.compile(r"[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?")
_ORDER_REFERENCE = re.compile(r"(?P<mount>.+)/role/(?P<role_name>[^/]+)/order/(?P<order_id>[^/]+)/certificate")

Fields = Mapping[str, Any]


class OrderReference(NamedTuple):
    """Which order: role and id."""

    role_name: str
    order_id: str


class Challenge(TypedDict):
    """A challenge as an order's status lists it."""

    challenge_type: str
    challenge_status: str
    expires: str
    requires_manual_fulfillment: Optional[bool]  # None where this Vault does not say


class Order(TypedDict):
    """An order's status. Texts are empty where Vault has nothing to say yet; moments are RFC 3339 in UTC."""

    order_id: str
    role_name: str
    order_status: str
    identifiers: List[str]
    challenges: Dict[str, List[Challenge]]
    csr: str
    serial_number: str
    last_error: str
    creation_date: str
    last_update: str
    next_work_date: str
    expires: str


class ChallengeDetails(TypedDict):
    """What Vault tells to fulfil one challenge."""

    challenge_token: str
    challenge_auth: str
    challenge_status: str
    expires: str


class Certificate(TypedDict):
    """An issued certificate. ``private_key`` is None in the CSR workflow."""

    certificate: str
    certificate_format: str
    ca_chain: List[str]
    private_key: Optional[str]
    private_key_type: Optional[str]
    serial_number: str
    authority_key_id: str
    not_before: str
    not_after: str


class RecentOrder(TypedDict):
    """A row of ``lookup/orders/recent``."""

    order_id: str
    role_name: str
    order_status: str
    identifiers: List[str]
    creation_date: str
    last_update: str


class IssuedCertificate(TypedDict):
    """The order behind a serial number."""

    order_id: str
    role_name: str
    order_status: str
    identifiers: List[str]
    not_before: str
    not_after: str


def parse_order_reference(text: str) -> Tuple[str, OrderReference]:
    """Mount and order of ``<mount>/role/<role_name>/order/<order_id>/certificate``. Raises InvalidInput."""
    found = _ORDER_REFERENCE.fullmatch(text.strip().strip("/"))
    if not found:
        raise InvalidInput(f"id {text!r} is not of the form <mount>/role/<role_name>/order/<order_id>/certificate.")
    return found["mount"], OrderReference(found["role_name"], found["order_id"])


def format_order_reference(mount: str, order: OrderReference) -> str:
    """The ``id`` of an order's certificate, as Terraform's provider writes it too."""
    return f"{mount.strip('/')}/role/{order.role_name}/order/{order.order_id}/certificate"


class NoCertificateYet(VaultError):
    """The order has not issued a certificate, or does not exist."""

    transient = True


class ExternalCA:
    """The engine on one mount.

    Every method raises the exceptions of :mod:`vault_errors`; :class:`InvalidInput`, before any request, for a name that
    could not be one path segment. ``timeout`` is in seconds.
    """

    def __init__(self, connection: VaultConnection, mount: str) -> None:
        self.mount = _mount(mount)
        self._path = quote(self.mount, safe="/")
        self._connection = connection

    def on(self, mount: str) -> ExternalCA:
        """The engine on another mount, over the same connection."""
        return self if mount == self.mount else ExternalCA(self._connection, mount)

    # ------------------------------------------------------------------ the mount itself (sys/mounts)

    def mount_configuration(self) -> Optional[Dict[str, Any]]:
        """The mount as ``sys/mounts`` describes it (type, description, config …), or None where nothing is mounted."""
        mounts = self._connection.request("GET", "sys/mounts").data or {}
        found = mounts.get(self.mount + "/")
        if not isinstance(found, dict):
            return None
        return dict(found, config=_typed(found.get("config") or {}, "config", dict))

    def enable(self, fields: Fields) -> None:
        """Mount the engine here. ``fields``: description, config."""
        self._connection.request("POST", f"sys/mounts/{self._path}", body={"type": ENGINE_TYPE, **fields})

    def tune(self, fields: Fields) -> None:
        """Change description, default_lease_ttl, max_lease_ttl …"""
        self._connection.request("POST", f"sys/mounts/{self._path}/tune", body=fields)

    def disable(self) -> None:
        """Unmount the engine; everything that it stores is gone."""
        self._connection.request("DELETE", f"sys/mounts/{self._path}")

    # ------------------------------------------------------------------ ACME accounts

    def acme_account_names(self) -> List[str]:
        """All accounts' names."""
        return self._list("config/acme-account")

    def acme_account(self, name: str) -> Optional[Dict[str, Any]]:
        """One account, or None. ``email_contacts`` is there in any case."""
        return self._acme_account(self._read(f"config/acme-account/{_name('name', name)}"))

    def write_acme_account(self, name: str, fields: Fields) -> Dict[str, Any]:
        """Register an account at the ACME server, or update trusted_ca of one that exists."""
        return self._present(self._acme_account(self._put(f"config/acme-account/{_name('name', name)}", fields)))

    def import_acme_account(self, name: str, fields: Fields) -> Dict[str, Any]:
        """Import an account that the ACME server knows: directory_url, account_key, trusted_ca."""
        written = self._put(f"config/acme-account/{_name('name', name)}/import", fields)
        if not written or "email_contacts" not in written:
            return self._present(self.acme_account(name))
        return self._present(self._acme_account(written))

    def rotate_acme_account_key(self, name: str, key_type: str, force: bool) -> None:
        """Change the account's key at the ACME server (RFC 8555 section 7.3.5)."""
        body = {"key_type": key_type, "force": force}
        self._write(f"config/acme-account/{_name('name', name)}/rotate-key", body, once=True)

    def delete_acme_account(self, name: str) -> None:
        """Deactivate the account at the ACME server and forget it."""
        self._delete(f"config/acme-account/{_name('name', name)}")

    # ------------------------------------------------------------------ roles

    def role_names(self) -> List[str]:
        """All roles' names."""
        return self._list("role")

    def role(self, name: str) -> Optional[Dict[str, Any]]:
        """One role, or None."""
        return self._read(f"role/{_name('name', name)}", absent=(NotFound, BadRequest))

    def write_role(self, name: str, fields: Fields) -> Tuple[Dict[str, Any], List[str]]:
        """Create or update a role. Returns it and Vault's warnings (a Vault 2.0 ignores DNS providers with one)."""
        path = f"{self._path}/role/{_name('name', name)}"
        answer = self._connection.request("POST", path, body=dict(fields), creates=True)
        return self._present(answer.data), answer.warnings

    def delete_role(self, name: str, force: bool) -> None:
        """Delete a role; one with active orders only with ``force``."""
        self._delete(f"role/{_name('name', name)}", {"force": "true"} if force else None)

    # ------------------------------------------------------------------ DNS providers

    def dns_provider_names(self, provider_type: Optional[str] = None) -> List[Tuple[str, str]]:
        """(type, name) of every provider, or of those of one type. A later Vault may have more types."""
        if provider_type is not None:
            return [(provider_type, name) for name in self._list(f"config/dns/{_name('type', provider_type)}")]
        pairs = [key.strip("/").partition("/") for key in self._list("config/dns")]
        return [(kind, name) for kind, _slash, name in pairs]

    def dns_provider(self, provider_type: str, name: str) -> Optional[Dict[str, Any]]:
        """One provider without its secrets, or None."""
        return self._read(f"config/dns/{_name('type', provider_type)}/{_name('name', name)}")

    def write_dns_provider(self, provider_type: str, name: str, fields: Fields) -> Dict[str, Any]:
        """Create or update a provider."""
        return self._present(self._put(f"config/dns/{_name('type', provider_type)}/{_name('name', name)}", fields))

    def delete_dns_provider(self, provider_type: str, name: str) -> None:
        """Forget a provider."""
        self._delete(f"config/dns/{_name('type', provider_type)}/{_name('name', name)}")

    def test_dns_provider(self, provider_type: str, name: str, identifier: str, omit_cleanup: bool) -> Dict[str, Any]:
        """Let Vault set, and remove, a TXT record. Returns success, message, record_name … for failures too."""
        body = {
            "identifier": identifier,
            "provider_type": _name("type", provider_type),
            "provider_name": _name("name", name),
            "omit_cleanup": omit_cleanup,
        }
        try:
            return self._present(self._write("dns/test/workflow", body))
        except BadRequest as error:
            outcome = error.details.get("answer")
            if not isinstance(outcome, dict) or outcome.get("success") is not False:
                raise
            # The same words may stand in both places.
            said = dict.fromkeys(filter(None, [str(outcome.get("message") or ""), *error.errors]))
            return dict(outcome, message="; ".join(said))

    # ------------------------------------------------------------------ orders

    def new_order(
        self, role_name: str, *, identifiers: Optional[Sequence[str]] = None, csr: Optional[str] = None
    ) -> OrderReference:
        """Create an order for names (Vault makes the key) or for a PEM request."""
        body: Dict[str, Any] = {"csr": csr} if csr is not None else {"identifiers": list(identifiers or ())}
        path = f"role/{_name('role_name', role_name)}/new-order"
        try:
            # One that is lost may have been made: who repeats it blindly pays for two.
            data = self._present(self._write(path, body, once=True))
        except VaultError as error:
            if error.transient:
                error.message += " If the order was made all the same, the next run finds it; retries do not repeat it."
            raise
        return OrderReference(role_name, _text(data, "order_id"))

    def order(self, order: OrderReference, *, timeout: Optional[float] = None) -> Optional[Order]:
        """An order's status, or None where there is no such order of this role."""
        path = f"{_order_path(order)}/status"
        return _order(order.order_id, self._read(path, absent=(NotFound, BadRequest), timeout=timeout))

    def challenge(
        self, order: OrderReference, identifier: str, challenge_type: str, *, timeout: Optional[float] = None
    ) -> ChallengeDetails:
        """Token and authorization of one challenge."""
        params = {"identifier": identifier, "challenge_type": challenge_type}
        data = self._present(self._read(f"{_order_path(order)}/challenge", params, absent=(), timeout=timeout))
        return ChallengeDetails(
            challenge_token=_text(data, "challenge_token"),
            challenge_auth=_text(data, "challenge_auth"),
            challenge_status=_text(data, "challenge_status"),
            expires=_moment(data, "expires"),
        )

    def fulfil_challenge(self, order: OrderReference, identifier: str, challenge_type: str) -> None:
        """Say that a challenge is in place."""
        body = {"identifier": identifier, "challenge_type": challenge_type}
        self._write(f"{_order_path(order)}/fulfilled-challenge", body)

    def certificate(
        self, order: OrderReference, certificate_format: str = "pem", *, timeout: Optional[float] = None
    ) -> Certificate:
        """The certificate of a completed order. Raises NoCertificateYet, whichever way Vault says that there is none."""
        path, params = f"{_order_path(order)}/fetch-cert", {"certificate_format": certificate_format}
        try:
            found = _certificate(self._read(path, params, timeout=timeout))
        except BadRequest as error:
            raise NoCertificateYet(f"Vault has no certificate for order {order.order_id}: {error}", path=path) from None
        if found is None or not found["certificate"]:
            raise NoCertificateYet(f"Vault has no certificate for order {order.order_id}.", path=path)
        return found

    def revoke(self, order: OrderReference, reason: str) -> None:
        """Revoke an order's certificate. ``reason`` with hyphens; a Vault that wants underscores gets them."""
        path = f"{_order_path(order)}/revoke"
        try:
            self._write(path, {"reason": reason})
            return
        except BadRequest as error:
            if "-" not in reason:
                raise
            refusal = error
        underscored = reason.replace("-", "_")
        try:
            self._write(path, {"reason": underscored})
        except BadRequest as error:
            # One of the two spellings is wrong, and its refusal is not the one that tells what the matter is.
            if underscored in str(error) or ("reason" in str(error) and "reason" not in str(refusal)):
                raise refusal from None
            raise

    def active_orders(self, role_name: str) -> List[str]:
        """Ids of the role's orders that have not come to their end."""
        return _texts(
            self._list_data(f"role/{_name('role_name', role_name)}/active-orders", absent=(NotFound, BadRequest)),
            "keys",
        )

    def cached_certificate(
        self,
        role_name: str,
        *,
        identifiers: Sequence[str],
        min_validity_seconds: Optional[int] = None,
        min_validity_percentage: Optional[int] = None,
        certificate_format: str = "pem",
    ) -> Optional[Certificate]:
        """The newest certificate of the role's identifier workflow that is still valid for so long, or None."""
        params: Dict[str, Any] = {"identifiers": ",".join(identifiers), "certificate_format": certificate_format}
        if min_validity_percentage is not None:
            params["min_validity_percentage"] = str(min_validity_percentage)
        else:
            params["min_validity_duration"] = f"{min_validity_seconds or 0}s"
        path = f"role/{_name('role_name', role_name)}/cached"
        return _certificate(self._read(path, params, absent=(NotFound, BadRequest)))

    # ------------------------------------------------------------------ lookups

    def issued_certificate(self, serial_number: str) -> Optional[IssuedCertificate]:
        """The order behind a certificate of this mount, or None. The serial number in any spelling."""
        try:
            serial_number = normalise_serial(serial_number)
        except ValueError as error:
            raise InvalidInput(f"serial_number: {error}.") from None
        data = self._read(f"lookup/cert/{serial_number}", absent=(NotFound, BadRequest))
        if data is None:
            return None
        return IssuedCertificate(
            order_id=_text(data, "order_id"),
            role_name=_text(data, "role_name"),
            order_status=order_states.normalise(_text(data, "order_status")),
            identifiers=_texts(data, "identifiers"),
            not_before=_moment(data, "not_before"),
            not_after=_moment(data, "not_after"),
        )

    def find_order(self, order_id: str) -> Optional[Order]:
        """An order's status by its id alone, or None."""
        checked = _checked("order_id", order_id, _ORDER_ID)
        return _order(order_id, self._read(f"lookup/order/{checked}", absent=(NotFound, BadRequest)))

    def order_ids(self) -> List[str]:
        """Ids of all active and completed orders of the mount."""
        return self._list("lookup/orders")

    def recent_orders(self, within: str) -> List[RecentOrder]:
        """Orders made within a duration from 1h to 168h, newest first, 500 at most."""
        data = self._list_data("lookup/orders/recent", {"within": within})
        info = _typed(data.get("key_info") or {}, "key_info", dict)
        return [
            RecentOrder(
                order_id=order_id,
                role_name=_text(row, "role_name"),
                order_status=order_states.normalise(_text(row, "order_status")),
                identifiers=_texts(row, "identifiers"),
                creation_date=_moment(row, "creation_date"),
                last_update=_moment(row, "last_update"),
            )
            for order_id in _texts(data, "keys")
            for row in [_typed(info.get(order_id) or {}, f"key_info of {order_id}", dict)]
        ]

    # ------------------------------------------------------------------ plumbing

    def _read(
        self,
        path: str,
        params: Optional[Fields] = None,
        *,
        absent: Tuple[Type[VaultError], ...] = (NotFound,),
        timeout: Optional[float] = None,
    ) -> Optional[Dict[str, Any]]:
        try:
            answer = self._connection.request("GET", f"{self._path}/{path}", params=params, timeout=timeout)
        except absent as error:
            # No such mount is not the same as nothing there: Vault says the one in words, the other with an empty list.
            if isinstance(error, NotFound) and error.errors:
                raise
            return None
        return answer.data

    def _write(self, path: str, body: Fields, *, once: bool = False) -> Optional[Dict[str, Any]]:
        return self._connection.request("POST", f"{self._path}/{path}", body=dict(body), once=once).data

    def _put(self, path: str, fields: Fields) -> Optional[Dict[str, Any]]:
        # Where nothing is there yet, this makes it.
        return self._connection.request("POST", f"{self._path}/{path}", body=dict(fields), creates=True).data

    def _delete(self, path: str, params: Optional[Fields] = None) -> None:
        self._connection.request("DELETE", f"{self._path}/{path}", params=params)

    def _list(self, path: str) -> List[str]:
        return _texts(self._list_data(path), "keys")

    def _list_data(
        self, path: str, params: Optional[Fields] = None, *, absent: Tuple[Type[VaultError], ...] = (NotFound,)
    ) -> Dict[str, Any]:
        try:
            answer: Answer = self._connection.request("LIST", f"{self._path}/{path}", params=params)
        except absent as error:
            if isinstance(error, NotFound) and error.errors:
                raise
            return {"keys": []}
        return answer.data or {"keys": []}

    def _present(self, data: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        if data is None:
            raise UnexpectedAnswer(
                f"Vault accepted a request to the engine at {self.mount} but returned no data. Check that the mount is of "
                f"type {ENGINE_TYPE}."
            )
        return data

    @staticmethod
    def _acme_account(data: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        if data is None:
            return None
        keys = {
            version: dict(
                _typed(key, "account_keys", dict),
                key_type=_text(key, "key_type"),
                key_creation_date=_moment(key, "key_creation_date"),
            )
            for version, key in _typed(data.get("account_keys") or {}, "account_keys", dict).items()
        }
        version = _typed(data.get("active_key_version") or 0, "active_key_version", int)
        contacts = _texts(data, "email_contacts")
        return dict(data, account_keys=keys, active_key_version=version, email_contacts=contacts)


# ---------------------------------------------------------------------- what may stand in a path


def _checked(option: str, value: str, pattern: re.Pattern[str]) -> str:
    value = value or ""  # Ansible takes an option that is null for one that is given
    if not pattern.fullmatch(value):
        raise InvalidInput(
            f"{option} {value[:80]!r} cannot be used: it must consist of letters, digits, '_', '-' and '.' "
            "and begin and end with a letter or digit."
        )
    return quote(value, safe="")


def _name(option: str, value: str) -> str:
    return _checked(option, value, _NAME)


def _order_path(order: OrderReference) -> str:
    return f"role/{_name('role_name', order.role_name)}/order/{_checked('order_id', order.order_id, _ORDER_ID)}"


def _mount(value: str) -> str:
    mount = value.strip("/")
    segments = mount.split("/")
    printable = mount.isprintable() and not re.search(r"[*+?#%\\\s]", mount)
    if not mount or not printable or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidInput(
            f"mount {value[:80]!r} is not the path of a mount, such as 'pki-external-ca' or 'team/acme'."
        )
    return mount


# ---------------------------------------------------------------------- what Vault may answer


def _typed(value: Any, what: str, expected: Union[type, Tuple[type, ...]]) -> Any:
    if not isinstance(value, expected):
        raise UnexpectedAnswer(
            f"Vault's answer has {what} as {type(value).__name__}; that is not an answer of the {ENGINE_TYPE} engine. "
            "Check mount, and that nothing between answers for Vault."
        )
    return value


def _text(data: Mapping[str, Any], key: str) -> str:
    text: str = _typed(data.get(key) or "", key, str)
    return text


def _moment(data: Mapping[str, Any], key: str) -> str:
    return plain_moment(_text(data, key))


def _serial(data: Mapping[str, Any]) -> str:
    """A serial number in one spelling, so that two can be compared; what is none stays as it is, and equals only itself."""
    text = _text(data, "serial_number")
    try:
        return normalise_serial(text)
    except ValueError:
        return text


def _texts(data: Mapping[str, Any], key: str) -> List[str]:
    return [str(_typed(one, key, str)) for one in _typed(data.get(key) or [], key, list)]


def _order(order_id: str, data: Optional[Dict[str, Any]]) -> Optional[Order]:
    if data is None:
        return None
    challenges = _typed(data.get("challenges") or {}, "challenges", dict)
    return Order(
        order_id=order_id,
        role_name=_text(data, "role_name"),
        order_status=order_states.normalise(_text(data, "order_status")),
        identifiers=_texts(data, "identifiers"),
        challenges={
            identifier: [_challenge(_typed(one, "challenges", dict)) for one in _typed(rows or [], "challenges", list)]
            for identifier, rows in challenges.items()
        },
        csr=_text(data, "csr"),
        serial_number=_serial(data),
        last_error=_text(data, "last_error"),
        creation_date=_moment(data, "creation_date"),
        last_update=_moment(data, "last_update"),
        next_work_date=_moment(data, "next_work_date"),
        expires=_moment(data, "expires"),
    )


def _challenge(row: Mapping[str, Any]) -> Challenge:
    manual = row.get("requires_manual_fulfillment")
    return Challenge(
        challenge_type=_text(row, "challenge_type"),
        challenge_status=_text(row, "challenge_status"),
        expires=_moment(row, "expires"),
        # Vault prints a boolean as a text.
        requires_manual_fulfillment=None if manual is None else str(manual).lower() == "true",
    )


def _certificate(data: Optional[Dict[str, Any]]) -> Optional[Certificate]:
    if data is None:
        return None
    return Certificate(
        certificate=_text(data, "certificate"),
        certificate_format=_text(data, "certificate_format"),
        ca_chain=_texts(data, "ca_chain"),
        private_key=_text(data, "private_key") or None,
        private_key_type=_text(data, "private_key_type") or None,
        serial_number=_serial(data),
        authority_key_id=_text(data, "authority_key_id"),
        not_before=_moment(data, "not_before"),
        not_after=_moment(data, "not_after"),
    )
