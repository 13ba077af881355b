"""The command that prints a completion script.

cyclopts generates the scripts from the commands and their options. For a value that only a file
knows, such as the number of a job, a script calls ``pegasus __complete WORDS...``, which cyclopts
answers with ``pegasus.candidates``. Commands of a later version need a new script.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal, TypeAlias

from pegasus.cli.app import app
from pegasus.cli.help import PREPARE
from pegasus.errors import ExitStatus

CompletingShell: TypeAlias = Literal["bash", "zsh", "fish"]

HOW_TO_INSTALL: dict[CompletingShell, str] = {
    "bash": "pegasus completion bash > ~/.local/share/bash-completion/completions/pegasus",
    "zsh": "pegasus completion zsh > DIRECTORY/_cyclopts_pegasus, with a DIRECTORY of $fpath",
    "fish": "pegasus completion fish > ~/.config/fish/completions/pegasus.fish",
}
"""Where each shell looks for a script. The function in that of zsh has the name of its file."""


@app.command(
    name="completion",
    group=PREPARE,
    usage="Usage: pegasus completion bash|zsh|fish",
    help_epilogue="Example: `pegasus completion fish > ~/.config/fish/completions/pegasus.fish`",
)
def completion(shell: CompletingShell, /) -> int:
    """Print the script with which a shell completes command lines.

    Args:
        shell: Its first lines say where the script belongs.
    """
    from pegasus.standard_streams import STDOUT, write

    with suppress(BrokenPipeError):  # the user has seen enough
        write(STDOUT, script(shell).encode())
    return ExitStatus.SUCCESS


def script(shell: CompletingShell) -> str:
    """Generate the script for a shell, with a line that says how to install it."""
    first, _, rest = app.generate_completion(shell=shell).partition("\n")
    # The first line of the script for zsh says what it completes, so it stays the first.
    return f"{first}\n# Install it: {HOW_TO_INSTALL[shell]}\n{rest}"
