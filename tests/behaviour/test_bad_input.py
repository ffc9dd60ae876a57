# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Arbitrary text in every option of every module: a clear message, no traceback, and no request where none belongs."""

from __future__ import annotations

import re
import socket
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .harness import Engine, Result, fresh_name
from .scenarios import Job, job, modules, run, specification
from .stage import Stage, skipping

NASTY = (
    "",
    " ",
    ".",
    "..",
    "/",
    "../../sys/policies/acl/root",
    "..%2f..%2fsys%2fpolicies",
    "%2e%2e/%2e%2e",
    "a/../../b",
    "role/web?list=true",
    "x#fragment",
    "a\nX-Injected: yes",
    "a\r\n\r\nGET /v1/sys/seal HTTP/1.1",
    "\x00",
    "tab\there",
    "ünïcödé",
    "\u202egnirts",
    "🦊",
    "-1",
    "0",
    "1e999",
    "nan",
    "999999999999999999999",
    "true",
    "null",
    "[]",
    "{}",
    "{{ lookup('pipe', 'id') }}",
    "$(id)",
    "'; DROP TABLE orders; --",
    "a" * 5000,
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    "-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----",
)
# Of the connection and the login: the same code for all modules, so that one module tries them out.
REPRESENTATIVE = "role_info"
SHARED = frozenset(specification(REPRESENTATIVE)) - {"name", "mount"}
# Where the request goes, a test must not leave to chance.
ADDRESSES = ("url", "proxies")
WRITTEN_TO = ("destination", "private_key_path", "csr_path", "http_01", "tls_alpn_01")

arbitrary = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=string.ascii_letters + string.digits + "./%?#*+:@-_ ", max_size=40),
    st.sampled_from(NASTY),
)


def _own_options(module: str) -> list[str]:
    shared = set() if module == REPRESENTATIVE else SHARED
    return sorted(set(specification(module)) - shared - set(ADDRESSES))


def _as(option: Mapping[str, Any], text: str) -> Any:
    if option.get("type") == "list":
        return [text]
    return text


def _filled(module: str, name: str, text: str, directory: Path) -> Any:
    """An option's value with this text in it; a file that may be written to is one of the test's own."""
    option = specification(module)[name]
    if name not in WRITTEN_TO:
        return _as(option, text)
    inside = f"{directory}/{text.replace('/', '_')}" if text.isprintable() else text
    if not option.get("options"):
        return inside
    return {inner: inside if one.get("type") == "path" else text for inner, one in option["options"].items()}


def _allowed(module: str, mounts: Iterator[str]) -> re.Pattern[str]:
    """The paths below /v1/ that a module may ask: its mount's, and those that its task is about."""
    below = "|".join(re.escape(mount) for mount in mounts)
    paths = [rf"({below})/(config|role|dns|lookup)(/.*)?", "sys/capabilities-self"]
    if module == "mount":
        paths.append("sys/mounts(/.*)?")
    if module == REPRESENTATIVE:
        paths += ["auth/.+/login(/[^/]*)?", "auth/token/(lookup|revoke)-self", "sys/wrapping/unwrap"]
    return re.compile("|".join(paths))


def _check(module: str, stage: Stage, options: Mapping[str, Any], directory: Path) -> Result:
    before = sorted(directory.parent.iterdir())
    stage.bench.forget_requests()
    with skipping(stage):
        result = run(module, stage, dict(options))
    assert "Traceback" not in str(result), result
    assert "exception" not in result, result
    if result.get("failed"):
        message = str(result["msg"])
        assert len(message) > 10, f"a message that says nothing: {message!r}"
        # A value may be repeated, by Ansible and by Vault, but is not what there is to read.
        longest = max(len(str(value)) for value in options.values())
        assert len(message) < 2000 + 3 * longest, f"a message of {len(message)} characters"
        assert "object at 0x" not in message, message
    # Options that name a mount are the only ones that may say where below /v1/ a request goes.
    mount = str(options.get("mount") or stage.engine.mount).strip("/")
    named = re.match(r"\s*/*(.+)/role/[^/]+/order/", str(options.get("id") or ""))
    mounts = [mount, unquote(mount), *([named[1].strip("/")] if named else [])]
    allowed = _allowed(module, iter(mounts))
    for request in stage.bench.requests_made():
        assert allowed.fullmatch(unquote(request.path)), f"{request.method} {request.path} with {dict(options)}"
        assert ".." not in unquote(request.path).split("/"), request
    assert sorted(directory.parent.iterdir()) == before, "files were written elsewhere"
    return result


class _Jobs:
    """A module's job, made anew only if the one before may have been used up."""

    def __init__(self, module: str, stage: Stage) -> None:
        self._module, self._stage = module, stage
        self._job: Job | None = None

    def options(self) -> dict[str, Any]:
        if self._job is None:
            self._job = job(self._module, self._stage)
        return dict(self._job.options)

    def used(self, result: Result) -> None:
        if result.get("changed"):
            self._job = None


@pytest.mark.parametrize("module", modules())
def test_every_option_survives_what_is_known_to_hurt(module: str, stage: Stage, tmp_path: Path) -> None:
    jobs = _Jobs(module, stage)
    inside = tmp_path / "inside"
    inside.mkdir()
    # Every option with every text would be thousands of runs; every option meets a sixth of them.
    for number, name in enumerate(_own_options(module)):
        for text in NASTY[number % 6 :: 6]:
            options = {**jobs.options(), name: _filled(module, name, text, inside)}
            jobs.used(_check(module, stage, options, inside))


