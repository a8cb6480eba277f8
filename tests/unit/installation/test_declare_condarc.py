"""What conda shall read, as declared: one clear error each, and channels whose terms were accepted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.condafleet.core.plugins.module_utils.channel_terms import addresses_of, needs_terms
from ansible_collections.condafleet.core.plugins.module_utils.declare_condarc import check_condarc
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

MIRROR = "https://mirror.example/anaconda"


def check(**values: Any) -> dict[str, Any]:
    return check_condarc({"prefix": "/opt/miniconda3", **values}, None, None)


def read(**values: Any) -> dict[str, Any]:
    return yaml.safe_load(check(**values)["condarc"]["texts"]["auto_activate"])


def test_without_a_word_it_is_conda_forge_and_nothing_that_conda_would_do_anyway() -> None:
    assert read() == {"channels": ["conda-forge"], "auto_activate": False, "notify_outdated_conda": False}
    assert check()["condarc"] == {
        "level": "prefix",
        "texts": check()["condarc"]["texts"],
        "solver": None,
        "ca": None,
        "terms": [],
    }


def test_each_variable_becomes_its_setting() -> None:
    found = read(
        channels=["a"],
        channel_alias="https://conda.example/x",
        channel_priority="strict",
        ssl_verify=False,
        pkgs_dirs=["/scratch/pkgs", "~/.conda/pkgs"],
        envs_dirs=["$HOME/envs"],
        solver="libmamba",
        offline=True,
        auto_activate=True,
        proxies={"https": "http://proxy:3128", "no_proxy": ["depot.local", ".example.com", "10.0.0.0/8"]},
        condarc={"always_yes": True, "channel_priority": "flexible"},
    )
    assert found == {
        "channels": ["a"],
        "channel_alias": "https://conda.example/x",
        "channel_priority": "flexible",
        "ssl_verify": False,
        "pkgs_dirs": ["/scratch/pkgs", "~/.conda/pkgs"],
        "envs_dirs": ["$HOME/envs"],
        "solver": "libmamba",
        "offline": True,
        "auto_activate": True,
        "proxy_servers": {"https": "http://proxy:3128", "http://depot.local": "", "https://depot.local": ""},
        "notify_outdated_conda": False,
        "always_yes": True,
    }
    assert check(solver="libmamba")["condarc"]["solver"] == "conda-libmamba-solver"
    assert check(solver="classic")["condarc"]["solver"] is None


def test_a_private_ca_is_what_conda_verifies_with_unless_told_otherwise() -> None:
    ca = "/opt/miniconda3/etc/condafleet/ca.pem"
    assert (read(ca="files/ca.pem")["ssl_verify"], check(ca="files/ca.pem")["condarc"]["ca"]) == (ca, ca)
    assert read(ca="files/ca.pem", ssl_verify="truststore")["ssl_verify"] == "truststore"
    assert check(ca="files/ca.pem", condarc={"ssl_verify": True})["condarc"]["ca"] is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"channels": "conda-forge"}, "miniconda_channels: conda-forge.*a list"),
        ({"channels": ["nodefaults"]}, "leave it out"),
        ({"channels": ["conda forge"]}, "miniconda_channels: conda forge"),
        ({"channels": ["ftp://h/x"]}, "miniconda_channels: ftp://h/x.*http, https or file"),
        ({"channels": [3]}, "miniconda_channels: 3"),
        ({"channel_alias": "conda.example"}, "miniconda_channel_alias: conda.example.*URL"),
        ({"mirrored_channels": ["x"]}, "miniconda_mirrored_channels: .'x'.*its mirrors"),
        ({"mirrored_channels": {"a": []}}, "miniconda_mirrored_channels.a: .*at least one"),
        ({"mirrored_channels": {"a": ["b"]}}, "miniconda_mirrored_channels.a: b"),
        ({"mirrored_channels": {"https://h": ["https://h"]}}, "name the channel as in"),
        ({"channel_priority": "strictest"}, "miniconda_channel_priority: strictest.*strict, flexible, disabled"),
        ({"ssl_verify": "ca.pem"}, "miniconda_ssl_verify: ca.pem.*truststore.*absolute path"),
        ({"pkgs_dirs": ["pkgs"]}, "miniconda_pkgs_dirs: pkgs.*absolute"),
        ({"envs_dirs": "/x"}, "miniconda_envs_dirs: /x.*a list"),
        ({"envs_dirs": ["/x:/y"]}, "miniconda_envs_dirs: /x:/y"),
        ({"solver": "mamba"}, "miniconda_solver: mamba.*libmamba, rattler, classic"),
        ({"offline": "maybe"}, "miniconda_offline: maybe.*true, false"),
        ({"auto_activate": 1}, "miniconda_auto_activate: 1"),
        ({"condarc_level": "user"}, "miniconda_condarc_level: user.*prefix, site"),
        ({"tos": "yes"}, "miniconda_tos: yes.*decline, accept"),
        ({"condarc": []}, None),
        ({"condarc": ["x"]}, "miniconda_condarc.*mapping"),
        ({"condarc": {"channel": ["x"]}}, "miniconda_channels"),
        ({"condarc": {"verify_ssl": True, "ssl_verify": True}}, "two names of ssl_verify"),
        ({"condarc": {"mirrored_channels": {"a": "x"}}}, "miniconda_condarc.mirrored_channels.a"),
    ],
)
def test_one_clear_error(values: dict[str, Any], told: str | None) -> None:
    if told is None:
        check(**values)
        return
    with pytest.raises(InputError, match=told) as caught:
        check(**values)
    assert "Next: " in caught.value.message


@pytest.mark.parametrize("url", ["https://user:s3cret@h/x", "https://h/t/s3cret/x", "https://h/t/s3cret"])
@pytest.mark.parametrize(
    "place",
    [
        lambda url: {"channels": [url]},
        lambda url: {"channel_alias": url},
        lambda url: {"mirrored_channels": {"a": [url]}},
        lambda url: {"condarc": {"x": [url]}},
        lambda url: {"condarc": {"proxy_servers": {"https": url}}},
        lambda url: {"proxies": {"https": url}},
    ],
)
def test_credentials_are_refused_and_not_repeated(url: str, place: Any) -> None:
    with pytest.raises(InputError) as caught:
        check(**place(url))
    assert "s3cret" not in caught.value.message


class TestTerms:
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
    def test_anaconda_s_channels_need_theirs_accepted(self, channel: str) -> None:
        with pytest.raises(InputError, match="miniconda_tos: accept") as caught:
            check(channels=["conda-forge", channel])
        assert channel in caught.value.message
        terms = check(channels=["conda-forge", channel], tos="accept")["condarc"]["terms"]
        assert terms and all(needs_terms(url) and "://" in url for url in terms)

    @pytest.mark.parametrize(
        "channel", ["conda-forge", "nvidia", "https://conda.anaconda.org/conda-forge", "https://mirror.example/main"]
    )
    def test_other_channels_do_not(self, channel: str) -> None:
        assert check(channels=[channel])["condarc"]["terms"] == []

    @pytest.mark.parametrize(
        "values",
        [
            {"channels": ["defaults"], "condarc": {"default_channels": [MIRROR + "/main"]}},
            {"channels": ["main"], "channel_alias": MIRROR},
            {"channels": ["main"], "mirrored_channels": {"main": [MIRROR + "/main"]}},
            {"channels": ["pkgs/main"], "condarc": {"custom_channels": {"pkgs": MIRROR}}},
        ],
    )
    def test_a_mirror_of_one_s_own_has_its_own(self, values: dict[str, Any]) -> None:
        assert check(**values)["condarc"]["terms"] == []

    @pytest.mark.parametrize(
        "values",
        [
            {"channels": ["defaults"], "condarc": {"default_channels": ["https://repo.anaconda.com/pkgs/main"]}},
            {"channels": ["mine"], "mirrored_channels": {"mine": [MIRROR, "https://repo.anaconda.com/pkgs/main"]}},
            {"channels": ["mine"], "condarc": {"custom_multichannels": {"mine": ["conda-forge", "defaults"]}}},
            {"channels": ["mine"], "condarc": {"custom_channels": {"mine": "https://repo.anaconda.com/pkgs"}}},
            {"channels": ["x"], "channel_alias": "https://repo.anaconda.com/pkgs"},
        ],
    )
    def test_a_name_of_one_s_own_that_leads_to_anaconda_needs_them(self, values: dict[str, Any]) -> None:
        with pytest.raises(InputError, match=r"leads to https://repo.anaconda.com/"):
            check(**values)

    def test_conda_that_leaves_the_network_alone_asks_for_none(self) -> None:
        assert check(channels=["defaults"], tos="accept", offline=True)["condarc"]["terms"] == []

    def test_a_token_hides_no_address(self) -> None:
        assert needs_terms("https://conda.anaconda.org/t/tk-1/main/linux-64/x-1-0.conda")
        assert not needs_terms("https://conda.anaconda.org/t/tk-1/conda-forge")

    def test_a_group_that_names_itself_comes_to_an_end(self) -> None:
        assert addresses_of("a", {"custom_multichannels": {"a": ["a"]}}) == ["a"]
