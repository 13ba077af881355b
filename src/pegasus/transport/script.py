r"""The shell on a sub-node: some lines of POSIX sh that run one command after the other.

The same lines run everywhere: over SSH they are the remote command, on localhost the argument of
``sh -c``. So a job has the same environment on both.

The protocol, on standard input: the mark; for each command a line ``job`` with its environment (the
run, the job, the sub-node, then possibly ``encoded`` or ``plain``, how the command is started, and
the variables of its slots) and a line with the command itself; at any time the name of a signal for
the command, or an empty line, which means nothing; ``bye`` when nothing more will come. On both
outputs: the output of the account's start-up files; MARK ``r`` when ready; the command's output;
MARK ``e``; then MARK ``r`` once more, or MARK ``x`` when the shell exits. On standard error there
is a MARK ``b`` when the command begins. The MARK ``e`` there is followed by how the command ended:
the shell's own message about a signal, if it has one, and the exit status, as the shell reports it,
with a leading ``=`` where the status alone distinguishes a signal from an exit status. A MARK ``e``
with an exit status and no MARK ``b`` before it means that the command never began.

Rule 1: standard input is the lifeline: its end, for any reason but ``bye``, ends the command's
process group.
Rule 2: a shell takes another command only when nothing is left of the one before: no process that
could print into the next one's output, or be ended with it.
"""

from __future__ import annotations

import string

from pegasus.launch import NO_LAUNCH, Launch, start_code
from pegasus.model import Exited, Killed, Lost, NotStarted, Outcome
from pegasus.starting import refused_in
from pegasus.transport.environment import Environment
from pegasus.transport.parts import assemble

ORPHAN_GRACE = 5
"""Seconds between SIGTERM and SIGKILL for a command after Pegasus was killed: shorter than for an
aborted one, so that everything has ended after ten seconds."""

NEW_PROCESSES_LIMIT = 256
"""Processes that began on the node during a command and are checked afterwards, one by one; for
more of them a new shell is cheaper."""

