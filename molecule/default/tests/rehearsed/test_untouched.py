"""After a run in check mode on bare nodes."""

from __future__ import annotations


def test_a_rehearsal_writes_nothing(written: list[str]) -> None:
    assert written == []
