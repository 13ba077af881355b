r"""Which commands of which runs still live on a node: a text for its sh, and what its output means.

Rule 1: pure; only text.
Rule 2: where a node cannot tell, the answer is unknown, never that nothing lives.

A command is found by its environment, which its processes inherit. One that has removed these
variables, or has written over its environment, is found only by its other processes.
"""

from __future__ import annotations

from typing import TypeAlias

Living: TypeAlias = frozenset[tuple[str, int]]
"""Names of runs, and numbers of jobs in them."""

LIVING_COMMANDS = r"""{ echo /proc/self/stat /proc/self/environ
  for f in /proc/[0-9]*; do
    [ ! -O "$f" ] || echo "$f/stat $f/environ"
  done
} | PEGASUS_RUN=- PEGASUS_JOB=0 xargs cat 2>/dev/null | LC_ALL=C tr '\0' '\n' | LC_ALL=C sed -n '
  s/^[0-9][0-9]* (.*/process/p
  s/^PEGASUS_RUN=/run /p
  s/^PEGASUS_JOB=/job /p
' | { s='|'; e=
  while read -r k v; do
    case $k in
      process) r= j=;;
      run) r=$v;;
      job) j=$v;;
    esac
    [ "$r" ] && [ "$j" ] || continue
    if [ "$r $j" = "- 0" ]; then e=1
    else
      case $s in
        *"|$r $j|"*) ;;
        *) s="$s$r $j|"; echo "$r $j";;
      esac
    fi
    r= j=
  done
  [ "$e" ] && echo end || echo unknown
}
"""
# - One `cat` for all processes: a program for each would take seconds on a busy node, and the sh
#   itself cannot read a file with NULs in it.
# - /proc/PID/stat is there for its first line only, which tells where a process begins.
# - A zombie, and a thread of the kernel, has an empty environment.
# - The `cat` finds itself first, as job 0 of no run: so the method works on this node. Questions of
#   Pegasus have the same environment and are no commands of a run.
# - `-O`: only the processes of this user. The others cannot be read; and where a command has
#   started them with sudo, the parent of sudo is of this user.


def living_of(output: bytes) -> Living | None:
    """Return which commands live; None where the node could not tell.

    Args:
        output: what ``LIVING_COMMANDS`` has printed.
    """
    lines = output.decode(errors="replace").splitlines()
    if not lines or lines.pop() != "end":
        return None
    found = set()
    for line in lines:
        run, _, number = line.rpartition(" ")
        if run and number.isascii() and number.isdecimal():
            found.add((run, int(number)))
    return frozenset(found)
