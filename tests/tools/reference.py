# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.reference``: write what the documentation says of endpoints and rights.

Both come from tests/behaviour/rights.py, which the behaviour tests hold against what the modules really ask for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.behaviour.endpoints import CAPABILITIES, documented, engine_endpoints
from tests.behaviour.rights import FAILS, RIGHTS, WARNS, Right, policy, rule

REPOSITORY = Path(__file__).resolve().parents[2]
MOUNT = "pki-external-ca"
# What any module asks of Vault's core, by way of its options of authentication and on a refusal.
CONNECTION = {
    "/auth/{path}/login": "a login; a token of its own is not needed",
    "/auth/token/lookup-self": "`token_validate`",
}
PEOPLE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "administrator": (
        "Who sets the engine up: mounts, ACME accounts, roles, DNS providers.",
        (
            "mount",
            "acme_account",
            "acme_account_info",
            "acme_account_rotate_key",
            "role",
            "role_info",
            "dns_provider",
            "dns_provider_info",
            "dns_provider_test",
        ),
    ),
    "operator": (
        "Who orders certificates, proves names, looks orders up and revokes.",
        (
            "role_info",
            "order",
            "order_info",
            "order_challenge_info",
            "order_challenge_fulfilled",
            "order_certificate",
            "order_certificates",
            "certificate",
            "certificate_info",
            "certificate_revoke",
        ),
    ),
    "host": (
        "A host that only fetches what was ordered for it. Put the name of its role in the place of the first '+'.",
        ("order_certificate", "order_certificates", "certificate_info"),
    ),
}


def fragments() -> str:
    """plugins/doc_fragments/rights.py: the least policy as notes of each module."""
    # REUSE-IgnoreStart
    lines = [
        "# SPDX-License-Identifier: GPL-3.0-or-later",
        "# Copyright: certops.vault_extca contributors",
        "# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)",
        '"""The least Vault policy of each module. Written by tests/tools/reference.py."""',
        "",
        "from __future__ import annotations",
        "",
        "",
        "class ModuleDocFragment:",
    ]
    # REUSE-IgnoreEnd
    for module, rights in RIGHTS.items():
        notes = [wrapped for right in rights for wrapped in _note(right)]
        lines += [f'    {module.upper()} = r"""', "options: {}", "notes:", *notes, '"""', ""]
    return "\n".join(lines[:-1]) + "\n"


def _note(right: Right) -> list[str]:
    which = " and ".join(f"C({one})" for one in right.capabilities)
    sentence = f"Vault policy: {which} on C({_shown(right.path)})"
    sentence += f", {right.purpose}." if right.purpose else "."
    if right.without == WARNS:
        sentence += " Without it, the task goes on with a warning."
    elif right.without != FAILS:
        sentence += " Without it, the task goes on."
    # In quotation marks, since a colon stands in it.
    return textwrap.wrap(f"'{sentence}'", 130, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)


def _shown(path: str) -> str:
    """A path of the contract for a reader."""
    for parameter, shown in (
        ("/role/{name}/", "/role/<role_name>/"),
        ("{mount}", "<mount>"),
        ("{path}", "<mount>"),
        ("{name}", "<name>"),
        ("{type}", "<type>"),
        ("{order_id}", "+"),
        ("{serial}", "+"),
    ):
        path = path.replace(parameter, shown)
    return path.removeprefix("/")


