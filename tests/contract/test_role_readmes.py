"""The table of variables in a role's README is made from its argument spec, so that both say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.variables_page import ROLES, default, described, options_of, table


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_the_readme_has_the_table_of_the_argument_spec(role: Path) -> None:
    assert table(options_of(role)) in (role / "README.md").read_text(), "Next: make docs"


def test_a_default_and_a_description_as_people_read_them() -> None:
    assert default({"default": "{{ miniconda_prefix | default('/opt') }}"}) == "`miniconda_prefix`"
    assert [default({"default": value}) for value in ("", [], True, "0755")] == ['`""`', "`[]`", "`true`", "`0755`"]
    assert described({"description": ["V(a) or C(b)."]}) == "`a` or `b`."
