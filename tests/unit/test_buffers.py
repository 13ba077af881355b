"""Bytes in pieces are the same bytes, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pegasus.buffers import Buffer, byte_at, without

some = st.lists(st.binary(max_size=5))


def cut(pieces: list[bytes]) -> list[Buffer]:
    """Make every other piece a view, as writers do."""
    return [memoryview(piece) if number % 2 else piece for number, piece in enumerate(pieces)]


@given(some, st.data())
def test_what_is_left(pieces: list[bytes], data: st.DataObject) -> None:
    """Without what was written the rest is left, all of it and nothing else."""
    whole = b"".join(pieces)
    count = data.draw(st.integers(0, len(whole)))
    assert b"".join(without(cut(pieces), count)) == whole[count:]


@given(some.filter(any), st.data())
def test_a_byte(pieces: list[bytes], data: st.DataObject) -> None:
    """A byte is found in whichever piece it is."""
    whole = b"".join(pieces)
    index = data.draw(st.integers(0, len(whole) - 1))
    assert byte_at(cut(pieces), index) == whole[index]
