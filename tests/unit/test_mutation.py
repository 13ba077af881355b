"""Promises of the mutation session: which faults it makes, and what an explanation explains."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="only the mutation session installs Cosmic Ray")

from tests.mutation import survivors
from tests.mutation.mutants import SOURCE, Mutant, choose, find

TEXT = '''\
"""A module."""

LIMIT: int | None = 5


def act(self, number, *, over=False):
    """Act."""
    if number > LIMIT or self.over:
        self.done = True
        raise ValueError("over")
    plain = number
    call(plain)
    return plain
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    """The mutants of one small file."""
    folder = tmp_path / SOURCE / "dispatch"
    folder.mkdir(parents=True)
    (folder / "act.py").write_text(TEXT, encoding="utf-8")
    return find(tmp_path)


def test_a_statement_is_removed(mutants: list[Mutant]) -> None:
    """Calls, returns, raises and assignments to attributes are removed, plain names are not."""
    removed = [each.line for each in mutants if each.operator == "RemoveStatement"]
    assert removed == [
        "self.done = True",
        'raise ValueError("over")',
        "call(plain)",
        "return plain",
    ]
    assert all(each.becomes == "pass" for each in mutants if each.operator == "RemoveStatement")


def test_each_mutant_is_another_text_that_is_python(mutants: list[Mutant]) -> None:
    """No two are alike, none is the original, and each compiles."""
    texts = [each.text for each in mutants]
    assert len(set(texts)) == len(texts)
    assert TEXT not in texts
    for text in texts:
        compile(text, "mutant", "exec")
    assert {"LIMIT: int | None = 6", "LIMIT: int | None = 4"} <= {each.becomes for each in mutants}


def test_a_signature_is_no_product(mutants: list[Mutant]) -> None:
    """The star of a signature is left as it is."""
    assert not [each for each in mutants if "/" in each.becomes]


def test_a_sample_is_the_same_for_the_same_seed(mutants: list[Mutant]) -> None:
    """The seed decides; without a size all are meant."""
    assert choose(mutants, 4, 1) == choose(mutants, 4, 1)
    assert {len(choose(mutants, 4, seed)) for seed in range(9)} == {4}
    assert choose(mutants, None, 1) == choose(mutants, 10_000, 1) == mutants


def test_an_explanation_is_about_one_change_of_one_line(mutants: list[Mutant]) -> None:
    """It explains this mutant and no other; one about no mutant is told."""
    text = (
        '[[survivor]]\nfile = "dispatch/act.py"\nline = "call(plain)"\nbecomes = "pass"\n'
        'reason = "A reason."\n'
        '[[survivor]]\nfile = "dispatch/act.py"\nline = "call(plane)"\nbecomes = "pass"\n'
        'reason = "A reason."\n'
    )
    good, stale = survivors.read(text)
    assert [each.line for each in mutants if good.explains(each)] == ["call(plain)"]
    assert survivors.about_nothing([good, stale], mutants) == [stale]


@pytest.mark.parametrize("reason", ["", 'reason = " "\n', 'reason = "x"\nother = "y"\n'])
def test_an_explanation_needs_a_reason(reason: str) -> None:
    """An entry without a reason, or with a key that nobody knows, is refused with its number."""
    with pytest.raises(ValueError, match="entry 1: write"):
        survivors.read(f'[[survivor]]\nfile = "a"\nline = "b"\nbecomes = "c"\n{reason}')
