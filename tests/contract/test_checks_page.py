"""docs/checks.md has every check of the catalog and every GPU model with figures."""

from __future__ import annotations

import re

from tests.contract.checks_page import FIGURES, PAGE, limit, page, row, source

from ansible_collections.condafleet.core.plugins.module_utils import check_catalog, gpu_figures
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME, CHECKS, Check


def test_the_page_is_what_the_code_makes_of_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Next: make docs"


def test_every_check_stands_there_once() -> None:
    listed = re.findall(r"^\| `([\w.]+)` \| \d+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [check.name for check in CHECKS]


def test_a_row_says_limit_source_and_time_limit() -> None:
    assert limit(BY_NAME["host.shm"]) == "at least 1.0"
    assert source(BY_NAME["host.shm"]) == check_catalog.SHM
    assert limit(BY_NAME["gpu.ecc"]) == "at most 0"
    assert limit(BY_NAME["speed.memory"]) == "by the model, below; not far below the others"
    assert source(BY_NAME["speed.memory"]) == "the model's row; the fleet's median"
    assert limit(BY_NAME["gpu.recovery"]) == "-"
    assert row(Check("a.b", 2, "smoke", "node", "", "x | y?", 7)).endswith("x \\| y? | - | the check itself | 7 |\n")


def test_every_model_has_its_figures() -> None:
    for name, figures in FIGURES.items():
        (line,) = re.findall(rf"^\| {re.escape(name)} \|.*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        for figure in figures.values():
            assert f"| {figure.least:g} |" in line
        assert "data sheet" in line
    assert len(FIGURES) == len(gpu_figures.known())
