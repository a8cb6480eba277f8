"""One declared value: the same in every role, and as text too, since `-e KEY=VALUE` makes text of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import declare_values
from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_access
from ansible_collections.condafleet.core.plugins.module_utils.declare_condarc import check_condarc
from ansible_collections.condafleet.core.plugins.module_utils.declare_environments import check_environments
from ansible_collections.condafleet.core.plugins.module_utils.declare_miniconda import check_miniconda
from ansible_collections.condafleet.core.plugins.module_utils.declare_shell_init import check_shell_init
from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError


def condarc(name: str, value: Any) -> Any:
    return check_condarc({"prefix": "/opt/m", name: value}, None, None)["condarc"]["texts"]["auto_activate"]


def environments(name: str, value: Any) -> Any:
    values = {"prefix": "/opt/m", "root": "/opt/c", "list": [], "targets": {"a": {"platform": "linux-64"}}}
    return check_environments({**values, name: value})


def validation(name: str, value: Any) -> Any:
    return check_validation({"environments": [], name: value}, None, {})


def shell_init(name: str, value: Any) -> Any:
    values = {"prefix": "/opt/m", "shells": ["bash"], "scope": "system", "starts": ["login"], "mode": "full"}
    return check_shell_init({**values, "state": "present", name: value})


def removal(name: str, value: Any) -> Any:
    return check_miniconda({"prefix": "/opt/m", "state": "absent", name: value}, {}, None)


BOOLEANS: list[tuple[Callable[[str, Any], Any], str]] = [
    (condarc, "offline"),
    (condarc, "auto_activate"),
    (condarc, "ssl_verify"),
    (environments, "modulefiles"),
    (validation, "rerun"),
    (validation, "enabled"),
    (shell_init, "replace"),
    (removal, "purge"),
]


@pytest.mark.parametrize(("role", "name"), BOOLEANS, ids=[name for _role, name in BOOLEANS])
def test_a_boolean_is_taken_as_text_too(role: Callable[[str, Any], Any], name: str) -> None:
    for text, meant in (("true", True), ("yes", True), ("True", True), ("false", False), ("no", False)):
        assert role(name, text) == role(name, meant)
    assert role(name, "true") != role(name, "false")
    with pytest.raises(InputError, match=f"_{name}: maybe is not accepted. Accepted: true, false.*Next: "):
        role(name, "maybe")


NUMBERS: list[tuple[Callable[[str, Any], Any], str]] = [
    (removal, "keep"),
    (removal, "timeout"),
    (validation, "epochs"),
    (validation, "timeout"),
    (environments, "timeout"),
    (lambda name, value: check_access({name: value}), "retries"),
    (lambda name, value: check_access({name: value}), "download_timeout"),
]


@pytest.mark.parametrize(("role", "name"), NUMBERS, ids=[name for _role, name in NUMBERS])
# The last is a digit to Python's str, and no number to its int.
@pytest.mark.parametrize("wrong", [True, -1, 1.5, "soon", None, "", "1_0", "\N{SUPERSCRIPT TWO}"])
def test_a_number_is_whole(role: Callable[[str, Any], Any], name: str, wrong: Any) -> None:
    assert role(name, "7") == role(name, 7)
    with pytest.raises(InputError, match=f"_{name}: .*whole .*Next: correct it"):
        role(name, wrong)


def test_a_text_is_no_list() -> None:
    with pytest.raises(InputError, match=r"x_list: a,b is not accepted. Accepted: a list of a, b"):
        declare_values.some_of("x_list", "a,b", ["a", "b"])
    with pytest.raises(InputError, match=r"x_list: \[\] .*Next: name at least one of them"):
        declare_values.some_of("x_list", [], ["a", "b"])
    with pytest.raises(InputError, match=r"x_list: c is not accepted. Accepted: a, b"):
        declare_values.some_of("x_list", ["a", "c"], ["a", "b"])
    assert declare_values.some_of("x_list", ["b", "a", "b"], ["a", "b"]) == ["b", "a"]


@pytest.mark.parametrize("wrong", [True, "nan", 2, None, [1]])
def test_a_share(wrong: Any) -> None:
    assert declare_values.share("x_share", "0.5", "0.05") == 0.5
    with pytest.raises(InputError, match=r"x_share: .*a share from 0 to 1, such as 0.05"):
        declare_values.share("x_share", wrong, "0.05")
