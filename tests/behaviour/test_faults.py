# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every fault against every module: it recovers by itself, or fails with cause and remedy, as ``docs/faults.md`` says."""

from __future__ import annotations

import pytest

from .fault_matrix import DOCUMENT, Matrix, Outcomes, asking_modules, parse, render, words_of
from .fault_table import FAULTS
from .pitfalls import Pitfalls
from .stage import Stage

STALE = "docs/faults.md does not say so; look at the difference, and if it is meant, run: make fault-table"


@pytest.fixture(scope="module")
def document() -> Outcomes:
    return parse(DOCUMENT.read_text())


def test_the_document_knows_every_module_and_every_fault(document: Outcomes) -> None:
    assert sorted(document.letters) == asking_modules(), STALE
    for module, letters in document.letters.items():
        assert list(letters) == [fault.title for fault in FAULTS], f"{module}: {STALE}"


def test_the_document_is_as_it_was_generated(document: Outcomes) -> None:
    assert render(document) == DOCUMENT.read_text(), STALE


@pytest.mark.parametrize("module", asking_modules())
def test_every_fault(module: str, stage: Stage, pitfalls: Pitfalls, document: Outcomes) -> None:
    letters, said = Matrix(stage, pitfalls).column(module)
    assert letters == document.letters[module], STALE
    for title, words in words_of(module, said, stage, pitfalls).items():
        assert words == document.words[title], STALE