_SCRIPT = r"""set +u; unset _m _v _g _l _p _t _q _o _n _f _w _c _s _u _i _k _x _e _y _z _d
read -r _p _l </proc/self/stat && set -- "$1" ${_l##*")" } && _g=$4
if [ "$_p" = $$ ]; then _e=$_g; elif [ "$1" ] && [ -z "$_p" ]; then _e=$(ps -o pgid= -p $$); fi
if [ "$1" ] && [ "${_e:-$$}" -ne $$ ]; then
  command -v setsid >/dev/null && exec setsid sh -c "$1"
  (set -m) && set -m
  case $- in *m*)
    sh -c "$1" <&0 &
    exec </dev/null >/dev/null 2>&1
    wait $!; exit
  esac
fi
_i=$TMOUT; TMOUT=0
IFS= read -r _m || exit 0
[ "$_p" = $$ ] && [ "$5" = "$_g" ] && [ -e /proc/1/stat ] &&
  read -r _l _l _l _l _n </proc/loadavg && [ /proc/self/fd/1 -ef /proc/$$/fd/1 ] && _v=1
exec 4>&1 5>&2 2>/dev/null
@HANDLERS@
_a :
( _a ''; exec 4>&- 5>&- 2>/dev/null
  @FINISH@
  read -r p l </proc/self/stat || p=$(exec sh -c 'echo $PPID')
  printf '%s\n' "$p"
  while read -r s l; do
    case $s in
      job) IFS= read -r c || break; printf '%s%s\n%s\n' "$_m" "$l" "$c" || exit;;
      bye) exit;;
      '') ;;
      *) finish "$s";;
    esac
  done
  exec </dev/null >/dev/null
  finish TERM; sleep @ORPHAN_GRACE@; finish KILL
) | ( _a :; trap '_t=1; [ ! "$_d" ] || over' TERM; exec 2>&1
  @DIALECT@
  clean() {
    [ "$_q" ] && [ -z "$_t" ] && read -r _o _l </proc/uptime &&
      [ $((${_o%.*} - ${_u%.*})) -le 1 ] || return 1
    _o=$_q
    while read -r _l _l _l _l _n </proc/loadavg && [ "$_n" != "$_o" ]; do
      [ "$_n" -gt "$_o" ] && [ $((_n - _q)) -lt @NEW_PROCESSES_LIMIT@ ] || return 1
      while [ "$_o" -lt "$_n" ]; do
        _o=$((_o + 1))
        [ -e /proc/$_o/stat ] && IFS= read -r _l </proc/$_o/stat || continue
        set -- ${_l##*")" }
        [ "$1" = Z ] && continue
        [ "$4" = "$_g" ] && return 1
        for _f in /proc/$_o/fd/*; do
          if [ "$_f" = "/proc/$_o/fd/*" ]; then
            IFS= read -r _l </proc/$_o/stat || break
            set -- ${_l##*")" }; [ "${21}" = 0 ] || return 1
          elif [ "$_f" -ef /proc/self/fd/4 ] || [ "$_f" -ef /proc/self/fd/5 ]; then return 1
          fi
        done
      done
    done
    [ "$_o" != "$_q" ]
  }
  left() {
    for _f in /proc/[0-9]*/stat; do
      IFS= read -r _l <"$_f" || continue
      _f=${_f#/proc/}; _f=${_f%/stat}; set -- ${_l##*")" }
      { [ "$3" = "$_g" ] || [ "$4" = "$_g" ]; } && [ "$1" != Z ] &&
        [ "$_f" != $$ ] && [ "$2" != $$ ] && [ "$2" != "$_w" ] && return
    done
    return 1
  }
  over() {
    [ ! "$_d" ] || _t=
    _d=; exec 2>/dev/null
    if [ "$_t" ]; then
      if [ "$_g" ]; then while left; do sleep 0.1 || sleep 1; done
      else while kill -s 0 "$_w"; do sleep 1; done
      fi
    fi
    kill -s KILL "$_w"
    printf '%sx\n' "$_m"
    exit
  }
  IFS= read -r _w
  [ "$_v" ] && read -r _l _l _l _l _o </proc/loadavg &&
    [ "$_w" -gt "$_n" ] && [ "$_w" -le "$_o" ] || _v=
  printf '%sr\n' "$_m"
  _d=1
  [ "$_t" ] || while IFS= read -r _l; do
    case $_l in *"$_m"*) IFS= read -r _c || break;; *) continue;; esac
    set -f; set -- ${_l#*"$_m"}; set +f
    export PEGASUS_RUN="$1" PEGASUS_JOB="$2" PEGASUS_SUB_NODE="$3"
    [ "$4" = encoded ] && { _c=$(printf "$_c"; printf .); _c=${_c%.}; }
    _z='set -- sh -c --'; case $5 in ''|-) ;; *) _z=$(printf "$5");; esac
    if [ "$6" ]; then shift 5; else set --; fi
    _d= _q=
    [ "$_v" ] && read -r _u _l </proc/uptime && read -r _l _l _l _l _q </proc/loadavg
    if [ "$_k" ]; then
      ( exec </dev/null >&4 2>&5; eval "$_z" ) && printf '%sb@LINE_END@' "$_m" >&5 && { TMOUT=$_i
        sh -c 'while [ $# -gt 2 ]; do export "$1"; shift; done
          _c=$2; eval "$1"; exec "$@" "$_c" 2>&5 5>&-' sh "$@" "$_z" "$_c" </dev/null >&4 4>&- 5>&5
      }
      _s=$?; TMOUT=0
    else
      ( TMOUT=$_i; [ ! "$1" ] || export "$@"
        exec </dev/null >&4 2>&5 4>&- 5>&- && eval "$_z" &&
          printf '%sb@LINE_END@' "$_m" >&2 && exec "$@" "$_c" )
      _s=$?
    fi
    clean 2>/dev/null || { printf '%se %s%s\n' "$_m" "$_x" $_s; break; }
    printf '%sn %s%s\n' "$_m" "$_x" $_s
    _d=1; [ "$_t" ] && break
  done
  over
) | ( _a ''; k=
  while IFS= read -r l; do
    case $l in
      "$_m"[rx]) printf '%s@LINE_END@' "$l" >&4; printf '%s@LINE_END@' "$l" >&5
        [ "$l" = "${_m}x" ] && exit;;
      "$_m"n*) l=${l#"$_m"n}; printf '%se%sr@LINE_END@' "$_m" "$_m" >&4
        printf '%se%s%s\n%sr@LINE_END@' "$_m" "$k" "$l" "$_m" >&5; k=;;
      "$_m"e*) l=${l#"$_m"e}; printf '%se@LINE_END@' "$_m" >&4
        printf '%se%s%s\n' "$_m" "$k" "$l" >&5; k=;;
      *) k="$k$l";;
    esac
  done
  printf '%se@LINE_END@' "$_m" >&4; printf '%se%s\n' "$_m" "$k" >&5
)
"""


