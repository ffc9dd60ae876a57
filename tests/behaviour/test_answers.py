# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Whatever Vault answers where its documentation leaves the answer open, the user sees the same.

The cases are the development Vault's own table of answers: one that is added there is a case here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devserver.answers import ANSWERS

from .harness import Bench, Engine
from .outcomes import beyond_marking, differences, plain
from .uses import USES, Place

OTHER_ANSWERS = [(question, answer) for question, answers in ANSWERS.items() for answer in answers[1:]]
CHALLENGES = ("http-01", "dns-01", "tls-alpn-01")
Story = dict[str, Any]


def test_there_is_a_default_and_an_alternative_for_every_question() -> None:
    assert {question for question, _answer in OTHER_ANSWERS} == set(ANSWERS)
    assert len(OTHER_ANSWERS) == sum(len(answers) for answers in ANSWERS.values()) - len(ANSWERS)


def _uses(place: Place) -> Iterator[tuple[str, Any]]:
    """Every use of every module, and the same again."""
    for module, uses in USES.items():
        for name, prepare in uses.items():
            use = prepare(place)
            for time in ("first", "again") if use.repeats else ("first",):
                result = place.engine.run(module, use.options, check=use.check, diff=True, fails=None)
                if module == "order_challenge_fulfilled":
                    result = beyond_marking(result)
                yield f"{module}, {name}, {time}", result
            place.engine.renew()


def _workflow(place: Place, challenge_type: str) -> Iterator[tuple[str, Any]]:
    """From a mount to a revoked certificate with nothing but modules, each run twice."""
    engine = place.engine
    name = f"{challenge_type}.flow.example.com"

    def twice(module: str, **options: Any) -> Iterator[tuple[str, Any]]:
        for time in ("first", "again"):
            yield f"workflow {challenge_type}: {module}, {time}", engine.run(module, options)

    yield from twice("mount", description="the workflow's own")
    yield from twice("acme_account", name="flow", **engine.bench.account_fields())
    domains = {"allowed_domains": ["flow.example.com"], "allowed_domain_options": ["subdomains"]}
    yield from twice("role", name="flow", acme_account_name="flow", **domains)
    yield from twice("order", role_name="flow", identifiers=[name])
    order = engine.run("order", {"role_name": "flow", "identifiers": [name]})
    reference = {"role_name": "flow", "order_id": order["order_id"]}
    yield from twice("order_challenge_info", **reference, challenge_type=challenge_type)
    proof = engine.run("order_challenge_info", {**reference, "challenge_type": challenge_type})["challenges"][0]
    if challenge_type == "dns-01":
        record = proof["dns_01"]
        engine.bench.challtestsrv.clear_txt(record["record_name"])
        engine.bench.challtestsrv.set_txt(record["record_name"], record["txt_value"])
    else:
        engine.bench.publish(challenge_type, name, proof["challenge_token"], proof["key_authorization"])
    for step, result in twice("order_challenge_fulfilled", **reference, challenge_type=challenge_type):
        yield step, beyond_marking(result)
    yield from twice("order_certificate", **reference)
    yield from twice("certificate_info", role_name="flow", identifiers=[name])
    yield from twice("certificate_revoke", **reference, reason="cessation-of-operation")
    yield from twice("role", name="flow", state="absent")
    yield from twice("acme_account", name="flow", state="absent")


def _story(place: Place) -> Story:
    told: Story = {}
    folder, mount = str(place.directory), place.engine.mount
    for challenge_type in CHALLENGES:
        told.update(_workflow(place, challenge_type))
        place.engine.renew()
    told.update(_uses(place))
    return {step: plain(result, mount, folder) for step, result in told.items()}


_defaults: dict[str, Story] = {}


@pytest.fixture
def default_story(place: Place) -> Story:
    """The story under the default answers, told once."""
    if not _defaults:
        _defaults["story"] = _story(place)
    return _defaults["story"]


def test_nothing_changes_the_second_time(default_story: Story) -> None:
    assert len(default_story) > 100
    for step, result in default_story.items():
        assert not result.get("failed"), f"{step}: {result['msg']}"
        if step.endswith(", again"):
            assert not result["changed"], f"{step}: {result}"


@pytest.mark.parametrize(("question", "answer"), OTHER_ANSWERS)
def test_every_answer_has_the_same_outcome(
    default_story: Story, bench: Bench, place: Place, question: str, answer: str
) -> None:
    for path in place.directory.iterdir():
        if path.is_dir():
            path.rename(path.with_name(f"{path.name} of the default"))
    with bench.answers({question: answer}):
        story = _story(place)
    assert story.keys() == default_story.keys()
    assert differences(default_story, story) == []


def test_a_vault_without_dns_providers_in_roles_is_told_of_once_and_left_alone(bench: Bench, engine: Engine) -> None:
    options = {"name": "web", "acme_account_name": "main", "dns_provider_name": "x", "dns_provider_type": "rfc2136"}
    with bench.answers({"OQ-17": "unknown"}):
        first, again = engine.run("role", options), engine.run("role", options)
    for result in (first, again):
        assert result["changed"] is False
        assert any("does not know dns_provider_name" in str(warning) for warning in result["warnings"])
