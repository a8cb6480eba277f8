"""A node on which the build really fails, since somebody broke its conda: the second gate, before the switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import scenario

BROKEN = "tg3"
Stand = Callable[[], dict[str, str]]
Provision = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def broken_conda() -> Iterator[None]:
    """conda's own program ends with an error, on one node."""
    conda = "/opt/miniconda3/bin/conda"
    program = "#!/bin/sh\\necho broken by hand >&2\\nexit 1\\n"
    done = scenario.fleet().ssh(
        BROKEN, f"mv {conda} {conda}.kept && printf '{program}' > {conda} && chmod 755 {conda}; {conda}; [ $? = 1 ]"
    )
    assert done.returncode == 0, done.stderr
    yield
    scenario.fleet().ssh(BROKEN, f"mv {conda}.kept {conda}")


@pytest.mark.usefixtures("broken_conda")
def test_a_failed_build_keeps_all_from_switching(stand: Stand) -> None:
    before = stand()
    done = scenario.play("condafleet.core.site", "--extra-vars=together_which=third")
    words = scenario.words(done)
    assert done.returncode == 2, words
    assert "environments_may_fail: 1 of 3 nodes are not staged, and a share of 0 may be missing." in words
    assert "Nothing was switched, on any node." in words
    assert "broken by hand" in words.rpartition("environments_may_fail")[2]
    assert stand() == before


@pytest.mark.usefixtures("broken_conda")
def test_or_the_others_switch_and_it_is_named(stand: Stand, provision: Provision) -> None:
    code, report, said = provision(together_which="third", environments_may_fail=0.34)
    assert code == 1, said
    assert report["gate"]["plan"]["missing"] == 0
    gate = report["gate"]["stage"]
    assert (gate["missing"], gate["passed"], gate["groups"][0]["nodes"]) == (1, True, [BROKEN])
    assert "broken by hand" in gate["groups"][0]["text"]
    assert report["hosts"][BROKEN]["status"] == "failed"
    assert "1 of 3 are not staged" in said
    assert stand() == {"tg1": "third", "tg2": "third", BROKEN: "first"}


def test_once_it_is_mended_one_run_brings_it_along(stand: Stand) -> None:
    done = scenario.play("condafleet.core.site", "--extra-vars=together_which=third")
    assert done.returncode == 0, scenario.words(done)
    assert set(stand().values()) == {"third"}