def _assemble(line_end: str) -> str:
    return assemble(
        _SCRIPT,
        ORPHAN_GRACE=str(ORPHAN_GRACE),
        NEW_PROCESSES_LIMIT=str(NEW_PROCESSES_LIMIT),
        LINE_END=line_end,
    )


NODE_SCRIPT = _assemble("")

LINES_SCRIPT = _assemble(r"\n")
"""The same, with a line end behind each mark: for what passes on whole lines only."""

# Four processes: the first one, which waits; the watcher, which reads the lifeline; the runner,
# whose child is the command; and the reporter, which alone writes marks after the command has
# ended.
# The reasons:
# - A process group of its own: otherwise `kill -s NAME 0` would end everything that shares the
#   group. OpenSSH makes one for each command; dropbear and tinysshd do not, and there the group is
#   that of the connection. Over SSH the script is its own first argument, so that it can start
#   itself again as the leader of a group: with setsid, or with `set -m` in a sh that needs no
#   terminal for that. Where there is neither, it stays in the group that it has.
# - TMOUT: bash and ksh would treat a `read` that waits this long as the end of the lifeline.
# - bash prints no messages about signals when it is called as sh, so its POSIX mode is turned off.
# - Handlers for all signals that can be handled (`_a`): a command may send any of them to its
#   whole group, and the shells above it must survive to report it. The signals are numbers, since
#   not all shells know the same names. Left out are SIGKILL, and SIGSTOP, SIGTSTP, SIGCONT,
#   SIGCHLD, SIGTTIN, SIGTTOU and SIGWINCH, which end nothing, by the numbers of Linux and of BSD;
#   and 32 and 33, which belong to the C library. Those above 31 are tried first: where a system
#   does not have them, an unknown number in `trap` ends some shells.
# - yash and AT&T's ksh have their own numbers for signals: a status with a leading `=` is exact.
# - The first process reports nothing: how the watcher ended is not relevant to the job.
# - Each variable that is set has a name that no account uses, and is unset first: a variable that
#   is exported by the account stays exported when it is set again, and would show the mark to the
#   command.
# - `kill -s NAME 0` signals the shell's own process group and nothing else, in every sh; different
#   kills interpret negative numbers differently.
# - The watcher reads with the shell's own `read`: this needs no process and reads no byte too
#   many.
# - A process group of its own within the job's session (`timeout`, `set -m`) is ended as well,
#   where /proc lists it: process by process, and only if the session is the shell's own, which is
#   so if and only if it has the number of the shell's group. SIGKILL is sent until no process is
#   found, since new ones may begin meanwhile.
# - Handlers that do nothing (`trap :`) instead of ignored signals: the command gets the defaults.
# - The runner's standard error is the pipe to the reporter: the shell's message there ("Killed")
#   is what distinguishes a signal from an exit status of 128 and more, and it must not mix with
#   the output of the command.
# - The process that becomes the command itself reports the beginning: a signal that came earlier
#   could be lost in a shell that has forked and has not reset its handlers yet. But AT&T's ksh
#   treats a signal that comes while it waits for a subshell as the end of the subshell. So there
#   the command is not run in one, and SIGTERM in its first moment is lost; SIGKILL is not. The
#   message of that ksh about a signal goes to the standard error that the command has when it
#   begins, so a sh in between opens the command's own; and 5 is named, since it would otherwise be
#   closed for the command.
# - The variables of slots are exported where only the command gets them: the next command of the
#   same shell may be of a job that takes none.
# - A command runs only if its beginning could be reported. So where the runner reports a status and
#   nothing has reported a beginning, the command certainly never began: too few open files, for
#   example, and each command would otherwise seem to fail. A report without a status is no proof,
#   since the runner may have been killed just before its child began.
# - How a command is started is a line of sh of our own making, with the user's words quoted: it
#   changes the directory and sets the words of the shell. It runs before the beginning is reported,
#   in the process that becomes the command: so where there is no such directory, the command has
#   certainly not begun. AT&T's ksh runs it once more, see above.
# - `clean`: whatever a command left behind is younger than the command. So only processes are
#   checked whose numbers were assigned since, up to the newest, which /proc/loadavg contains; this
#   is repeated until no number was assigned during the check. Another command needs a new shell if
#   one of them belongs to the shell's session, or has an end of its pipes open, or cannot be
#   checked (unless it has no memory any more, and so is ending). The same holds where the numbers
#   are useless: without /proc, with that of another process namespace or one that hides processes,
#   with numbers that do not increase or are not those of this /proc (a container may show its
#   host's), and after more than a second, in which the numbers may wrap around.
# - The dot that keeps a command's last newlines is in no encoding the second byte of a letter, as
#   an `x` may be (Shift JIS, GBK), and SendEnv may have sent such a locale.
# - The lines that the watcher passes to the runner contain the mark, and the runner ignores
#   others: a command can write into that pipe.
# - SIGTERM ends a shell that has no command (`_d` is set), also while it reads: Slurm sends it to
#   all processes of an allocation that ends. The handler does this itself, since bash and zsh begin
#   to read again after it, and a signal just before the read would have no effect in any shell.
#   Such a shell has nothing to wait for.
# - In mksh printf is a program: a signal to the whole group may end it before it has reported how a
#   command ended, and the command is lost. `echo` is no way out: in AT&T's ksh it exports a
#   variable of its own, which the next command would see.
# - A command that gets SIGTERM may leave processes of its group behind that need some time; the
#   watcher stays for the SIGKILL until they have ended. Where there is no /proc, the wait is
#   always as long as the grace.
# - A reporter whose runner exits without a report only reports the end: the runner was killed, and
#   the command may continue until the lifeline is closed.
# - The watcher exits before the shell reports its exit: closing the lifeline afterwards must not
#   end what the command left in the background on purpose.

