"""The text of a condarc: YAML that says what was declared, under the names that the installed conda knows."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import condarc

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["yes", "No", "null", "~", "1e5", "0x1f", "1:30", "https://h/a b", "# no", "- x", "", "y", "2.0"])
)
keys = st.text("abcß:#yn \n1", max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


# No deadline: it would measure how busy the machine is.
@settings(deadline=None)
@given(st.dictionaries(keys, values, min_size=1, max_size=4))
def test_whatever_is_rendered_is_read_back_as_declared(declared: dict[str, Any]) -> None:
    assert yaml.safe_load(condarc.render(declared)) == declared


def test_the_usual_text_is_plain_and_stable() -> None:
    own = {"channels": ["conda-forge", "file:///srv/depot/channel"], "solver": None, "auto_activate": False}
    assert condarc.render(condarc.compose(own, {"ssl_verify": "/etc/ca.pem"})) == (
        condarc.HEADER + "channels:\n  - conda-forge\n  - file:///srv/depot/channel\nauto_activate: false\n"
        'notify_outdated_conda: false\nssl_verify: "/etc/ca.pem"\n'
    )


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("24.7.1", "auto_activate_base"),
        ("25.3.1", "auto_activate_base"),
        ("25.5.0", "auto_activate"),
        ("26.7.1", "auto_activate"),
        (None, "auto_activate"),
        ("unknown", "auto_activate"),
    ],
)
def test_auto_activate_has_the_name_that_the_installed_conda_knows(version: str | None, name: str) -> None:
    declared = {"texts": condarc.texts_of(condarc.compose({"channels": ["a"], "auto_activate": False}, {}))}
    settings = yaml.safe_load(condarc.text_for(declared, version))
    assert [key for key in settings if key.startswith("auto_activate")] == [name]


@pytest.mark.parametrize("name", ["auto_activate", "auto_activate_base"])
def test_a_user_s_settings_go_before_our_own_under_whatever_name(name: str) -> None:
    texts = condarc.texts_of(condarc.compose({"auto_activate": False, "solver": "classic"}, {name: True}))
    assert yaml.safe_load(texts["auto_activate"])["auto_activate"] is True
    assert yaml.safe_load(texts["auto_activate_base"])["auto_activate_base"] is True
    renamed = condarc.compose({"solver": "classic"}, {"experimental_solver": "libmamba"})
    assert (renamed["solver"], "experimental_solver" in renamed) == ("libmamba", False)


def test_conda_which_knows_no_mirrors_is_led_to_the_first_one() -> None:
    mirrored = {
        "conda-forge": ["https://a.example/x/conda-forge/", "https://b.example/conda-forge"],
        "odd": ["https://a.example/api/odd-remote"],
        "defaults": ["https://a.example/main"],
    }
    own = {"channels": ["conda-forge"], "mirrored_channels": mirrored}
    settings = condarc.compose(own, {})
    assert settings["mirrored_channels"] == mirrored
    assert settings["custom_channels"] == {"conda-forge": "https://a.example/x"}
    assert settings["custom_multichannels"] == {"odd": ["https://a.example/api/odd-remote"]}
    assert settings["default_channels"] == ["https://a.example/main"]
    elsewhere = condarc.compose(own, {"custom_channels": {"conda-forge": "https://c.example"}, "default_channels": []})
    assert elsewhere["custom_channels"] == {"conda-forge": "https://c.example"}
    assert elsewhere["default_channels"] == []


def test_a_file_is_shown_without_its_credentials() -> None:
    text = "channels:\n  - https://u:pw@h/t/tk-1/x\n  - 'https://h/t/tk-2'\n  - https://h/plain\n"
    shown = condarc.without_credentials(text)
    assert "pw" not in shown and "tk-" not in shown
    assert "https://h/plain" in shown
