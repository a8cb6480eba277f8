"""The normal form of specs, and whose terms a channel is under."""

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import lockspec

FILE = {
    "name": "whatever",
    "channels": ["conda-forge"],
    "dependencies": ["python=3.11", "numpy  >=1.20", {"pip": ["torch>=2", "keras"]}],
    "variables": {"OMP_NUM_THREADS": 4},
}


def test_a_file_and_inline_lists_that_ask_the_same_are_the_same():
    inline = {
        "conda": ["numpy >=1.20", "python=3.11"],
        "pip": ["keras", "torch>=2"],
        "channels": ["conda-forge"],
        "variables": {"OMP_NUM_THREADS": "4"},
    }
    assert lockspec.normalise("x", FILE) == lockspec.normalise("x", inline) == inline


def test_the_declaration_adds_variables_and_replaces_channels():
    spec = lockspec.normalise("x", FILE, variables={"A": "b", "OMP_NUM_THREADS": "1"}, channels=["other"])
    assert (spec["variables"], spec["channels"]) == ({"OMP_NUM_THREADS": "1", "A": "b"}, ["other"])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("text", "spec is str, not a mapping"),
        ({"dependancies": []}, "spec has 'dependancies', which is not known. Accepted: name,"),
        ({"pip": ["torch"]}, "names no conda package.*add for example 'python=3.11'"),
        ({"conda": "python"}, "conda is 'python'. Accepted: a list"),
        ({"conda": [3.11]}, "3.11 is no text"),
        ({"conda": [{"pipp": []}]}, "is no text"),
        ({"conda": ["https://u:secret@h.invalid/x.conda"]}, "'https://h.invalid/x.conda' is a place"),
        ({"conda": ["python"], "pip": ["-r requirements.txt"]}, "pip: '-r requirements.txt' is not accepted"),
        ({"conda": ["python"], "pip": ["--index-url=https://h.invalid"]}, "no options, files, URLs"),
        ({"conda": ["python"], "pip": ["git+https://h.invalid/x"]}, "is not accepted"),
        ({"conda": ["python"], "pip": ["x @ https://h.invalid/x.whl"]}, "is not accepted"),
        ({"conda": ["python"], "pip": ["./local"]}, "is not accepted"),
        (
            {"conda": ["python"], "variables": {"A": True}},
            "variables: 'A': True is not accepted.*put the value in quotes",
        ),
        ({"conda": ["python"], "variables": {"A-B": "x"}}, "variables: 'A-B'"),
    ],
)
def test_what_can_not_be_locked_is_refused_by_entry(document, message):
    with pytest.raises(lockspec.SpecError, match="environments_list: x: .*" + message) as caught:
        lockspec.normalise("x", document)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("entry", ["torch", "torch>=2,<3", "tensorflow[and-cuda]~=2.18", "x==1; python_version<'4'"])
def test_plain_requirements_are_accepted(entry):
    assert lockspec.normalise("x", {"conda": ["python"], "pip": [entry]})["pip"] == [entry]


@pytest.mark.parametrize(
    "channel",
    [
        "defaults",
        "nodefaults",
        "main",
        "https://repo.anaconda.com/pkgs/main",
        "https://conda.anaconda.org/anaconda",
    ],
)
def test_anaconda_channels_need_the_users_word(channel):
    spec = lockspec.normalise("x", {"conda": ["python"]})
    with pytest.raises(lockspec.SpecError, match=r"x: channel .* is under Anaconda's terms .*miniconda_tos: accept"):
        lockspec.check_channels("x", spec, ["conda-forge", channel], "decline")
    assert "conda-forge" in lockspec.check_channels("x", spec, ["conda-forge", channel], "accept")


@pytest.mark.parametrize("entry", ["defaults::python", "numpy[version='>1', channel=defaults]"])
def test_a_channel_inside_a_conda_spec_counts(entry):
    spec = lockspec.normalise("x", {"conda": [entry]})
    with pytest.raises(lockspec.SpecError, match="channel 'defaults'"):
        lockspec.check_channels("x", spec, ["conda-forge"], "decline")


@pytest.mark.parametrize(
    "channel", ["conda-forge", "pytorch", "https://conda.anaconda.org/conda-forge", "file:///r/main"]
)
def test_other_channels_are_taken_as_they_are(channel):
    assert lockspec.check_channels("x", {"conda": ["python"]}, [channel], "decline") == [channel]


def test_defaults_are_spelled_out_and_nodefaults_dropped():
    found = lockspec.check_channels("x", {"conda": []}, ["nodefaults", "defaults"], "accept")
    assert found == ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"]


def test_a_pair_is_told_by_its_name():
    pair = {"conda_lock": "a/x.conda-lock.yml", "pylock": "a/x.pylock.toml"}
    assert lockspec.pair_of("a/x.conda-lock.yml") == lockspec.pair_of({"conda_lock": "a/x.conda-lock.yml"}) == pair
    assert lockspec.pair_of("environment.yml") is None


def test_no_secret_survives():
    assert lockspec.without_secrets("https://u:p@h.invalid/t/tk-1/c/x") == "https://h.invalid/c/x"
