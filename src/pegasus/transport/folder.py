"""The private folder of a run's control sockets, and of the configuration that ssh is called with.

Rule 1: no other user can guess its name or write to it.
Rule 2: it is removed at the end of the run, and also when Pegasus is killed.
Rule 3: where something removes it during the run, as cleaners of /tmp do, a new one is made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import trio

from pegasus.errors import PegasusError
from pegasus.ownership import is_private
from pegasus.process import open_child

FOLDER_SCRIPT = r"""TMOUT=0; trap '' HUP INT TERM QUIT PIPE
d=$(mktemp -d "$1") || exit
printf '%s\n' "$d" && read -r x
rm -rf "$d"
"""
# A small sh makes the directory of the control sockets, and removes it when its standard input is
# closed. So there is no moment at which Pegasus can be killed and leave the directory behind. The
# program that makes the directory also chooses its name: every user could see a name on a command
# line, and take it.

PLACE_LIMIT = 50
"""Bytes of the path of the parent directory: OpenSSH allows ninety for the path of a socket, and
the path of ours is 23 bytes and a number longer than that of the parent."""

_PLAIN_PATH = re.compile(r"/[\w./@+=:,-]*", re.ASCII)
"""Paths in which ssh expands nothing: no ``%h``, ``${HOME}``, quotes, blanks or ``*``."""

REMOVAL_LIMIT = 2.0
"""Seconds to remove a directory with a few files in it, on a busy machine."""

FALLBACKS = """\
# Written by Pegasus for one run: the user's settings first, since in ssh the first value wins.
{includes}
Host *
  StrictHostKeyChecking accept-new
  ServerAliveInterval 15
  ServerAliveCountMax 3
  ConnectTimeout 20
"""


class SocketFolder:
    """The folder; it does not exist before the first ``ensure``.

    Args:
        user_config: the file to read instead of the user's and the system's configuration.
        nursery: runs the task that removes the folder.
        on_note: gets a sentence when a new folder had to be made.

    Attributes:
        path: of the folder that is in use.
        unused: set when nothing needs the folder any more; it is removed then.
    """

    def __init__(
        self, user_config: Path | None, nursery: trio.Nursery, on_note: Callable[[str], None]
    ) -> None:
        self.path = Path()
        self.unused = trio.Event()
        # The working directory may change later.
        self._user_config = user_config.absolute() if user_config else None
        self._nursery = nursery
        self._on_note = on_note
        self._making = trio.Lock()

    @property
    def config(self) -> Path:
        """The configuration file that ssh is called with."""
        return self.path / "config"

    async def ensure(self) -> None:
        """Make the folder, unless it exists with its content.

        Raises:
            PegasusError: it can't be made.
        """
        async with self._making:
            if self._exists():
                return
            lost, self.path = self.path, await self._nursery.start(self._keep)
            if lost != Path():
                self._on_note(
                    f"{lost}: this folder of control sockets was removed during the run. Pegasus "
                    f"goes on with {self.path}."
                )

    def _exists(self) -> bool:
        if self._link_needed() and not self._link(self.path).is_symlink():
            return False
        return self.config.is_file()

    async def _keep(  # noqa: ASYNC114 -- ensure has it started by the nursery
        self, task_status: trio.TaskStatus[Path]
    ) -> None:
        """Make a folder, and remove it once it is unused, also after a cancellation."""
        parent = _place()
        argv = ["sh", "-c", FOLDER_SCRIPT, "pegasus", str(parent / "pgs-XXXXXXXXXXXX")]
        async with open_child(argv, REMOVAL_LIMIT) as child:
            made = await child.stdout.receive_some()
            if not made:
                printed = await child.stderr.receive_some()
                raise PegasusError(
                    f"No directory can be made: {printed.decode(errors='replace').strip()}. "
                    f"Make room for a small one in {parent}."
                )
            path = Path(os.fsdecode(bytes(made).removesuffix(b"\n")))
            try:
                self._write_config(path)
            except OSError as error:
                raise PegasusError(
                    f"{path} cannot be written to: {error.strerror}. Make room in {parent}."
                ) from error
            task_status.started(path)
            # The caller may have been cancelled meanwhile; then the folder is not needed.
            await trio.lowlevel.checkpoint_if_cancelled()
            # Commands are ended over their control sockets, also after a cancellation.
            with trio.CancelScope(shield=True):
                await self.unused.wait()

    def _write_config(self, path: Path) -> None:
        """Write the configuration; a path in which ssh would expand something gets a link."""
        if self._user_config is None:
            files = ["~/.ssh/config", "/etc/ssh/ssh_config"]
        elif self._link_needed():
            self._link(path).symlink_to(self._user_config)
            files = [str(self._link(path))]
        else:
            files = [str(self._user_config)]
        includes = "\n".join(f'Include "{file}"' for file in files)
        (path / "config").write_text(FALLBACKS.format(includes=includes))

    def _link_needed(self) -> bool:
        return self._user_config is not None and not _PLAIN_PATH.fullmatch(str(self._user_config))

    def _link(self, path: Path) -> Path:
        return path / "ssh-config"


def _place() -> Path:
    """Return the directory in which the folder is made."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    plain = _PLAIN_PATH.fullmatch(given) and len(given) <= PLACE_LIMIT
    usable = plain and is_private(Path(given)) and os.access(given, os.W_OK | os.X_OK)
    return Path(given if usable else "/tmp")  # noqa: S108
