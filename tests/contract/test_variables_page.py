"""docs/variables.md has every variable of every role, as the argument specs tell them."""

from __future__ import annotations

import re

from tests.contract.variables_page import OF_PLAYBOOKS, ORDER, PAGE, REPO, ROLES, options_of, page


def test_the_page_is_what_the_specs_make_of_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Next: make docs"


def test_every_variable_stands_there_once() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted({name for role in ROLES for name in options_of(role)} | set(OF_PLAYBOOKS))
    assert {role.name for role in ROLES} == set(ORDER)


def test_what_the_playbooks_take_is_told() -> None:
    taken = {
        name
        for path in (REPO / "playbooks").glob("*.yml")
        for name in re.findall(
            r"(condafleet_\w+) (?:\| default|is (?:not )?(?:ansible\.builtin\.)?defined)", path.read_text()
        )
    }
    # Registered by the playbooks themselves.
    assert taken - {"condafleet_plan", "condafleet_unvalidated"} == set(OF_PLAYBOOKS)
