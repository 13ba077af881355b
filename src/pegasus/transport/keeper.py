r"""The keeper of a detached command: some lines of POSIX sh that own one command on its node.

Arguments: the folder of the command. Standard input: a line with the time limit, the words for the
command's environment, and possibly ``encoded`` or ``plain``, how the command is started, and the
variables of its slots; and a line with the command. Descriptor 6 is the FIFO ``life`` of the
folder, open for reading and writing.

What is in the folder: ``go``, which whoever decides about the start makes; ``out`` and ``err``; the
FIFO ``orders``, for orders to the keeper (``+TERM``, ``+KILL``) and for what its own processes tell
it; ``refused``, why the command cannot be started as it should, if it cannot; the FIFO ``life``,
which is open for writing as long as the keeper lives; ``end.tmp``, with room for the record of the
end; ``end``, the record of the end; ``boot``, see ``follower``.

Rule 1: a command starts only after its keeper has made ``go``, and only after ``end.tmp`` says so.
Rule 2: no process or group is killed by its number: the process that kills is in the group.
Rule 3: after the end nothing of the keeper is left, and all that the command left in the
background.
"""

from __future__ import annotations

from pegasus.transport.parts import assemble

NODE_GRACE = 10
"""Seconds between SIGTERM and SIGKILL on the node: the same as for other commands."""

RECORD_SIZE = 200
"""Bytes of the record of an end, with its padding; the longest has half of it."""

