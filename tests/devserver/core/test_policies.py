# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Policies: how they read, which of them decides, and what it permits."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devserver.framework import Operation
from devserver.policies import Acl, PolicyError, parse_policy

READ, LIST, UPDATE = Operation.READ, Operation.LIST, Operation.UPDATE


def acl(*texts: str) -> Acl:
    result = Acl()
    for number, text in enumerate(texts):
        result.add(parse_policy(f"p{number}", text))
    return result


def allows(path: str, *texts: str, operation: Operation = READ) -> bool:
    return acl(*texts).permits(path, operation, {})


def rule(path: str, *capabilities: str) -> str:
    return f'path "{path}" {{ capabilities = {json.dumps(list(capabilities))} }}\n'


def test_hcl_and_json_say_the_same() -> None:
    hcl = '# a comment\npath "a/*" {\n  capabilities = ["read", "list"] // more\n}\npath "b" { policy = "write" }\n'
    as_json = json.dumps({"path": {"a/*": {"capabilities": ["read", "list"]}, "b": {"policy": "write"}}})
    assert parse_policy("x", hcl).rules == parse_policy("x", as_json).rules
    assert [path for path, _rule in parse_policy("x", hcl).rules] == ["a/*", "b"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('path "a" { capabilities = ["reed"] }', "invalid capability 'reed'"),
        ('path "a" { capabilities = ["root"] }', "invalid capability 'root'"),
        ('path "a" { policy = "none" }', "invalid policy 'none'"),
        ('path "a/+*" { capabilities = ["read"] }', "'+*' is forbidden"),
        ('path "a" { capability = ["read"] }', "invalid key 'capability'"),
        ('paths "a" { capabilities = ["read"] }', "invalid key 'paths'"),
        ('path "a" { capabilities = ["read"]', "failed to parse policy"),
        ('{"path": ', "failed to parse policy"),
        ("[1]", "failed to parse policy"),
        ('path "a" {\n min_wrapping_ttl = "2h"\n max_wrapping_ttl = "1h"\n}', "cannot be less than"),
        ('path "a" { max_wrapping_ttl = "soon" }', "invalid duration"),
        ('path "a" { control_group = {} }', "invalid key 'control_group'"),
    ],
)
def test_a_policy_that_cannot_be_used_says_why(text: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(complaint)):
        parse_policy("x", text)


def test_exact_prefix_and_segment() -> None:
    assert allows("a/b", rule("a/b", "read"))
    assert not allows("a/b/c", rule("a/b", "read"))
    assert allows("a/b/c", rule("a/*", "read"))
    assert allows("a/bcd", rule("a/b*", "read"))
    assert allows("a/x/c", rule("a/+/c", "read"))
    assert not allows("a/x/y/c", rule("a/+/c", "read"))
    assert allows("a/x/c/d/e", rule("a/+/c*", "read"))
    assert allows("/leading", rule("/leading", "read")) is False
    assert allows("leading", rule("/leading", "read"))


def test_the_most_specific_match_alone_decides() -> None:
    policy = rule("a/*", "read") + rule("a/b", "update")
    assert not allows("a/b", policy)
    assert allows("a/b", policy, operation=UPDATE)
    # The first wildcard decides before anything else, then whether it is a prefix, then how many there are.
    assert not allows("a/b/c", rule("a/b*", "deny") + rule("a/+/c", "read"))
    assert allows("a/b/c", rule("a/+/c", "read") + rule("a/+/*", "deny"))
    assert allows("a/b/c/d", rule("a/+/c/+", "read") + rule("a/+/+/+", "deny"))


def test_deny_wins_within_one_path_and_policies_add_up() -> None:
    assert not allows("a", rule("a", "read"), rule("a", "deny"))
    assert not allows("a", rule("a", "deny"), rule("a", "read"))
    both = acl(rule("a", "read"), rule("a", "update"))
    assert both.capabilities("a") == ["read", "update"]
    assert acl(rule("a", "deny", "read")).capabilities("a") == ["deny"]
    assert acl(rule("a", "read")).capabilities("b") == ["deny"]
    assert Acl(root=True).capabilities("anything") == ["root"]


def test_a_list_matches_with_and_without_its_trailing_slash() -> None:
    assert allows("kv/data/", rule("kv/data", "list"), operation=LIST)
    assert allows("kv/data/", rule("kv/data/", "list"), operation=LIST)
    assert allows("kv/data/", rule("kv/+", "list"), operation=LIST)
    assert not allows("kv/data/", rule("kv/data", "read"), operation=LIST)
    assert not allows("kv/data/", rule("kv/data", "deny") + rule("kv/*", "list"), operation=LIST)


