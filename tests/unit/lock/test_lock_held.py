"""Real solves that keep what a former lock has: a changed spec, and single packages that are upgraded."""

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import lockfile
from condafleet.errors import LockError
from condafleet.lock import lock_all
from condafleet.lock.files import read_pair

TARGETS = {"cpu": {"platform": "linux-64", "glibc": "2.36"}}


@pytest.fixture
def site(made, tmp_path):
    """A depot that gets newer; `lock(...)` gives {name: version} of the one lock."""

    class Site:
        def __init__(self):
            self.depot = made
            self.spec = {"conda": ["python", "tool", "jax"], "pip": ["app", "pair"], "variables": {}}

        def lock(self, **options):
            for page in made.root.rglob("index.html"):
                page.unlink()
            entry = {"name": "e", "spec": self.spec, "targets": ["cpu"]}
            targets = options.pop("targets", TARGETS)
            (state,) = lock_all([entry], targets, tmp_path / "locks", depot=made.write(), **options)
            lock = read_pair(state.conda_lock, state.pylock)
            return {package.name: package.version for package in lock.packages}

    made.conda("jax", "1", depends=["jaxlib ==1"])
    made.conda("jaxlib", "1")
    made.wheel("app", "1.0", ["base"])
    made.wheel("base", "1.0")
    made.wheel("pair", "1.0", ["half==1.0"])
    made.wheel("half", "1.0")
    return Site()


FIRST = {
    "python": "3.12.4", "zlib": "1.3.1", "tool": "1.0", "jax": "1", "jaxlib": "1",
    "app": "1.0", "base": "1.0", "pair": "1.0", "half": "1.0",
}  # fmt: skip


def newer(depot):
    """Every project in a newer version, and a python."""
    depot.conda("python", "3.13.0", depends=["zlib"])
    depot.conda("zlib", "1.3.2")
    depot.conda("tool", "2.0", "py_0", ["python"], subdir="noarch")
    depot.conda("jax", "2", depends=["jaxlib ==2"])
    depot.conda("jaxlib", "2")
    depot.wheel("app", "2.0", ["base"])
    depot.wheel("base", "2.0")
    depot.wheel("pair", "2.0", ["half==2.0"])
    depot.wheel("half", "2.0")


def test_a_changed_spec_changes_what_it_must_and_no_more(site):
    assert site.lock() == FIRST
    newer(site.depot)
    site.spec = {**site.spec, "conda": ["jax >=2", "python", "tool"]}
    assert site.lock() == {**FIRST, "jax": "2", "jaxlib": "2"}
    site.spec = {**site.spec, "pip": ["app", "base>=2", "pair"]}
    assert site.lock() == {**FIRST, "jax": "2", "jaxlib": "2", "base": "2.0"}
    # Everything anew, as asked.
    everything = site.lock(update=["e"])
    assert (everything["python"], everything["app"], everything["zlib"]) == ("3.13.0", "2.0", "1.3.2")


def test_another_target_is_another_question(site):
    site.lock()
    newer(site.depot)
    fresh = site.lock(targets={"cpu": {"platform": "linux-64", "glibc": "2.35"}})
    assert fresh["tool"] == "2.0"


@pytest.mark.parametrize(
    ("names", "moved"),
    [
        (["zlib"], {"zlib": "1.3.2"}),
        (["tool"], {"tool": "2.0"}),
        # A dependency that its parent holds at its own version: both move.
        (["jaxlib"], {"jax": "2", "jaxlib": "2"}),
        (["jax"], {"jax": "2", "jaxlib": "2"}),
        (["base"], {"base": "2.0"}),
        (["half"], {"pair": "2.0", "half": "2.0"}),
        (["Base", "zlib"], {"base": "2.0", "zlib": "1.3.2"}),
        (["python"], {"python": "3.13.0"}),
    ],
)
def test_an_upgrade_moves_its_package_and_what_it_forces(site, names, moved):
    assert site.lock() == FIRST
    newer(site.depot)
    assert site.lock() == FIRST  # a current lock stays, whatever is to be had by now
    assert site.lock(upgrade=names) == {**FIRST, **moved}
    assert site.lock(upgrade=names) == {**FIRST, **moved}


def test_an_upgrade_leaves_python_where_it_is_unless_that_is_named(site):
    site.lock()
    site.depot.conda("python", "3.13.0", depends=["zlib"])
    site.depot.conda("tool", "2.0", "py_0", ["python >=3.13"], subdir="noarch")
    assert site.lock(upgrade=["tool"]) == FIRST
    assert site.lock(upgrade=["tool", "python"]) == {**FIRST, "tool": "2.0", "python": "3.13.0"}


def test_conda_s_package_is_meant_by_its_project_s_name_too(site):
    site.spec = {"conda": ["python=3.11", "pytorch", "numpy=1"], "pip": [], "variables": {}}
    assert site.lock()["pytorch"] == "2.7.1"
    site.depot.conda("pytorch", "2.8.0", "cpu_py311_0", ["python 3.11.*", "numpy"])
    assert site.lock(upgrade=["torch"])["pytorch"] == "2.8.0"


def test_what_is_no_longer_to_be_had_is_replaced(site):
    site.lock()
    newer(site.depot)
    gone = site.depot.root / "wheels" / "base-1.0-py3-none-any.whl"
    gone.unlink()
    del site.depot.repodata["linux-64"]["zlib-1.3.1-h0_0.conda"]
    site.spec = {**site.spec, "variables": {"A": "1"}}
    assert site.lock() == {**FIRST, "base": "2.0", "zlib": "1.3.2"}


def test_a_package_that_no_lock_holds_is_refused(site):
    site.lock()
    with pytest.raises(LockError, match="upgrade: 'nupmy' is no package of any lock"):
        site.lock(upgrade=["nupmy"])


def test_two_builds_of_one_version_are_held_apart(site):
    site.lock()
    site.depot.conda("zlib", "1.3.1", "h0_1")
    site.depot.repodata["linux-64"]["zlib-1.3.1-h0_1.conda"]["build_number"] = 1
    site.spec = {**site.spec, "variables": {"A": "1"}}
    site.lock()
    builds = {p.name: p.build for p in _packages(site)}
    assert builds["zlib"] == "h0_0"
    site.lock(upgrade=["zlib"])
    assert {p.name: p.build for p in _packages(site)}["zlib"] == "h0_1"


def _packages(site) -> tuple[lockfile.Package, ...]:
    folder = site.depot.root.parent / "locks" / "e"
    return read_pair(folder / "cpu.conda-lock.yml", folder / "cpu.pylock.toml").packages
