"""Builds the site of these documents with Sphinx: ``nox -s docs``.

The source folder is the repository, so that links from docs/ to README.md, examples/ and other
files work in the site as they do on a Git host. docs/index.md is the table of contents, and
examples/README.md lists the examples: a page that neither links to is an error.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils.nodes import document
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

PART = re.compile(r"^## (.*)\n((?:(?!## ).*\n)*)", re.MULTILINE)
PAGE = re.compile(r"\]\(([^)#:]+)\.md\)")

project = "Pegasus"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/**", "benchmarks/*.md"),
    *("examples/*.md", "examples/*/*.md"),
]
myst_heading_anchors = 4  # the anchors that Git hosts give to headings
html_theme = "furo"
html_title = "Pegasus"
html_copy_source = False
html_extra_path = ["site"]  # its index.html leads from the root of the site to docs/index.html


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Add the links of the two lists of pages as contents: Git hosts would show the directive."""
    parts = PART.findall(source[0]) if name == root_doc else [("Examples", source[0])]
    if name in {root_doc, "examples/README"}:
        for title, text in parts:
            pages = "\n".join(PAGE.findall(text))
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"


def accept_folders(app: Sphinx, tree: document) -> None:
    """Accept a link to a folder, which a Git host lists; the site has no page for it."""
    here = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(tree.findall(pending_xref)):
        if link["reftype"] == "myst" and (here / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def setup(app: Sphinx) -> None:
    """Add what differs from Sphinx's defaults."""
    app.connect("source-read", add_contents)
    app.connect("doctree-read", accept_folders)
    for language in ("template", "result"):  # of docs/reference/templates.md
        app.add_lexer(language, TextLexer)
