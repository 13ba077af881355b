"""The variables that tell a command its slots."""

from __future__ import annotations

import pytest

from pegasus.model import HeldSlots, Slot, SlotsHeld
from pegasus.transport.environment import Environment, slots_environment
from pegasus.transport.script import hand_over
from tests.contract import GPU_VARIABLES, GPUS


def test_gpus() -> None:
    """A command gets the UUIDs of its GPUs, and the text of its template for each pool."""
    lines = sorted(f"{name}={value}\n" for name, value in slots_environment(GPUS))
    assert "".join(lines) == GPU_VARIABLES


TWO = (Slot("0"), Slot("1", "GPU-1"))


@pytest.mark.parametrize(
    ("slots", "variables"),
    [
        ((), ()),
        ((HeldSlots("seat", TWO),), (("PEGASUS_SLOTS_SEAT", "0,1"),)),
        ((HeldSlots("gr\u00fcn.a", ()),), (("PEGASUS_SLOTS_GR_N_A", ""),)),
        (
            (HeldSlots("gpu", (), "nvidia"),),
            (
                ("PEGASUS_SLOTS_GPU", ""),
                ("CUDA_VISIBLE_DEVICES", ""),
                ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
            ),
        ),
        (
            (HeldSlots("gpu", TWO, "amd"),),
            (("PEGASUS_SLOTS_GPU", "0,1"), ("ROCR_VISIBLE_DEVICES", "0,GPU-1")),
        ),
        (
            (HeldSlots("big", TWO[:1], "nvidia"), HeldSlots("small", TWO[1:], "nvidia")),
            (
                ("PEGASUS_SLOTS_BIG", "0"),
                ("PEGASUS_SLOTS_SMALL", "1"),
                ("CUDA_VISIBLE_DEVICES", "0,GPU-1"),
                ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
            ),
        ),
    ],
)
def test_variables(slots: SlotsHeld, variables: Environment) -> None:
    """Only pools of GPUs set a vendor's variable, which names no GPU where the command has none."""
    assert slots_environment(slots) == variables


def test_a_slot_of_any_name_is_one_word() -> None:
    """Whatever a probe has printed, a slot ends no word and no line of the protocol."""
    odd = (Slot("a b\nbye\x1e\udcff\x00"), Slot("`x`;$(y)*\\"))
    (pair,) = slots_environment((HeldSlots("seat", odd),))
    assert pair == ("PEGASUS_SLOTS_SEAT", "a_b_bye___,`x`;$(y)*\\")
    assert len(hand_over("run 1 0", "x", (pair,)).split(b"\n")[0].split()) == 7
