"""What a lock was made from: its digest, its text in the lock, and the words for a difference."""

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import lockinputs

GIVEN = {
    "spec": {"conda": ["numpy=1", "python=3.11"], "pip": ["torch"], "variables": {"A": "1"}},
    "definition": {"platform": "linux-64", "glibc": "2.28"},
    "channels": ["conda-forge"],
    "sources": "depot",
}


def made(environment="torch", target="cpu", **changes):
    return lockinputs.inputs(environment, target, **{**GIVEN, **changes})


def spec(**changes):
    return made(spec={**GIVEN["spec"], **changes})


def test_the_digest_follows_each_input():
    others = [
        made(environment="x"),
        made(target="x"),
        spec(conda=[]),
        made(definition={"platform": "linux-64", "glibc": "2.36"}),
        made(channels=["d"]),
        made(sources="upstream"),
    ]
    assert len({lockinputs.digest(one) for one in [made(), *others]}) == 7
    with_nothing = made(definition={**GIVEN["definition"], "cuda": None})
    assert lockinputs.digest(with_nothing) == lockinputs.digest(made())


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (spec(conda=["numpy=2", "python=3.11"]), "the spec changed: conda adds numpy=2, drops numpy=1"),
        (spec(pip=[]), "the spec changed: pip drops torch"),
        (spec(variables={"A": "2", "B": "x"}), "the spec changed: variables A 1 → 2, B none → x"),
        (made(definition={"platform": "linux-64", "glibc": "2.36"}), "the target changed: glibc 2.28 → 2.36"),
        (made(definition={**GIVEN["definition"], "cuda": "12.0"}), "the target changed: cuda none → 12.0"),
        (made(channels=["a", "conda-forge"]), "the channels changed: adds a"),
        (made(sources="upstream"), "where packages come from changed: depot → upstream"),
    ],
)
def test_a_difference_is_said_in_words(after, words):
    assert lockinputs.changes(made(), after) == [words]


def test_another_order_of_channels_is_a_change_and_each_change_has_its_sentence():
    before, after = made(channels=["a", "b"]), made(channels=["b", "a"], sources="upstream")
    assert lockinputs.changes(before, after) == [
        "the channels changed: a, b → b, a",
        "where packages come from changed: depot → upstream",
    ]


def test_a_lock_carries_its_inputs_and_one_without_says_so():
    assert lockinputs.from_text(lockinputs.as_text(made())) == made()
    assert lockinputs.changes(made(), made()) == []
    for nothing in (None, "", "{", "[]"):
        assert lockinputs.changes(lockinputs.from_text(nothing), made()) == [lockinputs.UNKNOWN]


def test_what_was_locked_can_be_held_only_where_the_spec_alone_differs():
    assert lockinputs.answers_alike(made(), spec(pip=[]))
    assert not lockinputs.answers_alike(made(), made(channels=["d"]))
    assert not lockinputs.answers_alike(made(), spec(indexes=["https://wheels.example.com/simple"]))
    assert not lockinputs.answers_alike({}, made())


def test_a_token_in_a_spec_reaches_neither_digest_nor_lock():
    with_token = spec(conda=["https://user:pw@example.com/t/tk-1/c::numpy"])
    assert "tk-1" not in lockinputs.as_text(with_token)
    assert "pw" not in lockinputs.as_text(with_token)
    assert with_token == spec(conda=["https://example.com/c::numpy"])