_UNQUOTED_BYTES = frozenset(
    (string.ascii_letters + string.digits + " _-+=:,./@(){}[]<>|&;#~*?^").encode()
)
"""Bytes that no known login shell treats specially between single quotes."""


def encode(text: str) -> str:
    r"""Return a text as a ``printf`` format that prints it, in one plain line.

    The first byte is always written as a number: a format must not begin with a dash.
    """
    return "".join(
        chr(byte) if index and byte in _UNQUOTED_BYTES else f"\\{byte:03o}"
        for index, byte in enumerate(text.encode())
    )


def hand_over(
    words: str, command: str, variables: Environment = (), launch: Launch = NO_LAUNCH
) -> bytes:
    """Return the two lines that hand a command over; a command that is plain text is not encoded.

    Args:
        words: the command's environment: the run, the job, the sub-node.
        command: what to run.
        variables: more of its environment; their values are single words.
        launch: how it is started.
    """
    plain = command.isascii() and command.isprintable()
    start = "-" if launch == NO_LAUNCH else encode(start_code(launch)).replace(" ", r"\040")
    more = "".join(f" {name}={value}" for name, value in variables)
    more = f" {start}{more}" if more or start != "-" else ""
    form = "" if plain and not more else " plain" if plain else " encoded"
    return f"job {words}{form}{more}\n{command if plain else encode(command)}\n".encode()


def remote_command(script: str = NODE_SCRIPT) -> str:
    """Return the remote command that starts the shell under any login shell."""
    return f'exec sh -c \'set -- "$(printf "{encode(script)}")"; eval "$1"\''


def read_end(words: str, unbegun: str | None = None) -> Outcome:
    """Parse the shell's report of the end of a command: its own message, and the status.

    Args:
        words: the report.
        unbegun: what the shell printed, where the command has not begun; None where it has.

    For a signal N a shell returns 128 + N, ksh 256 + N, yash 384 + N. Only the message
    distinguishes the first from an exit status. There is no message for SIGINT and SIGPIPE; there
    the number decides, unless a leading ``=`` marks it as exact.
    """
    message, _, number = words.strip("\n").rpartition(" ")
    exact, number = number.startswith("="), number.removeprefix("=")
    if not number:
        return Killed(9)  # the runner did not report the end; only SIGKILL ends it without a report
    if not (number.isascii() and number.isdigit()):
        return Lost(f"its shell sent an invalid end message: {words!r}")
    if unbegun is not None:
        cause = (unbegun or message).strip()
        unknown = "the shell on the node could not begin the command"
        return refused_in(cause) or NotStarted(cause or unknown)
    status = int(number)
    if status > 256:
        return Killed((status - 256) % 128)
    if not exact and status > 128 and (message.strip() or status in {128 + 2, 128 + 13}):
        return Killed(status - 128)
    return Exited(status)
