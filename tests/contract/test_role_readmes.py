"""The table of variables in a role's README is made from its argument spec, so that both say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).parents[2]
ROLES = sorted(path for path in (REPO / "roles").iterdir() if (path / "tasks").is_dir())
LONGEST = 60  # characters of a default; what is longer is told by its file


def table(options: dict[str, Any]) -> str:
    """Return the table for the options of an entry point."""
    rows = [f"| `{name}` | {default(option)} | {described(option)} |\n" for name, option in options.items()]
    return "".join(["| variable | default | meaning |\n", "|---|---|---|\n", *rows])


def default(option: dict[str, Any]) -> str:
    if "default" not in option:
        return "unset"
    value = option["default"]
    # An expression that takes another role's variable is that variable to a reader.
    other = re.fullmatch(r"{{ (\w+) \| default\(.*\) }}", str(value))
    text = other[1] if other else value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text}`" if len(text) <= LONGEST else "see `defaults/main.yml`"


def described(option: dict[str, Any]) -> str:
    text = option["description"]
    text = text if isinstance(text, str) else " ".join(text)
    return re.sub(r"\b[VCO]\(([^)]*)\)", r"`\1`", text).replace("|", "\\|")


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_the_readme_has_the_table_of_the_argument_spec(role: Path) -> None:
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert table(spec["main"]["options"]) in (role / "README.md").read_text()


def test_a_default_and_a_description_as_people_read_them() -> None:
    assert default({"default": "{{ miniconda_prefix | default('/opt') }}"}) == "`miniconda_prefix`"
    assert [default({"default": value}) for value in ("", [], True, "0755")] == ['`""`', "`[]`", "`true`", "`0755`"]
    assert described({"description": ["V(a) or C(b)."]}) == "`a` or `b`."
