"""``slurm`` of an item of a hosts file -> the nodes of an allocation, or what is to be requested.

Rule 1: Slurm decides which nodes these are; the file names none.
Rule 2: only a mapping without ``hostname`` is ``slurm``; beside ``hostname`` a text or a list of
that name is a parameter.
Rule 3: an option of ``sbatch`` is passed on as it is written; Slurm alone knows which there are.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping as Variables

from pegasus import duration
from pegasus.allocation import allocation_of
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Params, SlurmPlace
from pegasus.shell_text import changed_value
from pegasus.yaml_text import (
    Item,
    Mapping,
    PairValue,
    Scalar,
    SourceText,
    refuse_changed,
    scalars,
)

SLURM_KEY = "slurm"
"""The key of an item that stands for a Slurm allocation."""

REQUESTED_NODE = "slurm"
"""The hostname of a sub-node that stands for nodes which are not known yet."""

_OPTION = re.compile("[a-z][a-z0-9-]*")

_OWN_OPTIONS = frozenset(
    {
        *("array", "batch", "chdir", "clusters", "dependency", "error", "export-file", "help"),
        *("hold", "input", "job-name", "kill-on-invalid-dep", "no-kill", "no-requeue", "output"),
        *("open-mode", "parsable", "quiet", "requeue", "signal", "test-only", "usage", "verbose"),
        *("version", "wait", "wrap"),
    }
)
"""Options of ``sbatch`` that Pegasus sets itself, or that would break what it relies on."""

_KNOWN_OPTIONS = frozenset(
    {
        *("account", "acctg-freq", "bb", "bbf", "begin", "bell", "cluster-constraint"),
        *("comment", "constraint", "container", "container-id", "contiguous", "core-spec"),
        *("cores-per-socket", "cpu-freq", "cpus-per-gpu", "cpus-per-task", "deadline"),
        *("delay-boot", "distribution", "exclude", "exclusive", "export", "extra"),
        *("extra-node-info", "get-user-env", "gid", "gpu-bind", "gpu-freq", "gpus"),
        *("gpus-per-node", "gpus-per-socket", "gpus-per-task", "gres", "gres-flags"),
        *("hint", "ignore-pbs", "immediate", "licenses", "mail-type", "mail-user"),
        *("mcs-label", "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus"),
        *("network", "nice", "no-bell", "nodefile", "nodelist", "nodes", "ntasks"),
        *("ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket"),
        *("oom-kill-step", "overcommit", "oversubscribe", "partition", "power", "prefer"),
        *("priority", "profile", "propagate", "qos", "reboot", "reservation", "resv-ports"),
        *("segment", "share", "sockets-per-node", "spread-job", "stepmgr", "switches"),
        *("thread-spec", "threads-per-core", "time", "time-min", "tmp", "tres-bind"),
        *("tres-per-task", "uid", "use-min-nodes", "wait-all-nodes", "wckey"),
    }
)
"""Options of ``sbatch`` in its manual; a cluster may have others."""

_NEAR_OPTION = 0.8
"""How similar a name must be to the option that was probably meant, from 0 to 1."""

_WITH_UNITS = re.compile("[0-9.]+[smhd][0-9.smhd]*")


def read_slurm(
    source: SourceText, item: Item, environment: Variables[str, str]
) -> tuple[tuple[str, SlurmPlace], ...] | None:
    """Read the nodes of an item that stands for a Slurm allocation.

    Args:
        source: the file.
        item: of the file.
        environment: the environment of Pegasus, which Slurm may have set.

    Returns:
        The name and the place of each node, in Slurm's order; for an allocation that Pegasus
        requests, one name that stands for all of them. None if the item is another one.

    Raises:
        FileFault: it cannot be understood, or Pegasus does not run in an allocation.
    """
    if isinstance(item.node, Scalar):
        return None
    pairs = {name.text: (name, value) for name, value in item.node.pairs}
    if SLURM_KEY not in pairs:
        return None
    name, value = pairs[SLURM_KEY]
    if "hostname" in pairs and not isinstance(value, Mapping):
        return None
    if not isinstance(value, Mapping):
        what = f'the value of "{SLURM_KEY}" is a mapping'
        raise FileFault(source.position(name.start), what, "Write `slurm: {}`")
    if "hostname" in pairs:
        position = source.position(pairs["hostname"][0].start)
        what = "an entry has a hostname or a Slurm allocation, and this one has both"
        raise FileFault(position, what, "Write two entries, or remove one of them")
    if value.pairs:
        return ((REQUESTED_NODE, _requested(source, value)),)
    return _around(source, name, environment)


def _around(
    source: SourceText, name: Scalar, environment: Variables[str, str]
) -> tuple[tuple[str, SlurmPlace], ...]:
    """Give the nodes of the allocation in which Pegasus runs."""
    position = source.position(name.start)
    try:
        found = allocation_of(environment)
    except PegasusError as error:
        what = f"Slurm's list of the nodes of this allocation cannot be read: {error}"
        step = "Look at SLURM_JOB_NODELIST, which `sbatch` and `salloc` set"
        raise FileFault(position, what.rstrip("."), step) from error
    if found is None:
        raise FileFault(
            position,
            "Pegasus does not run in a Slurm allocation (SLURM_JOB_ID is not set)",
            "Start it with `sbatch` or `salloc`, as in `salloc --nodes=2 pegasus queue`, or have "
            "Pegasus request an allocation, as in `slurm: {nodes: 2, time: 1h}`",
        )
    place = SlurmPlace(found.job)
    return tuple((node, place) for node in found.nodes)


def _requested(source: SourceText, value: Mapping) -> SlurmPlace:
    """Read the options of a request."""
    options = [(name.text, _option(source, name, given)) for name, given in value.pairs]
    facts = [("partition", (text,)) for name, text in options if name == "partition"]
    kept: Params = tuple((name, text) for name, text in options if text != "false")
    return SlurmPlace(request=kept, facts=tuple(each for each in facts if "," not in each[1][0]))


def _option(source: SourceText, name: Scalar, given: PairValue) -> str:
    """Read the value of an option; it is empty for an option without one."""
    position = source.position(name.start)
    if not _OPTION.fullmatch(name.text):
        meant = name.text.lstrip("-").replace("_", "-").lower()
        step = (
            f'Write "{meant}"'
            if len(meant) > 1 and _OPTION.fullmatch(meant)
            else "See `man sbatch`"
        )
        what = f'"{name.text}" is no long option of `sbatch`'
        raise FileFault(position, what, step)
    if name.text in _OWN_OPTIONS:
        what = f'"{name.text}" cannot be set for an allocation that Pegasus requests'
        raise FileFault(position, what, "Remove it")
    if isinstance(given, Mapping):
        what = f'the value of "{name.text}" cannot be a mapping'
        raise FileFault(position, what, "Write a text, or a list of texts")
    for scalar in scalars(given):
        refuse_changed(source, scalar, "value", changed_value)
        if not scalar.text.isprintable():
            what = f'the value of "{name.text}" has control characters'
            raise FileFault(source.position(scalar.start), what, "Write it without them")
    text = ",".join(scalar.text for scalar in scalars(given))
    if text in {"true", "yes"}:
        return ""
    return _time(text) if name.text == "time" else text


def _time(text: str) -> str:
    """Write ``8h`` or ``1h30m`` as Slurm does; without a unit it is Slurm's own form."""
    if not _WITH_UNITS.fullmatch(text):
        return text
    try:
        minutes, rest = divmod(round(duration.seconds(text)), 60)
    except ValueError:
        return text
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@functools.cache  # it is asked for each of thousands of sub-nodes
def meant_option(name: str) -> str:
    """Give the known option of ``sbatch`` of which a name is probably a misspelling, or nothing."""
    if name in _KNOWN_OPTIONS:
        return ""
    return "".join(difflib.get_close_matches(name, sorted(_KNOWN_OPTIONS), 1, _NEAR_OPTION))


def request_options(request: Params) -> list[str]:
    """Write the options of a request as arguments of ``sbatch``."""
    return [f"--{name}={value}" if value else f"--{name}" for name, value in request]
