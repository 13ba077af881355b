r"""Parts of POSIX sh that several scripts for nodes share.

The reasons for their lines are in ``script``, which used them first.
"""

_SIGNAL_HANDLERS = r"""_y=; (trap : 64) 2>/dev/null && _y=1
_a() {
  trap "$1" 1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 23 24 25 26 27 29 30 31
  [ ! "$_y" ] || trap "$1" 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 \
    50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
}"""
"""Defines ``_a ACTION``, which sets the action of all signals that can be handled."""

_FINISH = r"""others() {
    IFS= read -r l </proc/self/stat || return
    set -- "$1" ${l##*")" }; g=$4; k=$1; r=1
    for f in /proc/[0-9]*/stat; do
      IFS= read -r l <"$f" || continue
      f=${f#/proc/}; f=${f%/stat}; set -- ${l##*")" }
      [ "$4" = "$g" ] && [ "$3" != "$g" ] && [ "$1" != Z ] && kill -s "$k" "$f" && r=0
    done
    return $r
  }
  finish() {
    n=0
    while others "$1" && [ "$1" = KILL ] && [ $n -lt 9 ]; do n=$((n + 1)); done
    kill -s "$1" 0
  }"""
"""Defines ``finish NAME``, which sends a signal to the caller's process group, and to the other
groups of its session. It sets ``l``, ``g``, ``k``, ``r``, ``f`` and ``n``."""

_DIALECT = r"""[ "$BASH_VERSION" ] && (set +o posix) 2>/dev/null && set +o posix
  _k= _x=
  [ "$KSH_VERSION" ] && (eval ': "${.sh.version}"') 2>/dev/null && _k=1 _x==
  [ "$YASH_VERSION" ] && [ "$(kill -l 386)" = INT ] && _x=="""
"""Makes bash print messages about signals, and sets ``_k`` in AT&T's ksh, and ``_x`` to ``=`` where
exit statuses are exact."""


def assemble(text: str, **words: str) -> str:
    """Return a script with its parts.

    Args:
        text: the script; ``@NAME@`` stands for a part, or for one of the words.
        words: what else is filled in, by name.
    """
    parts = {"HANDLERS": _SIGNAL_HANDLERS, "FINISH": _FINISH, "DIALECT": _DIALECT, **words}
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text
