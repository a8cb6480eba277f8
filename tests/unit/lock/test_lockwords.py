"""What changes from one lock to another, in words."""

from dataclasses import replace

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, Package
from ansible_collections.condafleet.core.plugins.module_utils.lockwords import in_words

HASH = "0" * 64


def conda(name, version, build="h0_0"):
    return Package("conda", name, version, build, "https://x.invalid/x", HASH, HASH[:32], None, "x", "linux-64")


def pip(name, version):
    return Package("pip", name, version, "", "https://x.invalid/x.whl", HASH, None, None, "x.whl", "")


def lock(*packages, **variables):
    return Lock("e", "t", packages, variables)


def test_each_kind_of_change_has_its_words():
    before = lock(
        conda("numpy", "2.1.0"), conda("zlib", "1.3"), conda("pytorch", "2.7"), conda("gone", "1"), pip("six", "1.16"),
        pip("same", "1"), A="1", B="x",
    )  # fmt: skip
    after = lock(
        conda("numpy", "2.2.0"), conda("zlib", "1.3", "h0_1"), pip("torch", "2.8"), pip("new", "3"), pip("same", "1"),
        replace(pip("six", "1.16"), sha256="1" * 64), A="2", C="y",
    )  # fmt: skip
    assert in_words(before, after) == [
        "gone 1 is gone (conda)",
        "new 3 is new (pip)",
        "numpy 2.1.0 → 2.2.0 (conda)",
        "six 1.16: other content under the same name (pip)",
        "pytorch 2.7 (conda) → torch 2.8 (pip)",
        "zlib 1.3: build h0_0 → h0_1 (conda)",
        "variable A: 1 → 2",
        "variable B is gone",
        "variable C = y is new",
    ]
    assert in_words(after, after) == []
    assert in_words(None, after) == ["the first lock: 2 conda packages, 4 wheels"]


def test_a_library_and_a_project_of_one_name_are_two():
    """conda's graphviz is a program, the index's a binding to it: both may be there, and each changes by itself."""
    before = lock(conda("graphviz", "9"), pip("graphviz", "0.19"))
    assert in_words(before, lock(conda("graphviz", "10"), pip("graphviz", "0.19"))) == ["graphviz 9 → 10 (conda)"]
