# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Uses of every module that together make it ask for everything it can ask for: what the matrices run.

Names are the same from run to run, so that the results of two runs can be compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acme import client, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from tests.testbed import Bind, Pebble

from .harness import Bench, Engine

Options = dict[str, Any]


@dataclass
class Place:
    """Where a use takes place: an engine with account ``main`` and role ``web``, BIND, a directory for files.

    ``quiet_pebble`` is a Pebble at whose http port nothing listens yet.
    """

    engine: Engine
    bind: Bind
    quiet_pebble: Pebble
    directory: Path


@dataclass(frozen=True)
class Use:
    """Options of a run; ``repeats`` tells that a second run with them can see that there is nothing to do."""

    options: Options
    check: bool = False
    repeats: bool = True


USES: dict[str, dict[str, Callable[[Place], Use]]] = {}


def _use(module: str, name: str, **how: Any) -> Callable[[Callable[[Place], Options]], Callable[[Place], Options]]:
    """Make a function that sets the stage and returns options a use of this module."""

    def register(prepare: Callable[[Place], Options]) -> Callable[[Place], Options]:
        USES.setdefault(module, {})[name] = lambda place: Use(prepare(place), **how)
        return prepare

    return register


def registered_key(bench: Bench) -> str:
    """The key (PEM) of an account that Pebble knows and Vault does not."""
    key = ec.generate_private_key(ec.SECP256R1())
    network = client.ClientNetwork(JWKEC(key=key), alg=ES256, verify_ssl=True)
    network.session.trust_env = False
    network.session.verify = str(bench.ca.certificate)
    network.verify_ssl = str(bench.ca.certificate)  # type: ignore[assignment]  # handed to requests, which takes a path
    directory = client.ClientV2.get_directory(bench.pebble.directory_url, network)
    acme = client.ClientV2(directory, network)
    acme.new_account(messages.NewRegistration.from_data(email="pki@example.com", terms_of_service_agreed=True))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def new_csr(*names: str) -> str:
    """A PEM request of a new key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def provider_fields(place: Place) -> Options:
    """An rfc2136 provider that BIND believes."""
    key = place.bind.keys["hmac-sha256"]
    return {
        "identifiers": [f"*.{place.bind.dynamic_zones[0]}"],
        "nameserver": place.bind.server,
        "tsig_key_name": key.name,
        "tsig_secret": key.secret,
        "tsig_algorithm": "hmac-sha256",
    }


def _pending(place: Place, name: str) -> Options:
    order_id = place.engine.order(name)
    place.engine.wait(order_id, "awaiting-challenge-fulfillment")
    return {"role_name": "web", "order_id": order_id}


def _issued(place: Place, name: str) -> Options:
    return {"role_name": "web", "order_id": place.engine.issue(name)}


# ---------------------------------------------------------------------- mount


@_use("mount", "enable")
def mount_enable(place: Place) -> Options:
    place.engine.bench.api("DELETE", f"sys/mounts/{place.engine.mount}")
    return {"description": "Certificates", "max_lease_ttl": "720h"}


@_use("mount", "tune")
def mount_tune(place: Place) -> Options:
    return {"description": "Other certificates", "default_lease_ttl": "1h"}


@_use("mount", "disable")
def mount_disable(place: Place) -> Options:
    return {"state": "absent"}


# ---------------------------------------------------------------------- ACME accounts


@_use("acme_account", "create")
def acme_account_create(place: Place) -> Options:
    return {"name": "second", **place.engine.bench.account_fields(key_type="ec-384")}


@_use("acme_account", "update")
def acme_account_update(place: Place) -> Options:
    other = (place.directory / "other.pem").read_text()
    return {"name": "main", **place.engine.bench.account_fields(trusted_ca=place.engine.bench.ca.pem + other)}


@_use("acme_account", "import")
def acme_account_import(place: Place) -> Options:
    fields = place.engine.bench.account_fields()
    del fields["email_contacts"]
    return {"name": "imported", "account_key": registered_key(place.engine.bench), **fields}


@_use("acme_account", "delete")
def acme_account_delete(place: Place) -> Options:
    place.engine.api("POST", "config/acme-account/gone", place.engine.bench.account_fields())
    return {"name": "gone", "state": "absent"}


@_use("acme_account_info", "one")
def acme_account_info_one(place: Place) -> Options:
    return {"name": "main"}


@_use("acme_account_info", "all")
def acme_account_info_all(place: Place) -> Options:
    return {}


@_use("acme_account_rotate_key", "another type")
def acme_account_rotate_key_another_type(place: Place) -> Options:
    return {"name": "main", "key_type": "ec-384"}


@_use("acme_account_rotate_key", "young enough")
def acme_account_rotate_key_young_enough(place: Place) -> Options:
    return {"name": "main", "older_than": "90d"}


# ---------------------------------------------------------------------- roles


@_use("role", "create")
def role_create(place: Place) -> Options:
    return {"name": "mail", "acme_account_name": "main", "allowed_domains": ["mail.example.com"]}


@_use("role", "update")
def role_update(place: Place) -> Options:
    return {"name": "web", "acme_account_name": "main", "allowed_challenge_types": ["http-01"]}


@_use("role", "delete")
def role_delete(place: Place) -> Options:
    place.engine.write_role("gone")
    return {"name": "gone", "state": "absent"}


@_use("role_info", "one")
def role_info_one(place: Place) -> Options:
    return {"name": "web"}


@_use("role_info", "all")
def role_info_all(place: Place) -> Options:
    return {}


# ---------------------------------------------------------------------- DNS providers


@_use("dns_provider", "create")
def dns_provider_create(place: Place) -> Options:
    return {"name": "internal", "type": "rfc2136", "ttl": "2m", **provider_fields(place), "tsig_algorithm": None}


@_use("dns_provider", "update")
def dns_provider_update(place: Place) -> Options:
    place.engine.api("POST", "config/dns/rfc2136/internal", provider_fields(place))
    return {"name": "internal", "type": "rfc2136", "ttl": "90s"}


@_use("dns_provider", "delete")
def dns_provider_delete(place: Place) -> Options:
    place.engine.api("POST", "config/dns/rfc2136/gone", provider_fields(place))
    return {"name": "gone", "type": "rfc2136", "state": "absent"}


def _two_providers(place: Place) -> None:
    place.engine.api("POST", "config/dns/rfc2136/internal", provider_fields(place))
    place.engine.api("POST", "config/dns/aws-route53/internal", {"identifiers": ["example.org"], "ttl": "120s"})


@_use("dns_provider_info", "one")
def dns_provider_info_one(place: Place) -> Options:
    _two_providers(place)
    return {"name": "internal", "type": "rfc2136"}


@_use("dns_provider_info", "of a type")
def dns_provider_info_of_a_type(place: Place) -> Options:
    _two_providers(place)
    return {"type": "aws-route53"}


@_use("dns_provider_info", "all")
def dns_provider_info_all(place: Place) -> Options:
    _two_providers(place)
    return {}


@_use("dns_provider_test", "try")
def dns_provider_test_try(place: Place) -> Options:
    place.engine.api("POST", "config/dns/rfc2136/internal", provider_fields(place))
    return {"name": "internal", "type": "rfc2136", "identifier": f"try.{place.bind.dynamic_zones[0]}"}


@_use("dns_provider_test", "check mode", check=True)
def dns_provider_test_check_mode(place: Place) -> Options:
    place.engine.api("POST", "config/dns/rfc2136/internal", provider_fields(place))
    return {"name": "internal", "type": "rfc2136", "identifier": f"try.{place.bind.dynamic_zones[0]}"}


# ---------------------------------------------------------------------- orders


@_use("order", "new")
def order_new(place: Place) -> Options:
    return {"role_name": "web", "identifiers": ["new.example.com"]}


@_use("order", "of a valid certificate")
def order_of_a_valid_certificate(place: Place) -> Options:
    _issued(place, "valid.example.com")
    return {"role_name": "web", "identifiers": ["valid.example.com"]}


@_use("order", "of a CSR")
def order_of_a_csr(place: Place) -> Options:
    csr = new_csr("csr.example.com")
    place.engine.issue(csr=csr)
    return {"role_name": "web", "csr": csr}


@_use("order_info", "one of a role")
def order_info_one_of_a_role(place: Place) -> Options:
    return _pending(place, "one.example.com")


@_use("order_info", "one by its id")
def order_info_one_by_its_id(place: Place) -> Options:
    return {"order_id": _pending(place, "by-id.example.com")["order_id"]}


@_use("order_info", "one that is not there")
def order_info_one_that_is_not_there(place: Place) -> Options:
    return {"role_name": "web", "order_id": "00000000-0000-4000-8000-000000000000"}


@_use("order_info", "active")
def order_info_active(place: Place) -> Options:
    place.engine.write_role("active")
    place.engine.order("active.example.com", role="active")
    return {"role_name": "active"}


@_use("order_info", "recent")
def order_info_recent(place: Place) -> Options:
    place.engine.write_role("recent")
    place.engine.issue("recent.example.com", role="recent")
    return {"within": "1h", "role_name": "recent", "expand": True}


@_use("order_info", "all")
def order_info_all(place: Place) -> Options:
    return {}


@_use("order_challenge_info", "http-01")
def order_challenge_info_http_01(place: Place) -> Options:
    return {**_pending(place, "http.example.com"), "challenge_type": "http-01"}


@_use("order_challenge_info", "dns-01")
def order_challenge_info_dns_01(place: Place) -> Options:
    return {**_pending(place, "*.dns.example.com"), "challenge_type": "dns-01"}


@_use("order_challenge_info", "tls-alpn-01")
def order_challenge_info_tls_alpn_01(place: Place) -> Options:
    return {**_pending(place, "tls.example.com"), "challenge_type": "tls-alpn-01"}


@_use("order_challenge_fulfilled", "http-01")
def order_challenge_fulfilled_http_01(place: Place) -> Options:
    options = _pending(place, "fulfilled.example.com")
    place.engine.publish(options["order_id"], "fulfilled.example.com")
    return {**options, "challenge_type": "http-01"}


# Until the last one is marked, Vault does not tell which ones are: a repetition may tell it again.
@_use("order_challenge_fulfilled", "one of two", repeats=False)
def order_challenge_fulfilled_one_of_two(place: Place) -> Options:
    order_id = place.engine.order("half.example.com", "other-half.example.com")
    place.engine.wait(order_id, "awaiting-challenge-fulfillment")
    return {"role_name": "web", "order_id": order_id, "challenge_type": "http-01", "identifiers": ["half.example.com"]}


@_use("order_challenge_fulfilled", "of a completed order")
def order_challenge_fulfilled_of_a_completed_order(place: Place) -> Options:
    return {**_issued(place, "past.example.com"), "challenge_type": "http-01"}


@_use("order_certificate", "completed")
def order_certificate_completed(place: Place) -> Options:
    return _issued(place, "completed.example.com")


@_use("order_certificate", "of a CSR")
def order_certificate_of_a_csr(place: Place) -> Options:
    return {"role_name": "web", "order_id": place.engine.issue(csr=new_csr("own-key.example.com"))}


@_use("order_certificate", "not yet")
def order_certificate_not_yet(place: Place) -> Options:
    return {**_pending(place, "not-yet.example.com"), "wait": False}


@_use("order_certificates", "completed")
def order_certificates_completed(place: Place) -> Options:
    names = ("one.example.com", "two.example.com")
    return {"role_name": "web", "order_ids": [_issued(place, name)["order_id"] for name in names]}


@_use("order_certificates", "not yet")
def order_certificates_not_yet(place: Place) -> Options:
    pending = _pending(place, "neither.example.com")
    return {"role_name": "web", "order_ids": [pending["order_id"]], "wait": False}


# ---------------------------------------------------------------------- certificates


@_use("certificate_info", "cached")
def certificate_info_cached(place: Place) -> Options:
    _issued(place, "cached.example.com")
    return {"role_name": "web", "identifiers": ["cached.example.com"], "include_private_key": True}


@_use("certificate_info", "nothing cached")
def certificate_info_nothing_cached(place: Place) -> Options:
    return {"role_name": "web", "identifiers": ["nothing.example.com"]}


@_use("certificate_info", "by serial number")
def certificate_info_by_serial_number(place: Place) -> Options:
    return {"serial_number": place.engine.fetch(_issued(place, "serial.example.com")["order_id"])["serial_number"]}


@_use("certificate_info", "revoked")
def certificate_info_revoked(place: Place) -> Options:
    order = _issued(place, "revoked.example.com")
    serial_number = place.engine.fetch(order["order_id"])["serial_number"]
    place.engine.revoke(order["order_id"])
    return {"serial_number": serial_number}


@_use("certificate_revoke", "by order")
def certificate_revoke_by_order(place: Place) -> Options:
    return {**_issued(place, "revoke.example.com"), "reason": "key-compromise"}


@_use("certificate_revoke", "by serial number")
def certificate_revoke_by_serial_number(place: Place) -> Options:
    return {"serial_number": place.engine.fetch(_issued(place, "revoke-it.example.com")["order_id"])["serial_number"]}


def _destination(place: Place, name: str) -> Options:
    folder = place.directory / place.engine.mount / name
    folder.mkdir(parents=True)
    return {"fullchain": str(folder / "fullchain.pem"), "private_key": str(folder / "key.pem")}


def _listening(place: Place) -> Options:
    listening = {"listen": f"127.0.0.1:{place.quiet_pebble.http_port}"}
    return {"role_name": "host", "http_01": listening, "wait_timeout": 5}


def _role_of_host(place: Place) -> None:
    """The role ``host``, whose account is at the Pebble that comes to validate to the host itself."""
    bench = dataclasses.replace(place.engine.bench, pebble=place.quiet_pebble)
    place.engine.api("POST", "config/acme-account/host", bench.account_fields())
    place.engine.write_role("host", acme_account_name="host")


@_use("certificate", "new")
def certificate_new(place: Place) -> Options:
    _role_of_host(place)
    names = ["host.example.com"]
    return {**_listening(place), "identifiers": names, "destination": _destination(place, "new")}


@_use("certificate", "of a key of its own")
def certificate_of_a_key_of_its_own(place: Place) -> Options:
    _role_of_host(place)
    destination = _destination(place, "local")
    return {
        **_listening(place),
        "identifiers": ["local.example.com"],
        "key_source": "local",
        "destination": destination,
    }


@_use("certificate", "cached")
def certificate_cached(place: Place) -> Options:
    _role_of_host(place)
    options = {**_listening(place), "identifiers": ["shared.example.com"]}
    place.engine.run("certificate", {**options, "destination": _destination(place, "first")})
    return {**options, "destination": _destination(place, "cached")}


@_use("certificate", "checked")
def certificate_checked(place: Place) -> Options:
    _role_of_host(place)
    options = {**_listening(place), "identifiers": ["checked.example.com"], "destination": _destination(place, "good")}
    place.engine.run("certificate", options)
    return {**options, "check_revocation": True}
