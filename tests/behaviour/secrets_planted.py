# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Secrets that are recognised wherever they turn up, and those who look out for them."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import sys
import syslog
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .harness import fresh_name
from .scenarios import job, specification
from .stage import Stage

ECHO = "echo-of-everything"


def new_key_pem() -> str:
    """A private key (PEM, PKCS #8)."""
    key = ec.generate_private_key(ec.SECP256R1())
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()


def marks(secret: str) -> list[str]:
    """The texts by which a secret betrays itself: as it is, encoded, and each line of a PEM body."""
    if "-----BEGIN" in secret:
        return [line for line in secret.splitlines() if len(line) > 40 and not line.startswith("-----")]
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return list(dict.fromkeys([secret, encoded, quote(secret, safe=""), json.dumps(secret)[1:-1]]))


def found_in(text: str, planted: Mapping[str, str]) -> list[str]:
    """The names of the planted secrets that a text betrays."""
    return sorted(name for name, secret in planted.items() if any(mark in text for mark in marks(secret)))


# The options that hold secrets, whatever the modules say of them: those of dictionaries as ``outer.inner``.
SECRET_LOGIN_OPTIONS = frozenset(
    {
        *("token", "password", "secret_id", "wrapped_secret_id", "jwt"),
        *("aws_secret_key", "aws_security_token", "azure_client_secret"),
    }
)
SECRET_OPTIONS = SECRET_LOGIN_OPTIONS | {
    *("eab_key", "account_key", "private_key", "destination.pkcs12_passphrase"),
    *("secret_access_key", "client_secret", "credentials", "tsig_secret"),
}
# Options whose names sound as if they held one.
SOUNDS_SECRET = re.compile("pass|secret|token|key|cred|jwt|tsig|priv|auth")
NO_SECRETS = frozenset(
    {
        # names of things
        *("auth_method", "access_key_id", "aws_access_key", "tsig_key_name", "tsig_algorithm"),
        # paths
        *("cert_auth_public_key", "cert_auth_private_key", "kubernetes_token_path", "token_file", "token_path"),
        *("destination.private_key", "private_key_path"),
        # what to do
        *("csr_generate_key_type", "include_private_key", "key_source", "key_type", "private_key_mode"),
        *("return_private_key", "revoke_token", "token_validate", "update_secrets"),
    }
)


