"""A text -> YAML that is parsed as exactly that text.

Rule 1: a text that any YAML parser might read as something else is quoted.
Rule 2: nothing here knows the file that the text is written to; the caller parses the result.
"""

from __future__ import annotations

import re

import yaml

_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that need an escape on one line: controls, line breaks of YAML, a byte-order mark.

The set is listed directly: the long ranges of its complement compile ten times as slowly.
"""

_BARE = re.compile(r"(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`=<~.]|-(?=[^\s\-])|--(?=\w)|\.(?!\.\.)|[=<~])")
"""How a text without quotes may begin; this leaves out a few that YAML allows."""

_YAML_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_HARMLESS = {f"tag:yaml.org,2002:{name}" for name in ("str", "bool", "null")}
"""The types that other programs may give a text without quotes.

Texts of other types make some programs fail: ``=``, ``<<``, a 30th of February, ``0x_``.
"""

_RESOLVER = yaml.resolver.Resolver()

_NAMED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def one_line(text: str, *, flow: bool = False) -> str:
    """Write a text on one line: plain if that is safe, else quoted.

    Args:
        text: any text.
        flow: whether it is inside brackets or braces.
    """
    if _UNPRINTABLE.search(text):
        return quoted(text)
    if _is_plain(text, flow=flow):
        return text
    if "'" in text and '"' not in text and "\\" not in text:
        return quoted(text)
    return "'" + text.replace("'", "''") + "'"


def quoted(text: str) -> str:
    """Write a text in double quotes on one line, with escapes: the style for every text."""
    return '"' + re.sub(rf'["\\]|{_UNPRINTABLE.pattern}', _escaped, text) + '"'


def literal(text: str, indent: str) -> list[str] | None:
    r"""Write a text as the lines of a literal block, the first of them its ``|``.

    Args:
        text: a text of several lines.
        indent: the indentation of its lines.

    Returns:
        The lines; None if YAML has no literal block for the text: it has characters that would
        need escapes, begins with a blank or a line break, or ends in several line breaks.
    """
    body = text.removesuffix("\n")
    unfit = _UNPRINTABLE.search(text.replace("\n", "").replace("\t", ""))
    if unfit or not body or body[0] in " \t\n" or body[-1] in " \t\n":
        return None
    header = "|" if text.endswith("\n") else "|-"
    return [header, *(indent + line if line else "" for line in body.split("\n"))]


def _is_plain(text: str, *, flow: bool) -> bool:
    if not _BARE.match(text) or text[-1] in " :":
        return False
    if ": " in text or " #" in text:
        return False
    if flow and re.search(r"[,\[\]{}:?]", text):
        return False
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag in _HARMLESS or _YAML_NUMBER.fullmatch(text) is not None


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
