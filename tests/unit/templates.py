"""What the tests of templates share: the usual values, a rendered text, a fault."""

from __future__ import annotations

import pytest

from pegasus.errors import TemplateFault
from pegasus.template import Template

VALUES = {"hostname": "node-1", "model": "meta/llama", "gpu": "0", "empty": ""}


def fill(template: str, **more: str) -> str:
    """Fill a template with the usual values and some more."""
    return Template(template).fill({**VALUES, **more})


def fault(template: str, **more: str) -> TemplateFault:
    """Give the fault that filling it in runs into."""
    with pytest.raises(TemplateFault) as caught:
        fill(template, **more)
    return caught.value
