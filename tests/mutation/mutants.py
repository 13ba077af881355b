"""The mutants of a file: each is the file with one small fault.

Cosmic Ray makes them. Only operators are used whose faults a person could make; of several that
change the same place in the same way (ten for each ``+``), one. Cosmic Ray has no
operator that removes a statement, so this module adds one.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Protocol

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword

PACKAGES = ("dispatch", "queue_file", "transport")
SOURCE = Path("src", "pegasus")

OPERATORS = (
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Mul",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBreakWithContinue",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ZeroIterationForLoop",
)
"""Without ``|``: it is in annotations, which nothing evaluates, and in ``isinstance``."""

NO_FAULT = ("@dataclass(", "@Parameter(")
"""Beginnings of lines whose arguments have no effect that a run can show, such as ``frozen``."""


NO_PRODUCT = re.compile(r"\*(?! )")
"""A star that multiplies nothing: in a signature or a call."""


class Operator(Protocol):
    """The interface that Cosmic Ray requires of an operator."""

    def mutation_positions(self, node: Any) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
        """Return the places in a node that it can change."""

    def mutate(self, node: Any, index: int) -> Any:
        """Change one of them."""


class RemoveStatement:
    """Replaces a statement by ``pass``.

    It removes calls, ``return`` and ``raise``, and assignments to attributes and items. It does not
    remove an assignment to a plain name: the ``NameError`` would say nothing about the tests.
    """

    def mutation_positions(self, node: Any) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
        """Yield the place of the statement that this node is, if it is one."""
        parent = node.parent
        if parent is not None and parent.type == "simple_stmt" and self._is_meant(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Return the replacement of the statement."""
        return Keyword("pass", node.start_pos, prefix=node.get_first_leaf().prefix)

    @staticmethod
    def _is_meant(node: Any) -> bool:
        if node.type == "expr_stmt":
            plain = node.children[0].type == "name" and node.children[1].type != "operator"
            target = node.children[0].type
            return target in {"atom_expr", "power"} and not plain
        return node.type in {"atom_expr", "power", "return_stmt", "raise_stmt", "del_stmt"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one fault.

    Attributes:
        file: the file, from ``src/pegasus`` on.
        operator: the name of the operator that makes the fault.
        occurrence: which of the places in the file where the operator can make it.
        first, last: the first and the last line of the place.
        line: the first line of the place, as it is in the file, without the blanks around it.
        becomes: the lines that differ, as the fault leaves them; empty where it removes a line.
        text: the whole file with the fault.
    """

    file: str
    operator: str
    occurrence: int
    first: int
    last: int
    line: str
    becomes: str
    text: str

    @property
    def package(self) -> str:
        """The package of the file."""
        return self.file.split("/", maxsplit=1)[0]


def find(root: Path, only: str = "") -> list[Mutant]:
    """Return all mutants of the packages, in the order of files and lines.

    Args:
        root: of a checkout.
        only: a part of the file's name; the mutants of other files are left out.
    """
    source = root / SOURCE
    files = [file for package in PACKAGES for file in sorted((source / package).glob("*.py"))]
    names = [file.relative_to(source).as_posix() for file in files]
    found = [each for name in names if only in name for each in _of(source, name)]
    return sorted(found, key=lambda each: (each.file, each.first, each.operator, each.occurrence))


def choose(mutants: list[Mutant], sample: int | None, seed: int) -> list[Mutant]:
    """Choose a number of mutants, the same ones for the same seed, in their order."""
    if sample is None or sample >= len(mutants):
        return mutants
    numbers = random.Random(seed).sample(range(len(mutants)), sample)
    return [mutants[number] for number in sorted(numbers)]


def operators() -> Iterator[tuple[str, Operator]]:
    """Yield all operators with their names."""
    yield "RemoveStatement", RemoveStatement()
    for name in OPERATORS:
        yield name, get_operator(f"core/{name}")()


def _of(source: Path, name: str) -> Iterator[Mutant]:
    """Yield the mutants of one file; of two that are the same text, one."""
    text = (source / name).read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = get_ast(text)
    seen = {text}
    for operator, makes in operators():
        places = [at for node in ast_nodes(tree) for at in makes.mutation_positions(node)]
        for occurrence, ((first, column), (last, _)) in enumerate(places):
            if lines[first - 1].strip().startswith(NO_FAULT):
                continue
            if NO_PRODUCT.match(lines[first - 1], column):
                continue
            mutated = _mutated(text, makes, occurrence)
            if mutated is not None and mutated not in seen and _compiles(mutated):
                seen.add(mutated)
                line, becomes = lines[first - 1].strip(), _becomes(lines, mutated.splitlines())
                yield Mutant(name, operator, occurrence, first, last, line, becomes, mutated)


def _mutated(text: str, operator: Operator, occurrence: int) -> str | None:
    try:
        return str(mutate_code(text, operator, occurrence))
    except AttributeError:  # ExceptionReplacer cannot replace a name with a dot in it
        return None


def _compiles(text: str) -> bool:
    """Return whether a text is valid Python; a syntax error shows nothing about the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "mutant", "exec")
        except SyntaxError:
            return False
    return True


def _becomes(before: list[str], after: list[str]) -> str:
    """Return the lines that differ, as they are after the change, without surrounding blanks."""
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    lines = [line for tag, _, _, j, k in steps if tag != "equal" for line in after[j:k]]
    return "\n".join(line.strip() for line in lines if line.strip())
