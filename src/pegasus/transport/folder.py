"""The private folder of a run's control sockets, and of the configuration that ssh is called with.

Rule 1: nobody else can guess its name, or write to it.
Rule 2: it is removed at the end of the run, and also when Pegasus is killed.
Rule 3: where somebody removes it during the run, as cleaners of /tmp do, another one is made.
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

KEEPER = r"""TMOUT=0; trap '' HUP INT TERM QUIT PIPE
d=$(mktemp -d "$1") || exit
printf '%s\n' "$d" && read -r x
rm -rf "$d"
"""
# The directory of the control sockets under guard: the little sh that makes it removes it when its
# lifeline is closed, and so there is no moment at which Pegasus can be killed and leave it behind.
# Its name is made up by the very program that makes it: one that stands on a command line could be
# seen, and taken, by anybody.

PLACE_LIMIT = 50
"""Bytes of the path of the directory for our directory: OpenSSH leaves ninety for the whole path of
a socket, and ours is 23 bytes and a number longer."""

_PLAIN_PATH = re.compile(r"/[\w./@+=:,-]*", re.ASCII)
"""Paths in which ssh finds nothing to expand: no ``%h``, ``${HOME}``, quotes, blanks or ``*``."""

KEEPER_PATIENCE = 2.0
"""Seconds to remove a directory with a few files in it, on a machine that may be busy."""

FALLBACKS = """\
# Written by Pegasus for one run: the user's settings first, since in ssh the first value wins.
{includes}
Host *
  StrictHostKeyChecking accept-new
  ServerAliveInterval 15
  ServerAliveCountMax 3
  ConnectTimeout 20
"""


class Folder:
    """The folder; there is none before the first ``ensure``.

    Args:
        user_config: the file to read instead of the user's and the system's configuration.
        nursery: where the folder is kept.
        on_note: is told that it had to be made anew.

    Attributes:
        path: of the folder that is used now.
        over: set when nothing needs it any more: it is removed then.
    """

    def __init__(
        self, user_config: Path | None, nursery: trio.Nursery, on_note: Callable[[str], None]
    ) -> None:
        self.path = Path()
        self.over = trio.Event()
        # As it is now: the working directory may be another one later.
        self._user_config = user_config.absolute() if user_config else None
        self._nursery = nursery
        self._on_note = on_note
        self._making = trio.Lock()

    @property
    def config(self) -> Path:
        """The configuration that ssh is called with."""
        return self.path / "config"

    async def ensure(self) -> None:
        """Make the folder, where there is none or somebody removed it or what is in it.

        Raises:
            PegasusError: there is no room for one.
        """
        async with self._making:
            if self._stands():
                return
            lost, self.path = self.path, await self._nursery.start(self._keep)
            if lost != Path():
                self._on_note(
                    f"{lost}: this folder of control sockets was removed during the run. Pegasus "
                    f"goes on with {self.path}."
                )

    def _stands(self) -> bool:
        if self._link_needed() and not self._link(self.path).is_symlink():
            return False
        return self.config.is_file()

    async def _keep(  # noqa: ASYNC114 -- ensure has it started by the nursery
        self, task_status: trio.TaskStatus[Path]
    ) -> None:
        """Make a folder, and remove it when all is over, also where all is cancelled."""
        place = _place()
        argv = ["sh", "-c", KEEPER, "pegasus", str(place / "pgs-XXXXXXXXXXXX")]
        async with open_child(argv, KEEPER_PATIENCE) as keeper:
            made = await keeper.stdout.receive_some()
            if not made:
                said = await keeper.stderr.receive_some()
                raise PegasusError(
                    f"No directory can be made: {said.decode(errors='replace').strip()}. "
                    f"Make room for a small one in {place}."
                )
            path = Path(os.fsdecode(bytes(made).removesuffix(b"\n")))
            try:
                self._furnish(path)
            except OSError as error:
                raise PegasusError(
                    f"{path} can't be written to: {error.strerror}. Make room in {place}."
                ) from error
            task_status.started(path)
            # Whoever asked for it may have been cancelled just now: then it is not needed.
            await trio.lowlevel.checkpoint_if_cancelled()
            # Commands are ended over their control sockets, also when all is cancelled.
            with trio.CancelScope(shield=True):
                await self.over.wait()

    def _furnish(self, path: Path) -> None:
        """Write the configuration; a path that ssh would read otherwise gets another name."""
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
    """Give the directory for private directories of sockets."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    plain = _PLAIN_PATH.fullmatch(given) and len(given) <= PLACE_LIMIT
    usable = plain and is_private(Path(given)) and os.access(given, os.W_OK | os.X_OK)
    return Path(given if usable else "/tmp")  # noqa: S108