@pytest.mark.parametrize("module", modules())
def test_every_option_survives_arbitrary_text(module: str, stage: Stage, tmp_path: Path) -> None:
    jobs = _Jobs(module, stage)
    inside = tmp_path / "inside"
    inside.mkdir()

    @settings(
        max_examples=50 if module == REPRESENTATIVE else 20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(_own_options(module)), arbitrary)
    def survives(name: str, text: str) -> None:
        options = {**jobs.options(), name: _filled(module, name, text, inside)}
        jobs.used(_check(module, stage, options, inside))

    survives()


def test_addresses_survive_arbitrary_text(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    resolve = socket.getaddrinfo

    def here_only(host: Any, *rest: Any, **more: Any) -> Any:
        # What looks like a name is not asked of any resolver.
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here_only)

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(ADDRESSES), arbitrary | arbitrary.map(lambda text: f"http://{text}"))
    def survives(name: str, text: str) -> None:
        result = _check(REPRESENTATIVE, stage, {"name": "web", "timeout": 1, name: text}, inside)
        assert result.get("failed") or (name == "proxies" and not text.strip()), f"{name}={text!r} leads somewhere"

    survives()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "vault",
        "vault.example.com:8200",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://user:hunter2@127.0.0.1:1",
        "http://127.0.0.1:1 /x",
        "file:///etc/passwd",
        "http://\x00",
        "http://" + "a" * 300 + ".invalid",
        "http://ünïcödé.invalid:8200",
    ],
)
def test_an_address_that_is_none(url: str, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    result = stage.run("role_info", {"url": url, "name": "web", "timeout": 2})
    assert result["failed"]
    assert "url" in result["msg"] or "address" in result["msg"], result["msg"]
    assert "hunter2" not in result["msg"]


@pytest.mark.parametrize("proxies", ["", "nonsense", "{broken", "[]", {"http": "x y"}, {"http": ["a"]}])
def test_a_proxy_that_is_none(proxies: Any, stage: Stage) -> None:
    result = stage.run("role_info", {"proxies": proxies, "name": "web", "timeout": 2})
    assert "Traceback" not in str(result)
    if result.get("failed"):
        assert "prox" in result["msg"], result["msg"]


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "ordered"),
    [
        ("WWW.Example.COM", "www.example.com"),
        ("www.example.com.", "www.example.com"),
        (" www.example.com ", "www.example.com"),
        ("*.example.com", "*.example.com"),
        ("bücher.example.com", "xn--bcher-kva.example.com"),
        ("XN--BCHER-KVA.example.com", "xn--bcher-kva.example.com"),
        ("straße.example.com", "xn--strae-oqa.example.com"),
        (".".join(["a" * 60] * 3 + ["b" * 58, "example.com"]), None),
    ],
)
def test_a_name_is_ordered_in_its_one_spelling(name: str, ordered: str | None, engine: Engine) -> None:
    result = engine.run("order", {"role_name": "web", "identifiers": [name]}, check=True)
    assert result["identifiers"] == [ordered or name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("192.0.2.1", "is an IP address"),
        ("2001:db8::1", "is an IP address"),
        ("[2001:db8::1]", "is an IP address"),
        ("www.*.example.com", "wildcard in the wrong place"),
        ("w*.example.com", "wildcard in the wrong place"),
        ("*.*.example.com", "wildcard in the wrong place"),
        ("www.example.com*", "wildcard in the wrong place"),
        ("*", "(wildcard in the wrong place|not a DNS name)"),
        ("www..example.com", "not a DNS name"),
        (".example.com", "not a DNS name"),
        ("-www.example.com", "not a DNS name"),
        ("www.example.com-", "not a DNS name"),
        ("www example.com", "not a DNS name"),
        ("www.example.com/path", "not a DNS name"),
        ("http://www.example.com", "not a DNS name"),
        ("a" * 64 + ".example.com", "not a DNS name"),
        (".".join(["a" * 49] * 5) + ".ab.com", "at most 253"),
        ("xn--\u2603.example.com", "not an internationalised DNS name"),
        ("", "(empty|not a DNS name)"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_any_request(name: str, said: str, engine: Engine) -> None:
    engine.bench.forget_requests()
    result = engine.run("order", {"role_name": "web", "identifiers": [name]}, fails=True)
    assert re.search(said, result["msg"]), result["msg"]
    assert engine.bench.requests_made() == []


def test_a_hundred_identifiers_in_one_order(engine: Engine) -> None:
    names = [fresh_name() for _number in range(100)]
    options = {"role_name": "web", "identifiers": [*names, names[0].upper()]}
    made = engine.run("order", options)
    assert made["identifiers"] == names
    again = engine.run("order", {**options, "identifiers": names[::-1]})
    assert (again["changed"], again["order_id"]) == (False, made["order_id"])
    order = {"role_name": "web", "order_id": made["order_id"]}
    challenges = engine.run("order_challenge_info", {**order, "challenge_type": "http-01"})["challenges"]
    assert [one["identifier"] for one in challenges] == names
