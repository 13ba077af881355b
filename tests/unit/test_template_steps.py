"""What to write instead of a tag that cannot be read."""

from __future__ import annotations

import pytest

from tests.unit.templates import fault


@pytest.mark.parametrize(
    ("template", "step"),
    [
        ("echo {{gpu}", "Close it with }}. "),
        ("echo {{ gpu } x", "Close it with }}. "),
        ("echo {{{gpu}}", "Close it with }}}. "),
        ("{{ gpu | trim }}", 'Did you mean "trim"? A helper comes first: {{ to_upper_case '),
        ("{{gpu|upper}}", 'Did you mean "to_upper_case"? A helper comes first: {{ to_upper_case '),
        ("{{ gpu | | }}", "A helper comes first: {{ to_upper_case model }}. "),
        ("{{ upper gpu }}", 'Did you mean "to_upper_case"? '),
        ("{{ learning rate }}", "A name with a blank is written {{ [learning rate] }}. "),
        ("{{ tirm gpu }}", 'Did you mean "trim"? '),
        ("{{ {gpu} }}", r"Write \{{ where"),
    ],
)
def test_the_next_step_for_a_tag(template: str, step: str) -> None:
    """The first step is the likely one; how to write braces as text is the last."""
    error = fault(template)
    assert error.instead.startswith(step)
    assert error.instead.endswith(r"Write \{{ where {{ is plain text")
