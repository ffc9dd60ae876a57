# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What examples find when they run: mounts, accounts, roles and orders, and files below a directory of their own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acme import client, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from tests.behaviour.harness import Bench, Engine
from tests.ecosystem.orders import fleet
from tests.testbed import Pebble, Testbed
from tests.tools.tree import REPOSITORY

from .examples import Example

_mounts = itertools.count(1)
_POLICY = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'


@dataclass
class Prepared:
    """An example that can be run: its text with what is here in the places of what its reader has."""

    example: Example
    text: str
    variables: dict[str, Any]
    hosts: list[str]


@dataclass
class Site:
    """The services, and a directory that stands for a host's file system."""

    testbed: Testbed
    directory: Path
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        testbed = self.testbed
        self.bench = Bench(testbed.ca, testbed.pebble, testbed.challtestsrv, testbed.vault)

    def mount(self, pebble: Pebble | None = None, *, furnished: bool = True, **role: Any) -> Engine:
        """The engine on a fresh mount, with an account at that Pebble and the role ``web``."""
        bench = self.bench
        engine = Engine(bench, f"docs-{next(_mounts)}")
        bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
        if furnished:
            url = (pebble or self.testbed.pebble).directory_url
            engine.api("POST", "config/acme-account/main", bench.account_fields(directory_url=url))
            engine.write_role("web", **role)
        return engine

    def with_dns(self, engine: Engine) -> Engine:
        """The engine with the provider ``internal``, that updates BIND."""
        assert self.testbed.bind is not None
        key = self.testbed.bind.keys["hmac-sha256"]
        engine.api(
            "POST",
            "config/dns/rfc2136/internal",
            {
                "identifiers": ["example.net", "*.example.net", "*.dyn.example.com"],
                "nameserver": self.testbed.bind.server,
                "tsig_key_name": key.name,
                "tsig_algorithm": "hmac-sha256",
                "tsig_secret": key.secret,
            },
        )
        return engine

    def files(self, name: str) -> Path:
        """A directory with the files and directories that examples expect."""
        directory = self.directory / name
        for one in ("etc/ssl/certs", "etc/ssl/private", "etc/haproxy", "opt/app", "root"):
            (directory / one).mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / "root/account.key").write_bytes(pem)
        (directory / "root/service-account.json").write_text('{"type": "service_account", "project_id": "dns-project"}')
        (directory / "etc/ssl/internal-ca.pem").write_text(self.testbed.ca.pem)
        self._register(key)
        csr = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.com")])
        )
        names = x509.SubjectAlternativeName([x509.DNSName("www.example.com")])
        signed = csr.add_extension(names, critical=False).sign(key, hashes.SHA256())
        (directory / "etc/ssl/www.csr").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return directory

    def _register(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Give the key an account at the CA, as another ACME client would have."""
        network = client.ClientNetwork(
            JWKEC(key=key),
            alg=ES256,
            verify_ssl=str(self.testbed.ca.certificate),  # type: ignore[arg-type]
        )
        directory = client.ClientV2.get_directory(self.testbed.pebble.directory_url, network)
        account = messages.NewRegistration.from_data(email="pki@example.com", terms_of_service_agreed=True)
        client.ClientV2(directory, net=network).new_account(account)


State = Callable[[Site, Example], tuple[Engine, dict[str, Any], dict[str, str]]]


def _order(engine: Engine, order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "id": f"{engine.mount}/role/web/order/{order_id}/certificate"}


def _engine(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    return site.mount(furnished=False), {}, {}


def _furnished(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    return site.mount(), {}, {}


def _ordered(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    engine = site.mount()
    order_id = engine.order("www.example.com", "*.example.com")
    engine.wait(order_id, "awaiting-challenge-fulfillment")
    return engine, {"order": _order(engine, order_id)}, {}


def _renewal(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    engine = site.mount()
    order_id = engine.order("www.example.com")
    engine.wait(order_id, "awaiting-challenge-fulfillment")
    row = {"mount": engine.mount, "role_name": "web", "identifiers": ["www.example.com"]}
    return engine, {"renewal": row, "renewal_order": _order(engine, order_id)}, {}


def _published(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    engine, variables, changes = _ordered(site, _example)
    engine.publish(variables["order"]["order_id"], "www.example.com")
    engine.publish(variables["order"]["order_id"], "*.example.com", "dns-01")
    return engine, variables, changes


def _completed(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    engine = site.mount()
    engine.issue("www.example.com", "example.com")
    order_id = engine.issue("www.example.com")
    return engine, {"order": _order(engine, order_id)}, {}


def _reported(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    orders = fleet(20)
    template = REPOSITORY / "playbooks" / "templates" / "report.html.j2"
    report = (
        "{{ [{'name': 'main', 'mount': 'pki', 'orders': all_certificates.orders}] | certops.vault_extca.order_report }}"
    )
    return (
        site.mount(),
        {"all_certificates": {"orders": orders}, "report": report},
        {"report.html.j2": str(template), "/var/lib/reports": str(site.directory)},
    )


def _revocable(site: Site, example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    engine, variables, _changes = _completed(site, example)
    other = engine.fetch(engine.issue("api.example.com"))["serial_number"]
    return engine, variables, {"5f:1c:90:2a:4d:bb:70:11": other}


def _dns(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    assert site.testbed.bind is not None
    key = site.testbed.bind.keys["hmac-sha256"]
    variables = {"tsig_secret": key.secret, "route53_secret": "not-a-secret-of-anybody"}
    changes = {"ns1.example.com:53": site.testbed.bind.server, "tsig_key_name: vault": f"tsig_key_name: {key.name}"}
    return site.mount(site.testbed.bind_pebble), variables, changes


def _provided(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    engine = site.with_dns(site.mount(site.testbed.bind_pebble))
    # BIND takes updates for these zones.
    return engine, {}, {"www.example.com": "www.example.net", "api.example.com": "api.example.net"}


def _eab(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    assert site.testbed.eab_pebble is not None
    kid, key = next(iter(site.testbed.eab_keys.items()))
    variables = {"internal_eab_kid": kid, "internal_eab_key": key}
    return (
        site.mount(furnished=False),
        variables,
        {"https://acme.example.com/directory": site.testbed.eab_pebble.directory_url},
    )


def _three_ways(site: Site, example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    """http-01 at a web server, tls-alpn-01 on a port of its own, and dns-01 by Vault: each at a CA that asks there."""
    bare = site.testbed.bare_pebble
    assert bare is not None
    web, alpn = site.mount(), site.mount(bare)
    dns = site.with_dns(site.mount(site.testbed.bind_pebble))
    mail = "identifiers: [mail.example.com]"
    wildcard = 'identifiers: ["*.example.com"]'
    changes = {
        mail: f"{mail}\n    mount: {alpn.mount}",
        wildcard: f'identifiers: ["*.example.net"]\n    mount: {dns.mount}',
        "0.0.0.0:443": f"0.0.0.0:{bare.tls_port}",
    }
    return web, {"keystore_passphrase": "correct horse"}, changes


def _approle(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    bench = site.bench
    bench.api("POST", "sys/auth/approle", {"type": "approle"})
    bench.api("POST", "sys/policies/acl/docs", {"policy": _POLICY})
    bench.api("POST", "auth/approle/role/docs", {"token_policies": ["docs"]})
    role_id = bench.api("GET", "auth/approle/role/docs/role-id")["data"]["role_id"]
    secret_id = bench.api("POST", "auth/approle/role/docs/secret-id", {})["data"]["secret_id"]
    return site.mount(), {"approle_role_id": role_id, "approle_secret_id": secret_id}, {}


def _txt(site: Site, _example: Example) -> tuple[Engine, dict[str, Any], dict[str, str]]:
    """A DNS that tasks of the playbook's set records in."""
    record = 'host: "{{ certificate_record_name }}."'
    for name, endpoint, body in (
        ("create_txt", "set-txt", f'{record}, value: "{{{{ item }}}}"'),
        ("delete_txt", "clear-txt", record),
    ):
        (site.directory / f"{name}.yml").write_text(
            "- name: Tell the name server\n"
            "  ansible.builtin.uri:\n"
            f"    url: {site.testbed.challtestsrv.url}/{endpoint}\n"
            "    method: POST\n"
            "    body_format: json\n"
            f"    body: {{{body}}}\n"
            '  loop: "{{ certificate_record_values }}"\n'
        )
    return site.mount(), {}, {}


# What each module's examples find. Pages say it themselves, in a comment before the block.
OF_MODULES: Mapping[str, str] = {
    "acme_account": "eab",
    "certificate": "three_ways",
    "certificate_files": "completed",
    "certificate_info": "completed",
    "certificate_revoke": "revocable",
    "dns_provider": "dns",
    "dns_provider_info": "provided",
    "dns_provider_test": "provided",
    "mount": "engine",
    "order_certificate": "completed",
    "order_certificates": "provided",
    "order_challenge_fulfilled": "published",
    "order_challenge_info": "ordered",
    "order_info": "ordered",
    "role": "provided",
}
OF_PAGES: Mapping[str, str] = {
    "README_1": "engine",
    "roles_certificate_README_1": "fleet",
    "roles_certificate_README_2": "txt",
}
STATES: Mapping[str, State] = {
    "approle": _approle,
    "cached": _completed,
    "completed": _completed,
    "dns": _dns,
    "eab": _eab,
    "engine": _engine,
    "fleet": _furnished,
    "furnished": _furnished,
    "ordered": _ordered,
    "provided": _provided,
    "published": _published,
    "renewal": _renewal,
    "reported": _reported,
    "revocable": _revocable,
    "three_ways": _three_ways,
    "txt": _txt,
}


def prepare(site: Site, example: Example) -> Prepared:
    """Bring about what the example finds, and put what is here into its text."""
    state = example.state or OF_PAGES.get(example.name) or OF_MODULES.get(example.name, "furnished")
    if example.name == "certificate" and "lookup(" in example.text:
        state = "completed"
    engine, variables, changes = STATES[state](site, example)
    label = f"{example.name}{'_lookup' if 'lookup(' in example.text and example.name == 'certificate' else ''}"
    files = site.files(label)
    hosts = (
        [f"{label}-{number}.example.com".replace("_", "-") for number in (1, 2)]
        if state in ("fleet", "txt")
        else [label]
    )
    text = example.text
    if example.is_variables:
        return Prepared(example, _as_report(text, engine, site, files), variables, ["localhost"])
    for host in hosts if len(hosts) > 1 else []:
        site.files(f"{label}/{host}")
    root = f"{files}/{{{{ inventory_hostname }}}}" if len(hosts) > 1 else str(files)
    everywhere = {
        "https://acme-v02.api.letsencrypt.org/directory": site.testbed.pebble.directory_url,
        "https://vault.example.com:8200": site.bench.vault.url,
        "mount: pki-external-ca": f"mount: {engine.mount}",
        "pki-external-ca/role/": f"{engine.mount}/role/",
        "/var/www/html": str(site.testbed.webroot),
        "/etc/": f"{root}/etc/",
        "/opt/app/": f"{root}/opt/app/",
        "/root/": f"{root}/root/",
        # There is no such user, and no service to reload.
        "ansible.builtin.service:\n        name: nginx\n        state: reloaded": "ansible.builtin.debug:",
    }
    for old, new in {**everywhere, **changes}.items():
        text = text.replace(old, new)
    text = re.sub(r"^ +(owner: app|group: haproxy)\n", "", text, flags=re.M)
    # Pebble asks at another port than 80, and so does the module's own look.
    look = f"127.0.0.1:{site.testbed.pebble.http_port}"
    text = re.sub(r"^( +)(webroot: .*)\n", rf"\1\2\n\1check_address: {look}\n", text, flags=re.M)
    text = re.sub(r"^  become: true\n", "", text, flags=re.M)
    return Prepared(example, _as_play(text, label.replace("_", "-"), engine, site, example.is_play), variables, hosts)


def _as_report(text: str, engine: Engine, site: Site, files: Path) -> str:
    """The playbook that the variables are for, with them."""
    token = files / "etc/vault/staging/.vault-token"
    token.parent.mkdir(parents=True)
    token.write_text(site.bench.vault.token)
    here = {
        "mount: pki-external-ca": f"mount: {engine.mount}",
        "https://vault.staging.example.com:8200": site.bench.vault.url,
        "/etc/": f"{files}/etc/",
    }
    for old, new in here.items():
        text = text.replace(old, new)
    variables = "".join(f"    {line}" for line in text.splitlines(keepends=True))
    playbooks = REPOSITORY / "playbooks"
    return (
        f"- name: Report\n  import_playbook: {playbooks}/report.yml\n  vars:\n{variables}"
        f"    report_directory: {files}\n    report_template: {playbooks}/templates/report.html.j2\n"
    )


def _as_play(text: str, group: str, engine: Engine, site: Site, is_play: bool) -> str:
    name = group if group else "all"
    trusted = f"    certops.vault_extca.vault_extca_acme_account: {{trusted_ca: {site.testbed.ca.pem!r}}}\n".replace(
        "'", '"'
    )
    defaults = (
        f"    group/certops.vault_extca.vault_extca: {{url: {site.bench.vault.url}, "
        f"token: {site.bench.vault.token}, mount: {engine.mount}}}\n"
    )
    if is_play:
        text = re.sub(r"^  hosts: .*\n", f"  hosts: g_{name.replace('-', '_')}\n", text, flags=re.M)
        if "  module_defaults:\n" in text:
            # The example's own defaults are run, with the token and what they leave out beside them.
            text = text.replace(
                "    group/certops.vault_extca.vault_extca:\n",
                "    group/certops.vault_extca.vault_extca:\n"
                + ("" if "      token:" in text else f"      token: {site.bench.vault.token}\n")
                + ("" if "      mount:" in text else f"      mount: {engine.mount}\n"),
            )
            return text.replace("  module_defaults:\n", f"  module_defaults:\n{trusted}", 1)
        own = f"  module_defaults:\n{defaults}{trusted}"
        return re.sub(r"^  hosts: .*\n", lambda match: match[0] + own, text, flags=re.M)
    indented = "".join(f"    {line}" if line.strip() else line for line in text.strip("\n").splitlines(keepends=True))
    return (
        f"- name: {name}\n  hosts: g_{name.replace('-', '_')}\n  gather_facts: false\n  module_defaults:\n{defaults}{trusted}"
        f"  handlers:\n    - name: Reload nginx\n      ansible.builtin.debug:\n  tasks:\n{indented}\n"
    )
