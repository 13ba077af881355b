"""``--limit``: some of the sub-nodes of a hosts file.

    node-[1-4]          the sub-nodes on these hosts
    rack=2              those with this value of a parameter; rack=[1-3] for several values
    rack=2&model=a100   those that both choose
    !node-3             all but these
    node-1,rack=2       a list; the option given again adds to it

Rule 1: any text without ``!`` adds to what is chosen, and any text with ``!`` takes away from it.
Where all have one, they take away from everything. The order is that of the file.
Rule 2: a text that is exactly a name or a NAME=VALUE of the file stands for it, whatever signs it
has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pegasus.errors import PegasusError
from pegasus.model import SubNode
from pegasus.node_sets import NoNodeSet, expand, fold, split
from pegasus.sub_node_names import Labels, labels_of

_LONGEST_LIST = 400
"""Characters of a list of names in a message; a longer one is cut off."""

_HOW = "Write a host, a set such as node-[1-4], or NAME=VALUE for a parameter"


@dataclass(frozen=True, slots=True)
class _Condition:
    """``node-[1-4]`` or ``rack=2``.

    Attributes:
        text: as it was written.
        labels: a sub-node with any of these fulfils it.
    """

    text: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class _Term:
    """Conditions that must all be fulfilled.

    Attributes:
        text: as it was written.
        excludes: whether it takes away.
    """

    text: str
    excludes: bool
    conditions: tuple[_Condition, ...]

    def fits(self, labels: Labels) -> bool:
        return all(not each.labels.isdisjoint(labels) for each in self.conditions)


class SubNodeLimit:
    """What ``--limit`` says.

    Args:
        texts: its values; without any, everything is chosen.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._texts = texts

    def choose(self, sub_nodes: Sequence[SubNode]) -> tuple[SubNode, ...]:
        """Give the sub-nodes that are chosen, with their numbers in the file.

        Raises:
            PegasusError: these are none, or a text cannot be read.
        """
        if not self._texts:
            return tuple(sub_nodes)
        labels = {each.number: labels_of(each) for each in sub_nodes}
        terms = _read(self._texts, _all_of(labels.values()))
        adding = [term for term in terms if not term.excludes]
        removing = [term for term in terms if term.excludes]

        def is_chosen(found: Labels) -> bool:
            added = not adding or any(term.fits(found) for term in adding)
            return added and not any(term.fits(found) for term in removing)

        chosen = tuple(each for each in sub_nodes if is_chosen(labels[each.number]))
        if not chosen:
            raise PegasusError(
                f"--limit {_shortened(' '.join(self._texts))}: this leaves no sub-node. "
                f"The hosts are {_hosts(sub_nodes)}."
            )
        return chosen

    def find_notes(self, hosts_file: str, sub_nodes: Sequence[SubNode]) -> list[str]:
        """Say which names in the sets the hosts file does not have.

        Args:
            hosts_file: its path, for messages.
            sub_nodes: all that it stands for.

        Raises:
            PegasusError: a text chooses nothing at all, which is probably a mistake, or cannot be
                read.
        """
        every = [labels_of(each) for each in sub_nodes]
        known = _all_of(every)
        notes = []
        for term in _read(self._texts, known):
            for condition in term.conditions:
                missing = condition.labels - known
                if missing == condition.labels:
                    raise PegasusError(_no_such(condition, hosts_file, sub_nodes))
                if missing:
                    names = _shortened(fold(missing))
                    notes.append(f"--limit {condition.text}: {hosts_file} has no {names}.")
            if not any(map(term.fits, every)):
                raise PegasusError(
                    f"--limit {term.text}: no sub-node of {hosts_file} fits all parts of this. "
                    "Parts with & between them must fit the same sub-node; a comma adds."
                )
        return notes


NO_LIMIT = SubNodeLimit()


def _all_of(every: Collection[Labels]) -> Labels:
    return frozenset[str]().union(*every)


def _read(texts: Sequence[str], known: Labels) -> list[_Term]:
    """Read the texts of ``--limit``; what is ``known`` stands for itself (rule 2)."""
    return [
        _term(part.strip(), known, text)
        for text in texts
        for part in ([text] if _without_sign(text) in known else split(text))
    ]


def _without_sign(term: str) -> str:
    return term.strip().removeprefix("!").strip()


def _term(text: str, known: Labels, whole: str) -> _Term:
    conditions = _without_sign(text)
    parts = [conditions] if conditions in known else conditions.split("&")
    return _Term(
        text, text.startswith("!"), tuple(_condition(each.strip(), known, whole) for each in parts)
    )


def _condition(text: str, known: Labels, whole: str) -> _Condition:
    if text in known:
        return _Condition(text, frozenset((text,)))
    if not text:
        raise PegasusError(f"--limit '{whole}': a name is missing here. {_HOW}.")
    name, equals, value = text.rpartition("=")
    try:
        return _Condition(text, frozenset(f"{name}{equals}{each}" for each in expand(value)))
    except NoNodeSet as fault:
        raise PegasusError(f"--limit {whole}: {fault}") from fault


def _no_such(condition: _Condition, hosts_file: str, sub_nodes: Sequence[SubNode]) -> str:
    """Say what there is, where a condition fits no sub-node."""
    begin = f"--limit {condition.text}:"
    if condition.text.startswith("!"):
        return (
            f"{begin} ! stands before a whole term, and not after &. Write it as a term of its "
            f"own: '--limit {condition.text}'."
        )
    name, equals, _ = condition.text.rpartition("=")
    if not equals:
        return f"{begin} {hosts_file} has no such host. It has {_hosts(sub_nodes)}. {_HOW}."
    values = dict.fromkeys(
        value for each in sub_nodes for known, value in each.params if known == name
    )
    if values:
        return f'{begin} no sub-node has this value. "{name}" is {_shortened(fold(values))}.'
    names = dict.fromkeys(known for each in sub_nodes for known, _ in each.params)
    have = f"They have {_shortened(', '.join(names))}" if names else "They have no parameters"
    return f'{begin} no sub-node of {hosts_file} has a parameter "{name}". {have}.'


def _hosts(sub_nodes: Sequence[SubNode]) -> str:
    return _shortened(fold(each.hostname for each in sub_nodes))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST]}…"
