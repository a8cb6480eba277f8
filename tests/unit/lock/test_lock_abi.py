"""Whether what a lock holds can work together: one Python, wheels that were made for it and for the target."""

import itertools

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import lock_abi
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, Package
from ansible_collections.condafleet.core.plugins.module_utils.version_ranges import lies_in
from condafleet.lock.tags import best_wheel

TARGET = {"platform": "linux-64", "glibc": "2.28"}
HASH = "0" * 64


def conda(name, version, build="h0_0"):
    return Package("conda", name, version, build, "https://x.invalid/x", HASH, HASH[:32], None, "x.conda", "linux-64")


def wheel(name, tag="py3-none-any", version="1.0"):
    filename = f"{name}-{version}-{tag}.whl"
    return Package("pip", name, version, "", f"https://x.invalid/{filename}", HASH, None, None, filename, "")


PYTHON = conda("python", "3.11.9")


def check(*packages, target=TARGET, depends=None, requires_python=()):
    lock_abi.check(Lock("e", "t", tuple(packages), {}), target, depends or {}, requires_python)


@pytest.mark.parametrize(
    "tag",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "py311-none-any",
        "py38-none-any",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp311-cp311-manylinux_2_35_x86_64.manylinux2014_x86_64",
        "cp311-cp311-linux_x86_64",
        "cp38-abi3-manylinux1_x86_64",
        "cp311-none-manylinux_2_28_x86_64",
        "cp310.cp311-cp310.cp311-manylinux2010_x86_64",
    ],
)
def test_a_wheel_that_fits(tag):
    check(PYTHON, wheel("x", tag))


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("cp312-cp312-manylinux_2_17_x86_64", r"pip's x 1\.0: its wheel is for cp312 \(cp312\), and conda's python is"),
        ("cp311-cp311t-manylinux_2_17_x86_64", r"its wheel is for cp311 \(cp311t\), and conda's python is 3\.11\.9"),
        ("cp312-abi3-manylinux_2_17_x86_64", r"cp312 \(abi3\)"),
        ("py2-none-any", r"its wheel is for py2 \(none\)"),
        ("py312-none-any", r"its wheel is for py312 \(none\)"),
        ("pp311-pypy311_pp73-manylinux_2_17_x86_64", "its wheel is for pp311"),
        ("cp311-cp311-manylinux_2_35_x86_64", r"its wheel needs glibc 2\.35, and the target has 2\.28"),
        ("cp311-cp311-manylinux_2_28_aarch64", "its wheel is for aarch64, and the target is linux-64"),
        ("cp311-cp311-musllinux_1_2_x86_64", "its wheel is for musllinux_1_2_x86_64, and the target is linux-64 with"),
        ("cp311-cp311-macosx_11_0_arm64", "its wheel is for macosx_11_0_arm64"),
        ("cp311-cp311-win_amd64", "its wheel is for win_amd64"),
        ("none-any", "is no name of a wheel"),
    ],
)
def test_a_wheel_for_another_python_or_platform_is_named(tag, message):
    with pytest.raises(lock_abi.AbiError, match=message):
        check(PYTHON, wheel("x", tag))


@pytest.mark.parametrize("python", ["3.9.19", "3.11.9", "3.14.0"])
@pytest.mark.parametrize("target", [TARGET, {"platform": "linux-aarch64", "glibc": "2.17"}])
def test_this_look_and_the_solver_agree(python, target):
    """The solver chooses wheels by a library, which a controller without the solver lacks: two codes, one answer."""
    platforms = ["any", "linux_x86_64", "linux_aarch64", "musllinux_1_2_x86_64", "win_amd64", "macosx_11_0_arm64"]
    platforms += [f"{kind}_{m}" for m in ("x86_64", "aarch64") for kind in ("manylinux1", "manylinux2014")]
    platforms += [f"manylinux_2_{minor}_{m}" for m in ("x86_64", "aarch64") for minor in (5, 17, 18, 28, 29, 40)]
    pythons = ["py2", "py3", "py2.py3", "py39", "py311", "py312", "cp2", "cp38", "cp39", "cp311", "cp312", "pp311"]
    answers = set()
    for tag, abi, platform in itertools.product(pythons, ("none", "abi3", "cp39", "cp311", "cp311t"), platforms):
        if platform == "any" and abi != "none":
            continue  # no such wheel is made
        name = f"x-1-{tag}-{abi}-{platform}.whl"
        taken = best_wheel([{"name": name}], target, python) is not None
        assert (lock_abi.misfit(name, conda("python", python), target) is None) == taken, name
        answers.add(taken)
    assert answers == {True, False}