KEEPER_SCRIPT = assemble(
    r"""set +u; unset _a _c _d _g _h _i _j _k _l _p _q _s _t _u _x _y _z
_i=$TMOUT; TMOUT=0; _d=$1
IFS= read -r _l && IFS= read -r _c || exit
( exec </dev/null >/dev/null 2>&1
  @DIALECT@
  @HANDLERS@
  set -f; set -- $_l; set +f
  _q=$1; export PEGASUS_RUN="$2" PEGASUS_JOB="$3" PEGASUS_SUB_NODE="$4"
  [ "$5" = encoded ] && { _c=$(printf "$_c"; printf .); _c=${_c%.}; }
  _z='set -- sh -c --'
  case $6 in ''|-) ;; *) _z=$(printf "$6"); ( eval "$_z" ) 2>"$_d/refused" || exit;; esac
  [ "$7" ] && { shift 6; export "$@"; }
  read -r _p _l </proc/self/stat && set -- ${_l##*")"} && _g=$3
  [ -p "$_d/orders" ] && exec 7<>"$_d/orders" 8>>"$_d/out" 9>>"$_d/err" || exit
  exec 3<"$_d/orders" 5>"$_d/orders" 7>&-
  mkdir "$_d/go" && [ -s "$_d/end.tmp" ] || exit
  read -r _u _l </proc/uptime || _u=$(date +%s)
  printf 'b %s .' "$_u" 1<>"$_d/end.tmp" || exit
  if [ "$_k" ]; then _a :; else _a ''; fi
  ( exec 5>&- 8>&- 9>&-; _a ''; [ ! "$_k" ] || : >"$_d/keeps"
    @FINISH@
    record() {
      read -r l k </proc/uptime || l=$(date +%s)
      printf 'e %s %s %s %s %s %s %s .\n' "$1" "$_u" "$l" "$t" "$h" "$m" "$s" 1<>"$_d/end.tmp"
      mv "$_d/end.tmp" "$_d/end"
    }
    tell() { [ -p "$_d/orders" ] && printf '%s\n' "$1" 1<>"$_d/orders"; }
    alarm() {
      exec >/dev/null 3<&- 4>&- 6>&-
      for k in "$2" $((${2%.*} + 1)); do
        sleep "$k" & tell "+s $!"
        wait $! && break
      done
      tell "$1" && return
      [ "$1" = +GRACE ] || { finish TERM; sleep @NODE_GRACE@; }
      finish KILL
    }
    left() {
      for f in /proc/[0-9]*/stat; do
        IFS= read -r l <"$f" || continue
        f=${f#/proc/}; f=${f%/stat}; set -- ${l##*")" }
        [ "$1" != Z ] && { [ "$3" = "$_g" ] || [ "$4" = "$_g" ]; } || continue
        case " $_p $_j $p " in *" $f "*) continue;; esac
        case " $p $a $w " in *" $2 "*) continue;; esac
        return 0
      done
      return 1
    }
    stop() {
      [ -p "$_d/orders" ] && command exec 4<>"$_d/orders" || kill_all
      alarm +GRACE @NODE_GRACE@ & w=$!
      finish TERM
    }
    kill_all() { record "$y"; finish KILL; }
    read -r p l </proc/self/stat
    a= w= b= y=- t=- h=- m=- s=? z=
    [ "$_q" = - ] || { alarm +LIMIT "$_q" & a=$!; }
    while :; do
      IFS= read -r l <&3 || IFS= read -r l <&3 || break
      case $l in
        +b) b=1; [ "$y" = - ] || stop;;
        +TERM|+LIMIT) [ "$y" = - ] || continue
          y=o; [ "$l" = +TERM ] || y=l$_q
          [ ! "$b" ] || [ "$s" != ? ] || stop;;
        +KILL) [ "$y" != - ] || y=o
          kill_all;;
        +GRACE|+EMPTY) kill_all;;
        "+s "*) z="$z ${l#+s }";;
        "+e "*) set -- $l; t=$2 h=$3 _j=$4 s=$5
          [ "$y" = - ] && break
          [ "$w" ] || kill_all
          [ ! "$_g" ] || {
            exec >/dev/null 3<&- 4>&- 6>&-
            while kill -s 0 "$p" && left; do sleep 0.1 || sleep 1; done
            tell +EMPTY
          } &;;
        *) m=m;;
      esac
    done
    [ "$s" = ? ] && kill_all
    record -
    if [ "$a" ]; then
      while [ ! "$z" ] && IFS= read -r l <&3; do case $l in "+s "*) z=${l#+s };; esac; done
      kill -s KILL "$a" $z
    fi
    echo
  ) | ( exec 3<&- 5>&- 8>&- 9>&-; _a ''; [ ! "$_k" ] || : >"$_d/guards"
    read -r l || read -r l || read -r l && exit
    @FINISH@
    IFS= read -r l <"$_d/end" || IFS= read -r l <"$_d/end.tmp"
    case $l in
      "e "*" .") ;;
      *) printf 'e k %s %s - - - ? .\n' "$_u" "$_u" 1<>"$_d/end.tmp";;
    esac
    [ -f "$_d/end" ] || mv "$_d/end.tmp" "$_d/end"
    case $l in "e - "*" .") ;; *) finish KILL;; esac
  ) &
  _j=$!; _a :; trap _t=t TERM; trap _h=h HUP
  exec 2>&5 3<&-
  if [ "$_k" ]; then
    for _l in 1 2 3 4 5 6 7 8 9; do
      [ -e "$_d/keeps" ] && [ -e "$_d/guards" ] && break
      sleep 0.0$_l
    done
    printf 'b\n' >&6; printf '+b\n' >&5; TMOUT=$_i
    sh -c '_c=$2; eval "$1"; exec "$@" "$_c" 2>&9 9>&-' sh "$_z" "$_c" \
      </dev/null >&8 5>&- 6>&- 8>&- 9>&9
    _s=$?; TMOUT=0
  else
    ( TMOUT=$_i; exec >&8 2>&9 8>&- 9>&-; printf 'b\n' >&6; printf '+b\n' >&5
      exec 5>&- 6>&-; eval "$_z"; exec "$@" "$_c" )
    _s=$?
  fi
  exec 8>&- 9>&-
  case $_s in 129|143|257|271|385|399) [ "$_t" ] || sleep 0.5 5>&- 6>&-;; esac
  printf '+e %s %s %s %s\n' "${_t:--}" "${_h:--}" "$_j" "$_x$_s" >&5
  exec 2>/dev/null
  [ "$_t" ] && while kill -s 0 "$_j"; do wait "$_j"; done
) | kill -s KILL $$
""",
    NODE_GRACE=str(NODE_GRACE),
)
# Four processes beside the command: the runner, whose child is the command; the keeper, which reads
# the orders and alone makes the record of the end; the guard, which ends the command where the
# keeper was killed; and, for a time limit and after SIGTERM, a timer. See ``script`` for the
# reasons of lines that both scripts have.
# - `( ... ) | kill -s KILL $$`: the keeper must go on while the sh that starts it returns at once.
#   A command that a sh starts with `&` has SIGINT and SIGQUIT ignored permanently, and so would the
#   job. The first part of a pipeline does not, but the sh waits for it: so the second part kills
#   that sh, its own parent, once the first part was begun.
# - `sleep 0.5` after SIGTERM or SIGHUP of the command: whoever signals all processes one by one, as
#   logind does, may reach the keeper a moment later, and then the keeper knows who it was. On a
#   loaded machine that moment was longer than 0.1 s.
# - The command is on standard input and no argument: a user's `pkill -f train.py` must not find the
#   keeper, and a command that is too long fails as it does elsewhere.
# - Both lines are read before anything is done: a part of a command never runs.
# - `refused` is written before `go` is made: where there is no such directory, the keeper ends, and
#   whoever looks finds a command that has never begun, and why.
# - `go` is made after all files were opened, and `end.tmp` says `b` before the command begins:
#   where `go` exists, `end.tmp` is untouched and nobody has `life` open, the command has never
#   begun.
# - `end.tmp` has its size from the beginning, and is written in place with one write: a full disk
#   loses no status. A whole record there counts, even if its keeper was killed before the rename.
# - Only the runner has `orders` open for writing for long, so that the keeper reads its end when
#   the runner was killed. Whoever tells something opens it for that moment, for reading and
#   writing: this neither waits nor ends by SIGPIPE. Once a command is ended, the keeper holds it
#   itself: the runner may end before the rest of the group.
# - The keeper's standard output is a pipe to the guard, and nobody else has it: its end without a
#   line means that the keeper was killed. The record that the guard makes then says so.
# - `life` is open in the runner, the keeper and the guard, not in the command and the timers: its
#   end is the moment at which nothing changes any more.
# - SIGTERM and SIGHUP that reach the runner are noted: where nobody has ordered the end, they came
#   from outside. The keeper and the guard ignore signals already when they are forked; a command
#   may signal its group in its first moment. AT&T's ksh forgets signals that were ignored before a
#   fork, so there they ignore them themselves, and the runner waits until they do.
# - In AT&T's ksh a signal ends a `read` even where it is ignored: a read that fails is repeated,
#   and fails again at once at the end.
# - Lines of the protocol begin with a plus sign: the shell's own message about a signal, which
#   comes the same way, does not.
# - Killed with the group: the record comes first. Where SIGTERM was ordered the record waits until
#   the group and its session are empty, and by then only the keeper's own processes are in them. So
#   the last kill also ends the timer.
# - Where somebody has removed the folder, nobody can tell the keeper anything: the timer ends the
#   command itself.
# - The timer of a time limit that was not reached is killed by its number: it and its `sleep`
#   ignore signals, are children of the keeper, and end by themselves only at the limit. The second
#   turn of its loop is for a `sleep` that takes whole seconds only.
