"""The blocks of guides that say so are run here, in their order, on nodes with stand-ins.

The stand-ins are what the guides are about and the test nodes lack: a Python with a name, Docker,
conda and modules. Each of them is what it is on a real node: a program, or a function of a shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.blocks import GUIDES, Block, read_blocks
from tests.e2e.guide_reader import PYTHON, Reader
from tests.e2e.runner import Pegasus
from tests.e2e.ssh_config import SshConfig
from tests.nodes import Node, Nodes

HERE = "tests/e2e/test_guides.py"
LIMIT_OF_GUIDE = 600  # seconds
PAGES = (
    "containers.md",
    "environments.md",
    "sweeps.md",
    "add-and-retry.md",
    "many-runs.md",
    "programs-and-agents.md",
    "from-parallel.md",
    "from-pdsh-and-clush.md",
)

DOCKER = """\
#!/bin/sh
# Hands over the words, and starts no shell, as Docker does.
action=$1; shift
[ "$action" = ps ] && { printf '%s\\n' "$2" >>"$HOME/started"; exit; }
while :; do
  case $1 in
    -e) case $2 in *=*) export "$2";; esac; shift 2;;
    --name) shift 2;;
    --rm) shift;;
    *) break;;
  esac
done
shift
exec "$@"
"""

CONDA = """\
conda() { [ "$1" = activate ] && PATH=$HOME/miniconda3/envs/$2/bin:$PATH; }
"""

CONDA_RUN = """\
#!/bin/sh
[ "$1 $2 $3" = 'run --no-capture-output -n' ] || exit 64
PATH=$HOME/miniconda3/envs/$4/bin:$PATH
shift 4
exec "$@"
"""

MODULE = """\
module() { [ "$1" = load ] && PATH=$HOME/modules/$2/bin:$PATH; }
"""

ACTIVATE = "PATH=$HOME/project/.venv/bin:$PATH\n"


def give(node: Node, name: str, text: str) -> None:
    """Give a node a file, which may be a program."""
    path = node.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def furnish(node: Node) -> None:
    """Give a node the stand-ins."""
    places = ("bin", "miniconda3/envs/train/bin", "project/.venv/bin", "modules/cuda/bin")
    for place in places:
        give(node, f"{place}/python", PYTHON)
    give(node, "bin/docker", DOCKER)
    give(node, "miniconda3/etc/profile.d/conda.sh", CONDA)
    give(node, "miniconda3/bin/conda", CONDA_RUN)
    give(node, "project/.venv/bin/activate", ACTIVATE)
    give(node, ".bashrc", "PATH=$HOME/bin:$PATH\n")
    give(node, ".bash_profile", MODULE)


def started(nodes: Nodes) -> list[str]:
    """Return what the stand-ins on all nodes have noted, without the homes."""
    notes = [(node.home / "started", str(node.home)) for node in nodes]
    return [
        line.replace(home, "~")
        for path, home in notes
        if path.exists()
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def of_this_test(page: str) -> list[Block]:
    """Return the blocks of a page that are run here."""
    return [block for block in read_blocks(GUIDES / page) if block.words == HERE]


@pytest.fixture
def nodes_of_guides(make_nodes: Callable[..., Nodes]) -> Nodes:
    """Two nodes with stand-ins."""
    nodes = make_nodes(2)
    for node in nodes:
        furnish(node)
    return nodes


@pytest.mark.timeout(LIMIT_OF_GUIDE)
@pytest.mark.parametrize("page", PAGES)
def test_a_guide(pegasus: Pegasus, nodes_of_guides: Nodes, page: str) -> None:
    """What a guide says works, step by step."""
    reader = Reader(pegasus.on(nodes_of_guides))
    for block in of_this_test(page):
        reader.do(block)


def test_environments(pegasus: Pegasus, nodes_of_guides: Nodes) -> None:
    """Each way to an environment runs the Python of this environment."""
    reader = Reader(pegasus.on(nodes_of_guides))
    ways = [b for b in of_this_test("environments.md") if b.text.startswith("# queue.yaml")]
    conda, venv, module, quoted = ways[:4]
    expected = {
        conda: "~/miniconda3/envs/train/bin/python",
        venv: ".venv/bin/python train.py",
        module: "~/modules/cuda/bin/python project/train.py",
        quoted: "~/modules/cuda/bin/python project/train.py --name it's",
    }
    for block, python in expected.items():
        for node in nodes_of_guides:
            (node.home / "started").unlink(missing_ok=True)
        reader.do(block)
        lines = started(nodes_of_guides)
        assert lines
        assert all(python in line for line in lines), block.place


def test_why_conda_activate_fails(pegasus: Pegasus, nodes_of_guides: Nodes) -> None:
    """A function of a start-up file is unknown to a command (environments.md)."""
    for node in nodes_of_guides:
        give(node, ".bashrc", f"case $- in *i*) ;; *) return;; esac\n{CONDA}")
    two = pegasus.on(nodes_of_guides)
    done = two.run("q", queue="- conda activate train && python train.py\n")
    assert "exit status: 127" in done.stderr
    assert "conda: not found" in done.stderr


def test_a_text_for_a_container(pegasus: Pegasus, nodes_of_guides: Nodes) -> None:
    """`quote` takes a text to the shell in the container unchanged (containers.md)."""
    (block,) = (b for b in of_this_test("containers.md") if "quote script" in b.text)
    two = pegasus.on(nodes_of_guides)
    hosts = "- hostname: [node-1, node-2]\n  container: [gpu0, gpu1]\n"
    done = two.run("q", hosts=hosts, queue=block.text)
    assert re.search(r"\] it's \d+ files\n", done.stdout), done.stderr


def of_ssh(word: str) -> str:
    """Return the ssh configuration of ssh.md with a word in it."""
    (block,) = (b for b in of_this_test("ssh.md") if word in b.text)
    return block.text


def test_only_known_hosts(pegasus: Pegasus, ssh: SshConfig) -> None:
    """With the setting of ssh.md, a host that was not entered is refused; without it, accepted."""
    empty = "Host *\n  UserKnownHostsFile /dev/null\n"
    for setting, status in ((of_ssh("StrictHostKeyChecking"), 2), ("", 0)):
        ssh.path.write_text(f"{setting}{empty}  Include {pegasus.nodes.ssh_config}\n")
        pegasus.queue_file.write_text("- echo hello\n", encoding="utf-8")
        pegasus.write_hosts("- node-1\n")
        files = [f"--hosts-file={pegasus.hosts_file}", f"--queue-file={pegasus.queue_file}"]
        done = pegasus.start_bare("q", *files, f"--ssh-config={ssh.path}").wait()
        assert done.status == status, done.stderr
        assert ("Host key verification failed" in done.stderr) == (status == 2)


def test_a_jump_host(pegasus: Pegasus, ssh: SshConfig) -> None:
    """With the setting of ssh.md, the connection to node-2 goes through node-1."""
    ssh.path.write_text(f"{of_ssh('ProxyJump')}Host *\n  Include {pegasus.nodes.ssh_config}\n")
    pegasus.queue_file.write_text("- echo ${SSH_CONNECTION%% *}\n", encoding="utf-8")
    pegasus.write_hosts("- node-2\n")
    files = [f"--hosts-file={pegasus.hosts_file}", f"--queue-file={pegasus.queue_file}"]
    before = pegasus.nodes["node-1"].connections()
    done = pegasus.start_bare("q", *files, f"--ssh-config={ssh.path}").wait()
    assert done.status == 0, done.stderr
    assert pegasus.nodes["node-1"].connections() == before + 1
