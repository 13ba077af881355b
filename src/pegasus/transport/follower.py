r"""The session's side of detached commands: some lines of POSIX sh that start and follow keepers.

Arguments: the directory in which the folders are, and the text of the keeper.

The protocol, on standard input: the mark; ``key KEY`` prepares a folder for the next command;
``job`` with its words, and a line with the command, starts it; ``follow KEY`` follows one that
another session has started; ``tail OUT ERR`` begins to send its output, from these bytes on, and
``untail`` ends that; ``order +TERM`` or ``+KILL`` goes to its keeper; ``alive`` reports the end if
the waiter was killed; ``release KEY`` removes a folder; ``bye`` ends the session.

The reports are lines that begin with the mark and a letter, on standard error. ``k KEY``: a folder
is ready; ``p``: it cannot be made; ``q``: no output comes any more (all three on both outputs);
``f``: the node is refused; ``d KEY 1``: a folder is gone; ``x``: the session ends. About a command,
after its key: ``b``: it has begun; ``n``: it can never begin; ``e``: its end, with the sizes of its
outputs and the record; ``l``: it has ended without a record; ``g``: its folder is gone.

Rule 1: a session starts commands and ends none, however it ends itself.
Rule 2: whoever makes ``go`` in a folder decides: its keeper, that the command begins, or a session,
that it never does.
"""

from __future__ import annotations

from pegasus.transport.keeper import KEEPER_SCRIPT, RECORD_SIZE
from pegasus.transport.parts import assemble
from pegasus.transport.script import encode

FOLDERS_BASE = "/var/tmp"  # noqa: S108 -- the folder in it is checked
"""Where the folder of a user's folders is: what is here survives a restart and is not on NFS."""