def every_option(spec: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All options of a spec with what it says of them, those of dictionaries as ``outer.inner``."""
    for name, one in spec.items():
        yield prefix + name, one
        yield from every_option(one.get("options") or {}, f"{prefix}{name}.")


def secret_options(spec: Mapping[str, Any]) -> list[str]:
    """The options of a spec that hold secrets, whether it says so or not."""
    return sorted(name for name, _said in every_option(spec) if name in SECRET_OPTIONS)


@dataclass
class Planted:
    """Options for a module with a secret in every place that can hold one, and those secrets by option.

    ``works`` is whether the server can be expected to take them.
    """

    options: dict[str, Any]
    secrets: dict[str, str]
    works: bool = True


def plant(module: str, stage: Stage) -> list[Planted]:
    """A module's job, as often as it takes to use all of its secret options."""
    places = secret_options(specification(module))
    if module == "acme_account":
        # An EAB key that this ACME server never gave, a key that it has no account for.
        account = job(module, stage).options
        bound = {**account, "eab_kid": "kid-1", "eab_key": secrets.token_urlsafe(32)}
        imported = {name: value for name, value in account.items() if name != "email_contacts"}
        return [
            _plant(bound, [place for place in places if place != "account_key"], stage, works=False),
            _plant(imported, [place for place in places if place != "eab_key"], stage, works=False),
            _plant(account, [place for place in places if place not in ("account_key", "eab_key")], stage),
        ]
    if module == "dns_provider":
        common = {"name": job(module, stage).options["name"], "identifiers": ["*.example.org"]}
        own = {place for options in PROVIDERS.values() for place in options}
        return [
            _plant(
                {**common, "type": kind, **rest},
                [place for place in places if place not in own or place in rest],
                stage,
            )
            for kind, rest in PROVIDERS.items()
        ] + [_plant(job(module, stage).options, [place for place in places if place not in own], stage)]
    if module in PROVING:
        return [_proving(module, places, stage)]
    plants = [_plant(job(module, stage).options, places, stage)]
    if module == "certificate":
        plants += [_proving(module, places, stage), _own_key(module, places, stage)]
    if "destination" in specification(module) and "destination" not in job(module, stage).options:
        # A key that goes to a file is not returned.
        returning = [place for place in places if not place.startswith("destination.")]
        plants.append(_plant(job(module, stage).options, returning, stage))
    return plants


# What a challenge is answered with, which is no option, but comes from Vault.
KEY_AUTHORIZATION = "key authorization"
KEY_ON_THE_HOST = "key on the host"
NOT_TOLD_TO_VAULT = (KEY_AUTHORIZATION, KEY_ON_THE_HOST)
PROVING = ("order_challenge_info", "order_challenge_fulfilled")


def _proving(module: str, places: list[str], stage: Stage) -> Planted:
    """A job about an order whose challenge is published already, as Pebble does not come to where a module publishes it."""
    name = fresh_name()
    reference = {"role_name": stage.engine.role, "order_id": stage.engine.order(name)}
    stage.engine.wait(reference["order_id"], "awaiting-challenge-fulfillment")
    stage.engine.publish(reference["order_id"], name)
    path = f"role/{reference['role_name']}/order/{reference['order_id']}/challenge?identifier={name}"
    asked = stage.engine.api("GET", f"{path}&challenge_type=http-01")
    given = job(module, stage).options
    if module == "certificate":
        webroot = stage.directory / secrets.token_hex(8)
        webroot.mkdir()
        given |= {"identifiers": [name], "http_01": {"webroot": str(webroot), "check_address": ""}}
    else:
        given |= reference
    one = _plant(given, places, stage)
    return Planted(one.options, {**one.secrets, KEY_AUTHORIZATION: asked["challenge_auth"]})


def _own_key(module: str, places: list[str], stage: Stage) -> Planted:
    """A job with a key that is on the host already, and stays there."""
    key = new_key_pem()
    path = stage.directory / f"{secrets.token_hex(8)}.key"
    path.touch(0o600)
    path.write_text(key)
    given = {**job(module, stage).options, "key_source": "local", "private_key_path": str(path)}
    one = _plant(given, places, stage)
    return Planted(one.options, {**one.secrets, KEY_ON_THE_HOST: key})


PROVIDERS: Mapping[str, Mapping[str, str | None]] = {
    "aws-route53": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": None},
    "azure-dns": {
        "subscription_id": "sub",
        "resource_group_name": "group",
        "tenant_id": "tenant",
        "client_id": "client",
        "client_secret": None,
    },
    "google-cloud-dns": {"project": "project", "credentials": None},
    "rfc2136": {"nameserver": "127.0.0.1:5353", "tsig_key_name": "key", "tsig_secret": None},
}


def _plant(given: Mapping[str, Any], places: list[str], stage: Stage, *, works: bool = True) -> Planted:
    options = {name: value for name, value in given.items() if value is not None}
    if "wait_timeout" in options:
        # The server's real work goes on in real time, which is what skipped time is short of.
        options["wait_timeout"] = 1800
    planted = {}
    for place in places:
        outer, _dot, inner = place.rpartition(".")
        where = options if not outer else dict(options.get(outer) or {})
        # What a job needs to succeed is a secret already; the rest gets one that is not used.
        planted[place] = where[inner] = str(where.get(inner) or _secret(place, stage))
        if outer:
            options[outer] = where
            if inner == "pkcs12_passphrase":
                folder = stage.directory / secrets.token_hex(8)
                folder.mkdir()
                where.setdefault("pkcs12", str(folder / "store.p12"))
    return Planted(options, planted, works)


def _secret(place: str, stage: Stage) -> str:
    if place == "token":
        return stage.token(ttl="1h")
    if place == "tsig_secret":
        return base64.b64encode(secrets.token_bytes(32)).decode()
    if place == "credentials":
        return json.dumps({"type": "service_account", "private_key": secrets.token_hex(16)})
    if place == "account_key" or place.endswith("private_key"):
        return new_key_pem()
    return f"planted-{place.replace('_', '-')}-{secrets.token_hex(12)}"


@dataclass
class Seen:
    """What was seen of processes and logs."""

    logged: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.logged + self.processes)


_watching: list[Seen] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        _watching[-1].processes.append(repr((event, arguments)))


sys.addaudithook(_audit)


@contextlib.contextmanager
def watching() -> Iterator[Seen]:
    """Who starts processes, with what arguments and environment, and what is written to syslog, inside of the block."""
    seen = Seen()

    def record(*arguments: Any) -> None:
        seen.logged.append(str(arguments[-1]))

    patch = mock.patch.object(syslog, "syslog", record)
    patch.start()
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.pop()
        patch.stop()


# For processes that tests start: the same, as a module that Python imports at its start (on PYTHONPATH).
WITNESS = """\
import json, os, sys, syslog

_path = os.environ["WITNESS_LOG"]
_said = syslog.syslog


def _note(kind, what):
    line = json.dumps([kind, sys.argv[:1], what], default=repr) + "\\n"
    descriptor = os.open(_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def _audit(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        _note(event, [repr(one) for one in arguments])


syslog.syslog = lambda *arguments: _note("syslog", str(arguments[-1]))
sys.addaudithook(_audit)
_note("start", [sys.orig_argv, dict(os.environ)])
"""


def witness(directory: Path) -> dict[str, str]:
    """Environment variables that make every Python below tell of its processes and logs, in ``witness.log``."""
    (directory / "sitecustomize.py").write_text(WITNESS)
    return {"PYTHONPATH": str(directory), "WITNESS_LOG": str(directory / "witness.log")}
