"""What jobs wait for, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pegasus.demand import Nowhere
from pegasus.model import AtMost, Demand
from pegasus.placement.answers import Waits
from pegasus.placement.prospect import Option
from pegasus.placement.stock import Stock


def at_most(limit: AtMost) -> Waits:
    """Say that enough jobs of its kind run."""
    words = f"at most {limit.running:,} of these jobs run at a time"
    if limit.running == 1:
        words = "only one of these jobs runs at a time"
    return Waits(words, reason="at_most")


def absent(demand: Demand) -> Waits:
    """Say that each sub-node on which the job can run is away."""
    named = ""
    if demand.where:
        each = (f"{name}={'|'.join(values)}" for name, values in demand.where)
        named = f" with {' and '.join(each)}"
    elif needs := _slots(demand.needs or ()):
        named = f" with {needs}"
    return Waits(f"no sub-node{named} is connected", reason="absent")


def unrendered() -> Waits:
    """Say that each sub-node is away for which the command can be rendered."""
    words = "no sub-node for which its command can be rendered is connected"
    return Waits(words, reason="absent")


def waits_for_others(*, is_busy: bool) -> Waits:
    """Say what a job waits for that can be rendered for none of the idle sub-nodes.

    Args:
        is_busy: whether a sub-node is connected for which it can be rendered.
    """
    return busy(()) if is_busy else unrendered()


def kept(option: Option) -> Waits:
    """Say which sub-node is kept for a job, before it is kept."""
    name = option.site.state.sub_node
    if not option.missing():
        if option.unprobed:
            return replace(asked(option, option.unprobed), kept=option.number)
        return replace(opening(option), kept=option.number)
    needs = _slots(option.counts)
    counts = [f"{min(count, max(0, stock.soon)):,} of {count:,}" for stock, count in option.needs]
    last = counts[-1].partition(" ")[0]
    are = "is" if last == "1" else "are"
    words = f"needs {needs}; {name} is kept for it: {' and '.join(counts)} {are} free"
    return Waits(words, option.number, "kept")


def opening(option: Option) -> Waits:
    """Say that a shell is opened for a job, or will be ready when a command ends."""
    name, grows = option.site.state.sub_node, option.site.state.may_grow
    words = f"a shell on {name} is being opened" if grows else f"each shell on {name} is in use"
    return Waits(words, reason="lanes")


def asked(option: Option, stocks: Sequence[Stock]) -> Waits:
    """Say that a node is asked for slots, and why it has given none so far."""
    node = option.site.state.sub_node
    failing = next((stock.state for stock in stocks if stock.state.why), None)
    if failing:
        words = f"{node} has no {failing.name} that counts as free: {failing.why}"
        return Waits(words, reason="unusable")
    names = " and ".join(stock.state.name for stock in stocks)
    words = f"{node} is being asked for its {names} slots"
    return Waits(words, reason="asking")


def unusable(option: Option, stock: Stock) -> Waits:
    """Say that the slots that are missing cannot be used."""
    name, state = option.site.state.sub_node, stock.state
    if state.why:
        words = f"{name}: {state.why}"
    else:
        verb = "is" if state.unusable == 1 else "are"
        words = f"{_count(state.unusable)} of {state.name} on {name} {verb} used by others"
    return Waits(words, reason="unusable")


def busy(options: Iterable[Option]) -> Waits:
    """Say that what a job needs is in use, or kept for jobs above it."""
    option = next(iter(options), None)
    if option is None or not option.needs:
        return Waits("each sub-node that can run it is busy", reason="lanes")
    needs = _slots(option.counts)
    return Waits(f"needs {needs}; the slots are held, or kept for jobs above it")


def too_few(demand: Demand, options: Sequence[Option]) -> Nowhere:
    """Say that the nodes have fewer slots than a job needs, as they answered."""
    sizes: dict[str, list[tuple[int, str]]] = {}
    for option in options:
        for stock, count in option.needs:
            if not stock.is_large and stock.size < count:
                name = str(option.site.state.sub_node)
                sizes.setdefault(stock.state.name, []).append((stock.size, name))
    for name, count in options[0].counts:
        found = sizes.get(name, ())
        if len(found) == len(options):
            best, where = max(found, key=lambda each: each[0])
            what = (
                f"this needs {_count(count)} of {name}, and no sub-node has more than "
                f"{best:,} ({where})"
            )
            return Nowhere(what, "Ask for fewer, or change the hosts file", "needs")
    what = f"this needs {_slots(demand.needs or ())}, and no sub-node has all of them"
    return Nowhere(what, "Ask for fewer, or change the hosts file", "needs")


def _slots(needs: Iterable[tuple[str, int]]) -> str:
    """Give needs in words: ``1 slot of gpu and 8 of cpu``."""
    parts: list[str] = []
    for name, count in needs:
        if count:
            parts.append(f"{count:,} of {name}" if parts else f"{_count(count)} of {name}")
    return " and ".join(parts)


def _count(count: int) -> str:
    return "1 slot" if count == 1 else f"{count:,} slots"