FOLLOWER_SCRIPT = assemble(
    r"""set +u; unset _a _b _d _e _f _h _i _k _l _m _n _o _p _r _t _u _v _w _x _y _z
_i=$TMOUT; TMOUT=0; _b=$1 _k=$2
IFS= read -r _m || exit 0
exec 4>&1 5>&2 2>/dev/null
@HANDLERS@
_a :
say_of() { say "$1${_d##*/} $2"; }
say() { printf '%s%s\n' "$_m" "$1" >&5; }
both() { printf '%s%s\n' "$_m" "$1" >&4; say "$1"; }
refuse() { say "f$1"; exit 1; }
_u=$(id -u); _r=$_b/pegasus-$_u
[ "$_u" ] || refuse "The node has no id."
_t=$(mkdir -m 700 "$_r" 2>&1)
_l=$(ls -ldn "$_r")
set -f; set -- $_l; set +f
case $1 in
  "") refuse "The folder $_r cannot be made: ${_t##*: }.";;
  l*) refuse "The folder $_r is a link. Remove it.";;
  d*) ;;
  *) refuse "$_r is no folder. Remove it.";;
esac
[ "$3" = "$_u" ] || refuse "The folder $_r belongs to another user (number $3)."
case $1 in
  drwx------*) ;;
  *) refuse "The folder $_r is open to other users ($1). Run chmod 700 $_r.";;
esac
command -v mkfifo >/dev/null || refuse "The node has no mkfifo."
tail -c +1 </dev/null || refuse "The node has no tail that begins at a byte (tail -c +N)."
_v=
command -v setsid >/dev/null && _v=setsid || {
  (set -m) && set -m
  case $- in
    *m*) set +m;;
    *) refuse "The node has no setsid, and its sh cannot make process groups (set -m).";;
  esac
}
_b=
read -r _b </proc/sys/kernel/random/boot_id && IFS= read -r _l </proc/1/stat &&
  { set -f; set -- ${_l##*")"}; set +f; _b="$_b ${20}"; }
held() {
  [ -p "$1/life" ] &&
    ( trap '' 13; exec 8<>"$1/life" 9>"$1/life" 8>&- && $_h '?\n' >&9 )
}
prepare() {
  _n=$_r/$1
  for _f in 1 2 3 4 5 6 7 8 9; do
    if mkdir -m 700 "$_n" && mkfifo "$_n/life" "$_n/orders" && : >"$_n/out" && : >"$_n/err" &&
      printf '%s\n' "$_b" >"$_n/boot" && printf '%-@PADDING@s\n' . >"$_n/end.tmp" &&
      [ -p "$_n/life" ] && command exec 6<>"$_n/life" && [ ! -e "$_n/go" ]
    then return 0
    fi
    drop
  done
  return 1
}
drop() { [ ! "$_n" ] || { exec 6>&-; rm -rf "$_n"; _n=; }; }
settle() { [ ! -e "$1/go" ] && mkdir "$1/go" && : >"$1/never"; }
size() { _f=0; [ ! -s "$1" ] || _f=$(wc -c <"$1"); _f=$((_f)); }
logind() {
  _f=$(busctl --timeout=2 get-property org.freedesktop.login1 /org/freedesktop/login1 \
    org.freedesktop.login1.Manager KillUserProcesses)
  [ "$_f" = "b true" ] || { [ ! "$_f" ] && [ -d /run/systemd/sessions ] && grep -Eqsi \
    '^ *KillUserProcesses *= *(yes|true|on|1) *$' /etc/systemd/logind.conf \
    /etc/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf \
    /usr/lib/systemd/logind.conf.d/*.conf; }
}
report() {
  settle "$_d"
  [ -d "$_d" ] || { say_of g; return; }
  IFS= read -r _l <"$_d/boot" || _l=?
  _z=; [ "$_l" = "$_b" ] || _z=r
  IFS= read -r _l <"$_d/end" || IFS= read -r _l <"$_d/end.tmp" || _l=
  size "$_d/out"; _o=$_f; size "$_d/err"; _e=$_f; _f=-
  case $_l in
    "e - "*" .")
      case $_l in *" t "*) logind && _f=u;; esac
      say_of e "$_o $_e $_f $_l";;
    "e "*" .")
      case $_l in "e k "*) logind && _f=u;; esac
      say_of e "$_o $_e $_f $_l";;
    ". "*|"b "*)
      if [ "$_z" ]; then say_of l "$_o $_e r"
      elif [ "${_l%%b*}" ]; then
        IFS= read -r _l <"$_d/refused" || _l=
        say_of n "$_l"
      else
        logind && _f=u
        say_of l "$_o $_e $_f"
      fi;;
    *) say_of l "$_o $_e d";;
  esac
}
follow() {
  ( exec </dev/null 6>&-
    while IFS= read -r _l <&7; do [ "$_l" != b ] || say_of b; done
    exec 7<&-
    report
  ) &
  _w=$!
  exec 7<&-
}
launch() {
  _d=$_n _n=
  if ! [ -p "$_d/life" ] || ! command exec 7<"$_d/life"; then exec 6>&-; say_of n; return; fi
  [ "$_v" ] || set -m
  { printf '%s\n%s\n' "$1" "$2"; } |
    ( TMOUT=$_i; exec >/dev/null 4>&- 5>&- 7<&-
      [ ! "$_v" ] || exec setsid sh -c "$_k" keeper "$_d" 6<&6
      exec sh -c "$_k" keeper "$_d" 6<&6 )
  [ "$_v" ] || set +m
  exec 6>&-
  follow
}
untail() {
  [ ! "$_p" ] || { kill -s KILL "$_p" "$_t"; wait "$_p" "$_t"; }
  _p= _t=
}
quit() {
  untail
  [ ! "$_w" ] || kill -s KILL "$_w"
  [ "$1" ] || exit
  drop
  both x
  exit
}
_n= _p= _t= _w= _h=printf
[ "$KSH_VERSION" ] && (eval ': "${.sh.version}"') && _h="env printf"
while IFS= read -r _l; do
  set -f; set -- $_l; set +f
  case $1 in
    key) prepare "$2" && both "k$2" || both "pNo folder can be made in $_r. Is the disk full?";;
    job) IFS= read -r _x || break
      launch "${_l#job }" "$_x"; _x=;;
    follow) _d=$_r/$2
      if [ -d "$_d" ] && ! settle "$_d" && [ ! -e "$_d/never" ] && [ -p "$_d/life" ]; then
        say_of b
        exec 8<>"$_d/life" 7<"$_d/life" 8>&-
        follow
      else report
      fi;;
    order)
      if settle "$_d"; then report
      elif [ -p "$_d/orders" ]; then printf '%s\n' "$2" 1<>"$_d/orders"
      fi;;
    tail)
      ( exec tail -c +$(($2 + 1)) -f "$_d/out" </dev/null >&4 4>&- 5>&- 6>&- ) & _p=$!
      ( exec tail -c +$(($3 + 1)) -f "$_d/err" </dev/null >&5 4>&- 5>&- 6>&- ) & _t=$!;;
    untail) untail; both q;;
    release)
      [ "$_n" != "$_r/$2" ] || drop
      [ "$_d" != "$_r/$2" ] || { untail; _w=; }
      _f=$_r/${2:-.}
      if [ "$2" ] && { [ -e "$_f/never" ] || settle "$_f" || ! held "$_f"; }; then
        rm -rf "$_f/end.tmp" "$_f" || rm -rf "$_f"
      fi
      [ -e "$_f" ] && say "d$2 0" || say "d$2 1";;
    alive) (:); [ ! "$_w" ] || kill -s 0 "$_w" || report;;
    bye) quit 1;;
  esac
done
quit
""",
    PADDING=str(RECORD_SIZE - 1),
)
# Processes: the session, which reads the orders; for a command the waiter, which reads `life` to
# its end and reports; and two `tail`, only while output is needed.
# - `life` is held by the session itself from the preparation of a folder to the hand-over, and by
#   the keeper, which inherits it. A reader opens it for reading and writing, then for reading only,
#   and closes the first: so the opening does not wait, and the end comes when the last holder is
#   gone, however it went. No process number is needed, and no clock.
# - `held`: a write to a FIFO that nobody else has open fails. AT&T's ksh does not notice this with
#   its own printf. The line that is written means nothing to a reader.
# - `[ -p ... ]` before each opening: `<>` would make a file where there is none, and a redirection
#   of `exec` that fails ends some shells; `command exec` does not.
# - `boot` identifies the start of the node, and of a container on it: the start time of process 1.
#   A folder from before a restart tells nothing about the command: what was written last may not
#   have reached the disk.
# - `never` says that a session has made `go`: then nobody needs to wait for another session that
#   still holds `life`, behind a connection that is broken and has not noticed it.
# - A session that ends without `bye` leaves the folder that it has prepared: its key may be
#   recorded as that of a command, and whoever follows it learns that it never began.
# - `end.tmp` is removed before all else: a keeper that makes `go` anew while the folder is being
#   removed finds none, and starts nothing.
# - The tails are killed by their numbers; they are children of the session. `( exec tail )`: yash
#   would start a child for the tail otherwise.
# - A keeper needs a process group of its own, without which it would be ended with the session:
#   setsid, or `set -m` in a sh that needs no terminal for that.
# - 6 and 7 are named for the keeper, since AT&T's ksh and mksh pass no other descriptors on.
# - KillUserProcesses is only asked for where a keeper was killed or got SIGTERM from outside.


def follower_arguments(base: str = FOLDERS_BASE) -> list[str]:
    """Return the arguments of the script."""
    return [base, KEEPER_SCRIPT]


def follower_command(base: str = FOLDERS_BASE) -> str:
    """Return the remote command that starts the script under any login shell.

    It reads the scripts, since they are longer than the 9,000 bytes that dropbear accepts as a
    command.
    """
    return (
        "exec sh -c 'unset _x _y; IFS= read -r _y && IFS= read -r _x && "
        f'set -- {base} "$(printf "$_y")" "$(printf "$_x")" && eval "$3"\''
    )


def follower_lines() -> bytes:
    """Return the lines that the remote command reads: the two scripts."""
    return "".join(f"{encode(text)}\n" for text in (KEEPER_SCRIPT, FOLLOWER_SCRIPT)).encode()