def test_sudo_is_a_capability_of_its_own() -> None:
    assert acl(rule("a", "update", "sudo")).permits("a", UPDATE, {}, sudo=True)
    assert not acl(rule("a", "update")).permits("a", UPDATE, {}, sudo=True)
    assert not acl(rule("a", "sudo")).permits("a", UPDATE, {}, sudo=True)


PARAMETERS = """
path "a" {
  capabilities = ["update"]
  required_parameters = ["name"]
  denied_parameters = { "force" = [true], "owner" = [] }
  allowed_parameters = { "name" = ["web-*"], "ttl" = [], "force" = [] }
}
"""


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        ({"name": "web-1"}, True),
        ({"name": "db-1"}, False),
        ({"NAME": "web-1", "ttl": "5"}, True),
        ({"ttl": "5"}, False),
        ({"name": "web-1", "force": False}, True),
        ({"name": "web-1", "force": True}, False),
        ({"name": "web-1", "owner": "me"}, False),
        ({"name": "web-1", "other": 1}, False),
    ],
)
def test_parameters(parameters: dict[str, object], allowed: bool) -> None:
    assert acl(PARAMETERS).permits("a", UPDATE, parameters) is allowed


def test_parameters_of_several_policies_add_up() -> None:
    first = 'path "a" {\n capabilities = ["update"]\n allowed_parameters = { "x" = ["1"] }\n}'
    second = 'path "a" {\n capabilities = ["update"]\n allowed_parameters = { "x" = ["2"], "y" = [] }\n}'
    both = acl(first, second)
    assert both.permits("a", UPDATE, {"x": "2", "y": "anything"})
    assert not both.permits("a", UPDATE, {"x": "3"})
    for limited in (acl(first, rule("a", "update")), acl(rule("a", "update"), first)):
        assert limited.permits("a", UPDATE, {"x": "1"})
        assert not limited.permits("a", UPDATE, {"z": "anything"}), "the other policy does not lift the limit"


@pytest.mark.parametrize(
    ("value", "allowed", "denied"),
    [
        (["a", "b"], True, True),
        ("a, b", True, True),
        (["a", "c"], False, True),
        ("a,c", False, True),
        (["b", "c"], False, False),
        ("c", False, False),
        ([], True, False),
        ("", True, False),
        (["ten", 10], False, False),
    ],
)
def test_lists_are_allowed_as_a_whole_and_denied_for_any_part(value: object, allowed: bool, denied: bool) -> None:
    may = 'path "a" {\n capabilities = ["update"]\n allowed_parameters = { "x" = ["a", "b"] }\n}'
    may_not = 'path "a" {\n capabilities = ["update"]\n denied_parameters = { "x" = ["a"] }\n}'
    assert acl(may).permits("a", UPDATE, {"x": value}) is allowed
    assert acl(may_not).permits("a", UPDATE, {"x": value}) is not denied


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("web-*", "web-1", "a-web-1"),
        ("*-web", "a-web", "a-web-1"),
        ("*web*", "a-web-1", "db"),
        ("web-*-1", "web-*-1", "web-2-1"),
        ("*", "*", "anything"),
    ],
)
def test_a_star_is_for_the_beginning_and_the_end_of_a_value(pattern: str, fits: str, does_not: str) -> None:
    policy = f'path "a" {{\n capabilities = ["update"]\n allowed_parameters = {{ "x" = ["{pattern}"] }}\n}}'
    assert acl(policy).permits("a", UPDATE, {"x": fits})
    assert not acl(policy).permits("a", UPDATE, {"x": does_not})


def test_wrapping_ttls() -> None:
    policy = 'path "a" {\n capabilities = ["read"]\n min_wrapping_ttl = "10s"\n max_wrapping_ttl = "1m"\n}'
    assert acl(policy).permits("a", READ, {}, wrap_ttl=30)
    for ttl in (0, 5, 90):
        assert not acl(policy).permits("a", READ, {}, wrap_ttl=ttl)
    longer = 'path "a" {\n capabilities = ["read"]\n min_wrapping_ttl = "40s"\n max_wrapping_ttl = "5m"\n}'
    both = acl(policy, longer)
    assert [ttl for ttl in (5, 10, 60, 61) if both.permits("a", READ, {}, wrap_ttl=ttl)] == [10, 60]
    much = 'path "a" {\n capabilities = ["read"]\n min_wrapping_ttl = "1h"\n}'
    little = 'path "a" {\n capabilities = ["read"]\n max_wrapping_ttl = "1m"\n}'
    assert not any(acl(much, little).permits("a", READ, {}, wrap_ttl=ttl) for ttl in (0, 60, 3600))