def endpoints() -> str:
    """docs/endpoints.md: endpoint by module by capability."""
    users: dict[tuple[str, str], dict[str, str]] = {}
    for module, rights in RIGHTS.items():
        for right in rights:
            for capability in right.capabilities:
                key = ("update" if capability == "create" else capability, right.path)
                users.setdefault(key, {})[module] = ""
    rows = [
        (method, path, _capabilities(method, path), _modules(users.get((CAPABILITIES[method], path), {})))
        for method, path in [*engine_endpoints(), *_core_endpoints(users)]
    ]
    rows += [(method, path, "", f"all: {why}") for path, why in CONNECTION.items() for method in documented()[path]]
    rows += [
        ("POST", "/sys/wrapping/unwrap", "", "all: `wrapped_secret_id`"),
        ("POST", "/auth/token/revoke-self", "`update`", "all: `revoke_token`, after a login"),
        (
            "POST",
            "/sys/capabilities-self",
            "`update`",
            "all: to tell what a token lacks; Vault's policy `default` has it",
        ),
    ]
    return _page(
        "Endpoints",
        "Which module uses which endpoint of Vault, and the capability that its policy must give on the path. "
        "`{name}` and the like stand for one segment.",
        ["| method | path | capability | modules |", "| --- | --- | --- | --- |"],
        (f"| {method} | `{path}` | {capability} | {modules} |" for method, path, capability, modules in rows),
    )


def _core_endpoints(users: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    methods = {capability: method for method, capability in CAPABILITIES.items() if method != "PUT"}
    return sorted((methods[capability], path) for capability, path in users if path.startswith("/sys/"))


def _capabilities(method: str, path: str) -> str:
    capability = CAPABILITIES[method]
    given = {one for rights in RIGHTS.values() for right in rights if right.path == path for one in right.capabilities}
    if capability != "update":
        return f"`{capability}`"
    return " and ".join(f"`{one}`" for one in ("create", "update") if one in given)


def _modules(names: Iterable[str]) -> str:
    return ", ".join(f"`vault_extca_{name}`" for name in names)


def rights() -> str:
    """docs/rights.md: a policy a module."""
    parts = []
    for module in RIGHTS:
        parts += [f"## vault_extca_{module}", "", "```hcl", *policy(module, MOUNT).split("\n"), "```", ""]
    people = [f"- [`policies/{name}.hcl`](policies/{name}.hcl): {what}" for name, (what, _modules) in PEOPLE.items()]
    return _page(
        "Rights",
        "The least Vault policy that each module needs for everything it can do, for an engine mounted at "
        f"`{MOUNT}`. `+` stands for any name, order id or serial number; put the name of a role in its place to permit only "
        "that. The notes of a module say what each path is for, and what goes on without it. Where a capability is "
        "missing, the task's message names it with its path, if the token may ask (`sys/capabilities-self`, which "
        "Vault's policy `default` permits). A login needs no policy.",
        ["Ready policies for three people:", "", *people, ""],
        parts[:-1],
    )


def person_policy(name: str) -> str:
    """docs/policies/<name>.hcl."""
    what, names = PEOPLE[name]
    by_path: dict[str, list[str]] = {}
    for module in names:
        for right in RIGHTS[module]:
            by_path.setdefault(right.path.replace("{type}", "+"), []).extend(right.capabilities)
    comment = textwrap.wrap(
        f"{what} The engine is mounted at {MOUNT}. Covers the modules {', '.join(f'vault_extca_{one}' for one in names)}.",
        116,
        initial_indent="# ",
        subsequent_indent="# ",
    )
    return (
        "\n\n".join(["\n".join(comment), *(rule(path, held, MOUNT) for path, held in sorted(by_path.items()))]) + "\n"
    )


def _page(title: str, introduction: str, head: list[str], rows: Iterable[str]) -> str:
    notice = "<!-- Written by `python -m tests.tools.reference`, and held against reality by tests/behaviour. -->"
    body = textwrap.fill(introduction, 120, break_on_hyphens=False, break_long_words=False)
    return "\n".join([f"# {title}", "", notice, "", body, "", *head, *rows, ""])


def pages() -> dict[Path, str]:
    """Every file that is written here."""
    docs = REPOSITORY / "docs"
    return {
        REPOSITORY / "plugins" / "doc_fragments" / "rights.py": fragments(),
        docs / "endpoints.md": endpoints(),
        docs / "rights.md": rights(),
        **{docs / "policies" / f"{name}.hcl": person_policy(name) for name in PEOPLE},
    }


def main() -> None:
    """Write them all."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
