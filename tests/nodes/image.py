"""The image of the docker nodes, made of this machine's own sshd, shells and tools.

No registry is used: the binaries, the libraries that ldd names and a few files of settings go
into a tar, and that into ``docker import``. It takes about a second, once for a process that
runs tests; a guardian removes the image when that process ends.
"""

from __future__ import annotations

import atexit
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

from tests.nodes import engine
from tests.nodes.errors import NodesFault
from tests.nodes.run import Run
from tests.nodes.shells import SHELLS, find, shell_named

TOOLS = """
    sh sshd awk base64 basename cat chmod cksum comm cp cut date dd df diff dirname echo env expr
    false find fold getent grep gzip head hostname id kill ln ls md5sum mkdir mkfifo mktemp mv nice
    nl nohup nproc od paste printenv printf ps pwd readlink realpath rm rmdir sed seq setsid
    sha256sum sleep sort split stat stty sync tac tail tar tee test timeout touch tr true truncate
    tty uname uniq uptime wc whoami xargs yes
"""
HELPERS = ("sshd-session", "sshd-auth")  # separate programs since OpenSSH 9.8 and 10
SHARES = (  # tools that shells need
    "/usr/share/fish/config.fish",
    "/usr/share/fish/functions",
    "/usr/lib/locale/C.utf8",
)
MOVED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, as in any new Linux
FOLDERS = ("dev", "etc/ssh", "proc", "root", "run/sshd", "sys", "var/empty", "var/mail")
SETTINGS = {
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}


@cache
def image(extra: tuple[Path, ...] = ()) -> str:
    """Return the id of an image with the tools, the installed shells and some more files.

    Raises:
        NodesFault: something is not installed, or the engine refuses.
    """
    run = Run.begin()
    atexit.register(run.end)  # also where the following steps fail
    (run.folder / "docker").touch()  # the guardian uses the engine as well
    labels = [
        f"--change=LABEL {name}={value!r}".replace("'", '"')
        for name, value in engine.labels(run.id, run.owner).items()
    ]
    with tempfile.TemporaryFile(dir=run.folder) as tar:
        write_tar(tar, extra)
        tar.seek(0)
        return engine.docker("import", *labels, "-", stdin=tar)


def write_tar(file: IO[bytes], extra: Iterable[Path]) -> None:
    """Write the image's file system."""
    binaries = {*programs(), *extra}
    files = {inside(path): path for path in (*libraries(binaries), *sorted(binaries))}
    shares = [Path(share) for share in SHARES if Path(share).exists()]
    shares += zsh_modules()
    with tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
        for name in MOVED:
            tar.addfile(link(name, f"usr/{name}"))
        for name in (*FOLDERS, "tmp", *(f"usr/{name}" for name in MOVED)):
            tar.addfile(directory(name))
        for name, text in SETTINGS.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        for place, path in [*sorted(files.items()), *((inside(share), share) for share in shares)]:
            tar.add(path, place, filter=roots)


def programs() -> Iterator[Path]:
    """Yield the installed programs among those that tests may need."""
    wanted = {shell.program for shell in SHELLS.values()} | set(TOOLS.split())
    absent: list[str] = []
    for name in sorted(wanted):
        path = find(name)
        if path is not None:
            yield path
        elif name in {"sh", "sshd", "bash", "ps"}:
            absent.append(name)
    if absent:
        raise NodesFault(
            f"not installed: {', '.join(absent)}; "
            "`apt-get install openssh-server bash procps`, or nox as root, which does it"
        )
    for name in HELPERS:
        for folder in ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib/ssh"):
            path = Path(folder, name)
            if path.exists():
                yield path


def libraries(binaries: Iterable[Path]) -> set[Path]:
    """Return the shared libraries of the binaries, the dynamic loader included."""
    done = subprocess.run(
        ["ldd", *map(str, binaries)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,  # 1 where one of them is static or a script
    )
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}


def zsh_modules() -> list[Path]:
    """Return the folder of zsh's modules, if there is one: even its printf may need one."""
    return sorted(Path("/usr/lib").glob("*/zsh/*/zsh"))[-1:]


def inside(path: Path) -> str:
    """Return a file's name in the tar, where everything from /bin and /lib is in /usr."""
    name = str(path).lstrip("/")
    return f"usr/{name}" if name.partition("/")[0] in MOVED else name


def link(name: str, target: str) -> tarfile.TarInfo:
    """Make a symbolic link."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = target
    return member


def directory(name: str) -> tarfile.TarInfo:
    """Make a folder; only /tmp is writable by all."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    member.mode = 0o1777 if name == "tmp" else 0o755
    return member


def roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make root the owner of a file and the file readable by all."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode |= 0o444
    return member


def image_for(shells: Iterable[str]) -> str:
    """Return the image with these shells.

    Raises:
        NodesFault: one of them is not installed here.
    """
    paths = {name: shell_named(name).path() for name in shells}
    return image(tuple(sorted(path for name, path in paths.items() if name.startswith("/"))))


def account_files(folder: Path, shell: Path, home: Path) -> tuple[str, list[tuple[Path, str]]]:
    """Write passwd, group and shadow for one node; return the account and their paths.

    The account has the uid of the user of the tests, so that each can read the other's files.
    """
    uid, gid = os.getuid(), os.getgid()
    user = "tester" if uid else "root"
    texts = {
        "passwd": f"{user}:x:{uid}:{gid}::{home}:{shell}\nsshd:x:74:74::/run/sshd:/bin/false\n",
        "group": f"{user}:x:{gid}:\nsshd:x:74:\n",
        "shadow": f"{user}:*:1::::::\nsshd:*:1::::::\n",
    }
    if uid:
        texts["passwd"] += "root:x:0:0::/root:/bin/sh\n"
    places: list[tuple[Path, str]] = []
    for name, text in texts.items():
        file = folder / name
        file.write_text(text, encoding="utf-8")
        places.append((file, f"/etc/{name}"))
    return user, places
