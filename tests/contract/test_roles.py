"""What a user may set stands once in defaults/, once in the argument spec, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[2]
ROLES = sorted(path for path in (REPO / "roles").iterdir() if (path / "tasks").is_dir())
# Shared by all roles; each role names them in its argument spec, and none gives them a default.
SHARED = {"depot_url", "depot_sha256"}


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text()) or {}


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
class TestRole:
    def test_defaults_are_exactly_what_the_argument_spec_gives_a_default(self, role: Path) -> None:
        defaults = load(role / "defaults" / "main.yml")
        options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
        own = {name for name in options if name.startswith(f"{role.name}_")}
        required = {name for name, option in options.items() if option.get("required")}
        assert set(defaults) <= own | SHARED, "a default that the argument spec does not know"
        unset = {name for name in own - required - set(defaults) if "default" in options[name]}
        assert not unset, "the argument spec promises a default that defaults/main.yml does not give"

    def test_defaults_have_the_values_that_the_argument_spec_tells(self, role: Path) -> None:
        defaults = load(role / "defaults" / "main.yml")
        options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
        told = {name: option["default"] for name, option in options.items() if "default" in option}
        # A default that is an expression is told in words.
        literal = {name for name in told if name in defaults and "{{" not in str(defaults[name])}
        assert {name: defaults[name] for name in literal} == {name: told[name] for name in literal}

    def test_every_option_is_described(self, role: Path) -> None:
        for point in load(role / "meta" / "argument_specs.yml")["argument_specs"].values():
            assert point["short_description"]
            assert [name for name, option in point.get("options", {}).items() if not option.get("description")] == []

    def test_every_entry_point_has_its_tasks_file(self, role: Path) -> None:
        for point in load(role / "meta" / "argument_specs.yml")["argument_specs"]:
            assert (role / "tasks" / f"{point}.yml").is_file()

    def test_nothing_settable_hides_in_vars(self, role: Path) -> None:
        for path in (role / "vars").glob("*.yml"):
            assert [name for name in load(path) if not name.startswith("__")] == []
