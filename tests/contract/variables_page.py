"""The tables of variables, made from the argument specs: `python -m tests.contract.variables_page` writes them all.

They stand in docs/variables.md and, role by role, in the roles' READMEs. The tests beside this hold them to the specs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).parents[2]
PAGE = REPO / "docs" / "variables.md"
ROLES = sorted(path for path in (REPO / "roles").iterdir() if (path / "tasks").is_dir())
# In the order in which site.yml runs them.
ORDER = ("miniconda", "shell_init", "environments", "validation")
LONGEST = 60  # characters of a default; what is longer is told by its file
HEAD = ["| variable | default | meaning |\n", "|---|---|---|\n"]
# No role's: the playbooks take them with `-e`, or from the inventory.
OF_PLAYBOOKS = {
    "condafleet_hosts": ("all", "The hosts that the playbooks work on, as a pattern."),
    "condafleet_report_path": (None, "Where the controller writes the report of a run, as JSON."),
    "condafleet_lock_environments": ([], "The environments that the playbook `lock` works on; all where empty."),
    "condafleet_lock_targets": ([], "The targets that the playbook `lock` works on; all where empty."),
    "condafleet_status_files": (True, "Whether `status` compares every file of the installation with its sha256."),
    "condafleet_dependants_seconds": (
        10,
        "Seconds that `status` may search users' homes for virtual environments and kernels; 0 for no search.",
    ),
}
INTRODUCTION = """\
# Variables

Every variable of every role, as its argument spec tells it. Written by `make docs`; change the specs, not this page.
What is *unset* has no default. A role's check says what is wrong with a value before any node is touched.
"""


def page() -> str:
    """Return the whole page."""
    specs = {role.name: options_of(role) for role in sorted(ROLES, key=lambda role: ORDER.index(role.name))}
    names = [name for options in specs.values() for name in options]
    shared = {name: option for options in specs.values() for name, option in options.items() if names.count(name) > 1}
    parts = [INTRODUCTION, "\n## Of all roles\n\n", table(shared)]
    for role, options in specs.items():
        own = {name: option for name, option in options.items() if name not in shared}
        parts += [f"\n## {role}\n\n", described({"description": summary_of(role)}), "\n\n", table(own)]
    playbooks = {
        name: {"description": text} | ({} if value is None else {"default": value})
        for name, (value, text) in OF_PLAYBOOKS.items()
    }
    parts += ["\n## Of the playbooks\n\n", table(playbooks)]
    return "".join(parts)


def readme(role: Path) -> str:
    """Return a role's README with its table made anew."""
    before = (role / "README.md").read_text(encoding="utf-8")
    found = re.search(re.escape("".join(HEAD)) + r"(\|.*\n)*", before)
    if not found:
        raise ValueError(f"{role.name}/README.md has no table that begins with {HEAD[0].strip()}")
    return before[: found.start()] + table(options_of(role)) + before[found.end() :]


def table(options: dict[str, Any]) -> str:
    """Return the table for the options of an entry point."""
    rows = [f"| `{name}` | {default(option)} | {described(option)} |\n" for name, option in options.items()]
    return "".join([*HEAD, *rows])


def default(option: dict[str, Any]) -> str:
    """Return a default as people read it."""
    if "default" not in option:
        return "unset"
    value = option["default"]
    # An expression that takes another role's variable is that variable to a reader.
    other = re.fullmatch(r"{{ (\w+) \| default\(.*\) }}", str(value))
    text = other[1] if other else value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text}`" if len(text) <= LONGEST else "see `defaults/main.yml`"


def described(option: dict[str, Any]) -> str:
    """Return a description as one line of Markdown."""
    text = option["description"]
    text = text if isinstance(text, str) else " ".join(text)
    return re.sub(r"\b[VCO]\(([^)]*)\)", r"`\1`", text).replace("|", "\\|")


def options_of(role: Path) -> dict[str, Any]:
    """Return the options of a role's main entry point."""
    return dict(spec_of(role)["main"]["options"])


def summary_of(role: str) -> str:
    """Return what a role does, in one sentence."""
    return str(spec_of(REPO / "roles" / role)["main"]["short_description"]) + "."


def spec_of(role: Path) -> dict[str, Any]:
    text = (role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["argument_specs"])


def main() -> None:
    """Write all tables."""
    for role in ROLES:
        (role / "README.md").write_text(readme(role), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