def test_templates_are_filled_in_and_left_out_where_they_have_no_value() -> None:
    policy = parse_policy("x", rule("a/{{identity.entity.name}}/*", "read") + rule("{{nobody}}", "read"))
    result = Acl()
    result.add(policy, "", lambda text: text.replace("{{identity.entity.name}}", "anna") if "name" in text else None)
    assert result.permits("a/anna/x", READ, {})
    assert not result.permits("{{nobody}}", READ, {})


def test_a_policy_of_a_namespace_is_about_paths_in_it() -> None:
    result = Acl()
    result.add(parse_policy("x", rule("kv/*", "read")), "team/")
    assert result.permits("team/kv/a", READ, {})
    assert not result.permits("kv/a", READ, {})


@pytest.mark.parametrize(
    ("policy", "reaches"),
    [
        (rule("kv/data/x", "read"), True),
        (rule("kv/*", "read"), True),
        (rule("*", "read"), True),
        (rule("+/data", "read"), True),
        (rule("other/*", "read"), False),
        (rule("kv/*", "deny"), False),
        (rule("kvx/*", "read"), False),
    ],
)
def test_what_reaches_below_a_mount(policy: str, reaches: bool) -> None:
    assert acl(policy).reaches_below("kv/") is reaches


# ---------------------------------------------------------------------- against an oracle

SEGMENT = st.sampled_from(["a", "b", "ab", "+"])
PATTERN = st.builds(
    lambda parts, end: "/".join(parts) + end,
    st.lists(SEGMENT, min_size=1, max_size=4),
    st.sampled_from(["", "/", "*", "/*"]),
).filter(lambda pattern: "+*" not in pattern)
PATH = st.builds(
    lambda parts, end: "/".join(parts) + end,
    st.lists(st.sampled_from(["a", "b", "ab", "abc"]), min_size=1, max_size=5),
    st.sampled_from(["", "/"]),
)
CAPABILITY_SETS = st.sets(st.sampled_from(["read", "list", "update", "deny"]), min_size=1)


def oracle_matches(pattern: str, path: str) -> bool:
    """By regular expression: ``+`` is one segment (an empty one, too), a ``*`` at the end is the rest."""
    star = pattern.endswith("*")
    expression = "/".join("[^/]*" if part == "+" else re.escape(part) for part in pattern.removesuffix("*").split("/"))
    return re.fullmatch(expression + (".*" if star else ""), path, re.DOTALL) is not None


def oracle_rank(pattern: str) -> tuple[bool, int, bool, int, int, str]:
    """Vault's documented order: exact; else later first wildcard, no glob, fewer ``+``, longer, lexicographic."""
    bare = pattern.removesuffix("*")
    wildcards = bare.split("/").count("+")
    exact = not wildcards and not pattern.endswith("*")
    first = pattern.index("+") if wildcards else len(bare)
    return (exact, first, not pattern.endswith("*"), -wildcards, len(bare), bare)


def oracle(rules: dict[str, set[str]], path: str, operation: Operation) -> bool:
    candidates = [path]
    if operation is LIST and path.endswith("/"):
        exact = [one for one in (path, path[:-1]) if one in rules and "+" not in one.split("/")]
        if exact:
            return decides(rules[exact[0]], operation)
        candidates = [path[:-1], path]
    for candidate in candidates:
        matching = [pattern for pattern in rules if oracle_matches(pattern, candidate)]
        if matching:
            return decides(rules[max(matching, key=oracle_rank)], operation)
    return False


def decides(capabilities: set[str], operation: Operation) -> bool:
    return "deny" not in capabilities and operation.value in capabilities


@settings(max_examples=600, deadline=None)
@given(st.dictionaries(PATTERN, CAPABILITY_SETS, min_size=1, max_size=6), PATH, st.sampled_from([READ, LIST, UPDATE]))
def test_matching_agrees_with_a_brute_force_oracle(rules: dict[str, set[str]], path: str, operation: Operation) -> None:
    text = json.dumps({"path": {pattern: {"capabilities": sorted(held)} for pattern, held in rules.items()}})
    assert acl(text).permits(path, operation, {}) is oracle(rules, path, operation)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PATTERN, CAPABILITY_SETS), min_size=1, max_size=5), PATH, st.randoms())
def test_the_order_of_policies_does_not_matter(rules: list[tuple[str, set[str]]], path: str, random: object) -> None:
    texts = [rule(pattern, *held) for pattern, held in rules]
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert acl(*texts).capabilities(path) == acl(*shuffled).capabilities(path)