def test_a_python_without_the_gil_takes_its_own_wheels_only():
    free = conda("python", "3.13.1", "h1_2_cp313t")
    check(free, wheel("x", "cp313-cp313t-manylinux_2_28_x86_64"))
    with pytest.raises(lock_abi.AbiError, match=r"cp313 \(cp313\), and conda's python is 3\.13\.1 without the GIL"):
        check(free, wheel("x", "cp313-cp313-manylinux_2_28_x86_64"))
    with pytest.raises(lock_abi.AbiError, match=r"\(abi3\)"):
        check(free, wheel("x", "cp39-abi3-manylinux_2_28_x86_64"))


def test_wheels_need_a_python_from_conda():
    with pytest.raises(lock_abi.AbiError, match=r"it has wheels \(x\), and no python from conda"):
        check(conda("zlib", "1.3"), wheel("x"))
    check(conda("zlib", "1.3"))


def test_what_both_provide_is_named_under_either_name():
    depends = {"pytorch": ["python >=3.11,<3.12.0a0"], "zlib": []}
    with pytest.raises(lock_abi.AbiError, match=r"pip's torch 1\.0 is provided by conda too \(pytorch 2\.5\)"):
        check(PYTHON, conda("pytorch", "2.5"), wheel("torch"), depends=depends)
    # conda's zlib is a C library and no project of the index.
    check(PYTHON, conda("zlib", "1.3"), wheel("zlib"), depends=depends)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("python >=3.12,<3.13.0a0", r"conda's numpy 2\.1 needs python >=3\.12,<3\.13\.0a0, and the lock's is 3\.11\.9"),
        ("python_abi 3.12.* *_cp312", r"needs python_abi 3\.12\.\* \*_cp312, and the lock's is 3\.11"),
        ("__glibc >=2.34,<3.0.a0", r"needs __glibc >=2\.34,<3\.0\.a0, and the target has 2\.28"),
        ("__cuda >=12", "needs __cuda >=12, and the target has no cuda"),
        ("__cuda", "needs __cuda, and the target has no cuda"),
    ],
)
def test_a_conda_package_for_another_python_or_target_is_named(entry, message):
    packages = (PYTHON, conda("python_abi", "3.11", "8_cp311"), conda("numpy", "2.1"))
    with pytest.raises(lock_abi.AbiError, match=message):
        check(*packages, depends={"numpy": [entry]})
    fitting = [
        "python >=3.11,<3.12.0a0",
        "python_abi 3.11.* *_cp311",
        "__glibc >=2.17,<3.0.a0",
        "__unix",
        "libgcc >=13",
    ]
    check(*packages, depends={"numpy": fitting})
    check(*packages, target={**TARGET, "cuda": "12.4"}, depends={"numpy": ["__cuda >=12.1"]})


def test_parts_for_two_pythons_are_named():
    with pytest.raises(lock_abi.AbiError, match=r"the pylock file is for python ==3\.12\.\*, and conda's is 3\.11\.9"):
        check(PYTHON, wheel("x"), requires_python=[("the pylock file", "==3.12.*")])
    check(PYTHON, wheel("x"), requires_python=[("the pylock file", ">=3.11"), ("pip's x", "~=3.9")])


@pytest.mark.parametrize(
    ("version", "text", "answer"),
    [
        ("3.11.9", ">=3.11,<3.12.0a0", True),
        ("3.12.0", ">=3.11,<3.12.0a0", False),
        ("3.11.9", "3.10.*|3.11.*", True),
        ("3.11.9", "3.10.*|3.12.*", False),
        ("3.11.9", "!=3.11.*", False),
        ("3.11.9", "==3.11", False),
        ("3.11.0", "==3.11", True),
        ("3.11.9", "=3.11", True),
        ("3.11.9", "3.11", True),
        ("3.11.9", "~=3.9", True),
        ("3.11.9", "~=3.9.1", False),
        ("3.11.9", ">3.11.9", False),
        ("3.11.9", "<=3.11.9", True),
        ("3.11.9", "*", True),
        ("3.11.9", "", True),
        ("2.28", ">=2.17,<3.0.a0", True),
        ("3.11", "3.11.* *_cp311", True),
        ("3.11.9", ">= 3.9 , < 4", True),
        ("3.11.9", "what", None),
        ("what", ">=3", None),
        ("3.11.9", "what|>=3", True),
    ],
)
def test_ranges_of_versions(version, text, answer):
    assert lies_in(version, text) is answer
