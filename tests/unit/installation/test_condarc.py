"""The text of .condarc: YAML that says what was declared, and channels whose terms were accepted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import condarc
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

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
    text = condarc.render(condarc.compose(["conda-forge", "file:///srv/depot/channel"], {"ssl_verify": "/etc/ca.pem"}))
    assert text == (
        condarc.HEADER + "channels:\n  - conda-forge\n  - file:///srv/depot/channel\nauto_activate_base: false\n"
        'notify_outdated_conda: false\nssl_verify: "/etc/ca.pem"\n'
    )


def test_a_user_s_settings_go_before_our_own() -> None:
    assert condarc.compose(["a"], {"auto_activate_base": True})["auto_activate_base"] is True


@pytest.mark.parametrize(
    "channel",
    [
        "defaults",
        "main",
        "pkgs/r",
        "anaconda/label/dev",
        "https://repo.anaconda.com/pkgs/main",
        "https://REPO.anaconda.com/x/",
        "https://conda.anaconda.org/anaconda",
        "http://conda.anaconda.org/pkgs/msys2/",
    ],
)
def test_anaconda_s_channels_need_their_terms_accepted(channel: str) -> None:
    with pytest.raises(InputError, match="miniconda_tos: accept") as caught:
        condarc.check_channels(["conda-forge", channel], {}, "decline")
    assert channel in caught.value.message
    condarc.check_channels(["conda-forge", channel], {}, "accept")


@pytest.mark.parametrize(
    "channel", ["conda-forge", "nvidia", "https://conda.anaconda.org/conda-forge", "https://mirror.example/main"]
)
def test_other_channels_do_not(channel: str) -> None:
    condarc.check_channels([channel], {}, "decline")


def test_defaults_may_be_a_mirror_of_one_s_own() -> None:
    condarc.check_channels(["defaults"], {"default_channels": ["https://mirror.example/main"]}, "decline")
    with pytest.raises(InputError, match="defaults"):
        condarc.check_channels(["defaults"], {"default_channels": ["https://repo.anaconda.com/pkgs/main"]}, "decline")


@pytest.mark.parametrize(
    ("channels", "extras", "tos", "told"),
    [
        ([], {}, "decline", "at least one channel"),
        ("conda-forge", {}, "decline", "a list"),
        (["nodefaults"], {}, "decline", "leave it out"),
        (["conda forge"], {}, "decline", "miniconda_channels: conda forge"),
        (["ftp://h/x"], {}, "decline", "http, https or file"),
        (["conda-forge"], {"channels": ["x"]}, "decline", "miniconda_channels"),
        (["conda-forge"], [], "decline", "mapping"),
        (["conda-forge"], {}, "yes", "accept, decline"),
    ],
)
def test_what_is_refused(channels: Any, extras: Any, tos: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        condarc.check_channels(channels, extras, tos)


@pytest.mark.parametrize("url", ["https://user:s3cret@h/x", "https://h/t/s3cret/x", "https://h/t/s3cret"])
def test_credentials_are_refused_and_not_repeated(url: str) -> None:
    for channels, extras in (([url], {}), (["a"], {"proxy_servers": {"https": url}}), (["a"], {"x": [url]})):
        with pytest.raises(InputError) as caught:
            condarc.check_channels(channels, extras, "decline")
        assert "s3cret" not in caught.value.message
