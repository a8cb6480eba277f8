"""Real solves, in the child process, of requirements.txt, of other tools' pylock.toml and of explicit lists."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.condafleet.core.plugins.module_utils import lockfile
from condafleet.errors import LockError
from condafleet.lock import LockState, lock_all

PREFIX = "https://depot.condafleet.invalid/made-up/"
TORCH = "torch-2.7.1+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"


def packages(state: LockState) -> dict[str, lockfile.Package]:
    pair = yaml.safe_load(state.conda_lock.read_text()), tomllib.loads(state.pylock.read_text())
    return {package.name: package for package in lockfile.parse(*pair).packages}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def depot(made: Any) -> dict[str, str]:
    made.conda("pip", "25.1", "pyh_0", ["python", "setuptools"], subdir="noarch")
    made.conda("setuptools", "80.0", "pyh_0", ["python"], subdir="noarch")
    made.conda("setuptools", "79.0", "pyh_0", ["python"], subdir="noarch")
    made.wheel("numpy", "1.26.4")
    written: dict[str, str] = made.write()
    return written


@pytest.fixture
def channel(made: Any, depot: dict[str, str]) -> str:
    """The depot's channel, taken as any other: without a depot, by its own URL."""
    return str((made.root / "channel").as_uri())


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Path]:
    """Writes a spec's file."""

    def write(name: str, text: str) -> Path:
        (tmp_path / "specs").mkdir(exist_ok=True)
        path = tmp_path / "specs" / name
        path.write_text(text)
        return path

    return write


def entry(path: Path | dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "site",
        "spec": path if isinstance(path, dict) else str(path),
        "targets": ["linux-64-cpu"],
        **more,
    }


# requirements.txt


def test_requirements_are_locked_on_a_declared_python(
    made: Any, depot: Any, targets: Any, spec: Any, tmp_path: Path
) -> None:
    made.wheel("sympy", "1.14.0")
    depot = made.write()
    spec("limits.txt", "sympy<1.14\n")
    path = spec("requirements.txt", "torch>2\n-c limits.txt\n")
    (state,) = lock_all([entry(path, python="3.11")], targets, tmp_path / "locks", depot=depot)
    found = packages(state)
    assert (found["python"].version, found["torch"].version) == ("3.11.9", "2.7.1+cpu")
    assert (found["sympy"].version, found["pip"].manager) == ("1.13.0", "conda")
    # What a lock depends on is what the files say, wherever they lie.
    shutil.copytree(path.parent, tmp_path / "moved")
    moved = entry(tmp_path / "moved/requirements.txt", python="3.11")
    (kept,) = lock_all([moved], targets, tmp_path / "locks", depot=depot, check=True)
    spec("limits.txt", "# only this\nsympy<1.14 # changed\n")
    (same,) = lock_all([entry(path, python="3.11")], targets, tmp_path / "locks", depot=depot, check=True)
    spec("limits.txt", "sympy<1.13.5\n")
    (stale,) = lock_all([entry(path, python="3.11")], targets, tmp_path / "locks", depot=depot, check=True)
    (other,) = lock_all([moved], targets, tmp_path / "locks", depot=depot, check=True, python="3.12")
    (common,) = lock_all(
        [entry(tmp_path / "moved/requirements.txt")],
        targets,
        tmp_path / "locks",
        depot=depot,
        check=True,
        python="3.11",
    )
    assert [kept.state, same.state, stale.state, other.state, common.state] == [
        "reused", "reused", "stale", "reused", "reused",
    ]  # fmt: skip


def test_hashes_hold_every_wheel(made: Any, depot: Any, targets: Any, spec: Any, tmp_path: Path) -> None:
    torch, sympy = (sha256(made.root / "wheels" / name) for name in (TORCH, "sympy-1.13.0-py3-none-any.whl"))
    numpy = sha256(made.root / "wheels/numpy-1.26.4-py3-none-any.whl")
    lines = (
        f"torch==2.7.1+cpu --hash=sha256:{torch} \\\n  --hash=sha256:{'0' * 64}\nsympy==1.13.0 --hash=sha256:{sympy}\n"
    )
    asked = {"conda": ["python=3.11", "pip", "numpy=1"]}
    path = spec("requirements.txt", lines)
    inline = {**asked, "pip": ["torch==2.7.1+cpu", "sympy"], "hashes": {"torch": [torch], "sympy": [sympy]}}
    # numpy is conda's here: what is no wheel needs no hash.
    (state,) = lock_all([entry(inline)], targets, tmp_path / "locks", depot=depot)
    assert packages(state)["torch"].sha256 == torch
    with pytest.raises(LockError, match=r"pip: --hash: numpy 1\.26\.4: none is given.*Nothing was written"):
        lock_all([entry(path, python="3.11")], targets, tmp_path / "other", depot=depot)
    path = spec("requirements.txt", lines.replace(torch, "1" * 64) + f"numpy==1.26.4 --hash=sha256:{numpy}\n")
    with pytest.raises(LockError, match=r"torch 2\.7\.1\+cpu: none of its wheels has a sha256 of the 2 given"):
        lock_all([entry(path, python="3.11")], targets, tmp_path / "other", depot=depot)
    assert not (tmp_path / "other").exists()


# pylock.toml


def pylock(*wheels: dict[str, Any], **top: str) -> str:
    lines = [
        'lock-version = "1.0"',
        'created-by = "another"',
        *(f'{k.replace("_", "-")} = "{v}"' for k, v in top.items()),
    ]
    for one in wheels:
        lines += ["[[packages]]", f'name = "{one["name"]}"', f'version = "{one["version"]}"']
        lines += [f'marker = "{one["marker"]}"'] if "marker" in one else []
        lines += ['sdist = {url = "https://h.invalid/s.tar.gz", hashes = {sha256 = "' + "0" * 64 + '"}}']
        for tag, digest in one.get("tags", {}).items():
            url = f"https://files.example.com/{one['name']}-{one['version']}-{tag}.whl"
            lines += ["[[packages.wheels]]", f'url = "{url}"', f'hashes.sha256 = "{digest * 64}"']
    return "\n".join(lines) + "\n"


PURE = {"py3-none-any": "a"}
OURS = {"name": "ours", "version": "1.0", "tags": PURE}


def test_a_foreign_lock_is_taken_to_the_letter(channel: str, targets: Any, spec: Any, tmp_path: Path) -> None:
    text = pylock(
        OURS,
        {
            "name": "fast",
            "version": "2.0",
            "tags": {
                "py3-none-any": "1",
                "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64": "2",
                "cp311-cp311-manylinux_2_28_x86_64": "3",
                "cp311-cp311-manylinux_2_99_x86_64": "4",
                "cp311-cp311-manylinux_2_28_aarch64": "5",
                "cp313-cp313-manylinux_2_28_x86_64": "6",
            },
        },
        {"name": "only-old", "version": "1", "marker": "python_version < '3.8'"},
        {"name": "only-windows", "version": "1", "marker": "sys_platform == 'win32'", "tags": PURE},
        {"name": "only-arm", "version": "1", "marker": "platform_machine == 'aarch64'", "tags": PURE},
        # conda's pip brings it: so it is asked to bring the one that is locked.
        {"name": "setuptools", "version": "79.0", "tags": PURE},
        requires_python=">=3.11,<3.12",
    )
    (state,) = lock_all([entry(spec("pylock.toml", text))], targets, tmp_path / "locks", channels=[channel])
    found = packages(state)
    assert sorted(name for name in found if found[name].manager == "pip") == ["fast", "ours"]
    assert (found["fast"].sha256, found["fast"].filename) == (
        "3" * 64,
        "fast-2.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    )
    assert found["ours"].url == "https://files.example.com/ours-1.0-py3-none-any.whl"
    assert (found["python"].version, found["setuptools"].version) == ("3.11.9", "79.0")


def test_the_python_is_one_that_the_lock_has_wheels_for(channel: str, targets: Any, spec: Any, tmp_path: Path) -> None:
    fast = {"name": "fast", "version": "2.0", "tags": {"cp311-cp311-manylinux_2_28_x86_64": "3"}}
    # The channel has a newer python, which requires-python allows too.
    path = spec("pylock.toml", pylock(fast, requires_python=">=3.9"))
    (state,) = lock_all([entry(path)], targets, tmp_path / "locks", channels=[channel])
    assert packages(state)["python"].version == "3.11.9"
    with pytest.raises(LockError, match="python"):
        lock_all([entry(path, python="3.12")], targets, tmp_path / "other", channels=[channel])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (pylock({"name": "x", "version": "1"}), "x 1: it has a source archive alone. Accepted: wheels"),
        (
            pylock({"name": "x", "version": "1", "tags": {"cp311-cp311-manylinux_2_28_aarch64": "1"}}),
            r"x 1: it has no wheel for target 'linux-64-cpu' \(linux-64, glibc 2\.36\) and python 3\.\d+",
        ),
        (pylock(OURS, requires_python="<3"), "requires-python '<3' holds for no Python 3"),
        (pylock(OURS, {**OURS, "version": "2.0"}), "a second entry of that name holds"),
        (pylock({**OURS, "marker": "sys_platform ="}), "the marker 'sys_platform =' can't be understood"),
        (pylock(OURS).replace("https://files.example.com/", ""), "has no URL, so nodes can't fetch it"),
        (pylock(OURS).replace('sha256 = "' + "a" * 64, 'md5 = "' + "a" * 32), "has no sha256"),
        (
            pylock(OURS).replace("created-by", "environments = [\"sys_platform == 'win32'\"]\ncreated-by"),
            "it is not for target 'linux-64-cpu'",
        ),
    ],
)
def test_a_foreign_lock_that_does_not_fit_is_refused_by_entry(
    channel: str, targets: Any, spec: Any, tmp_path: Path, text: str, part: str
) -> None:
    with pytest.raises(LockError, match=rf"environments_list: site: pylock.toml: (?s:.*){part}(?s:.*)Next: "):
        lock_all([entry(spec("pylock.toml", text))], targets, tmp_path / "locks", channels=[channel])
    assert not (tmp_path / "locks").exists()


def test_what_conda_brings_has_to_be_what_is_locked(channel: str, targets: Any, spec: Any, tmp_path: Path) -> None:
    path = spec("pylock.toml", pylock(OURS, {"name": "pip", "version": "24.0", "tags": PURE}))
    with pytest.raises(LockError, match=r"(?s)pip"):
        lock_all([entry(path)], targets, tmp_path / "locks", channels=[channel])
    inline = {"conda": ["python=3.11", "numpy=1"], "pylock": tomllib.loads(pylock({**OURS, "name": "numpy"}))}
    with pytest.raises(LockError, match=r"it has numpy 1\.0, and conda's python brings 1\.26\.4"):
        lock_all([entry(inline)], targets, tmp_path / "locks", channels=[channel])


def test_a_depot_gives_the_same_files_and_no_others(
    made: Any, depot: Any, targets: Any, spec: Any, tmp_path: Path
) -> None:
    digest = sha256(made.root / "wheels/sympy-1.13.0-py3-none-any.whl")
    text = pylock({"name": "sympy", "version": "1.13.0", "tags": {"py3-none-any": "a"}}).replace("a" * 64, digest)
    (state,) = lock_all([entry(spec("pylock.toml", text))], targets, tmp_path / "locks", depot=depot)
    found = packages(state)["sympy"]
    assert (found.url, found.sha256) == (PREFIX + "wheels/sympy-1.13.0-py3-none-any.whl", digest)
    with pytest.raises(LockError, match=r"the depot has no ours-1.0-py3-none-any.whl with sha256 aaaaaaaaaaaa"):
        lock_all([entry(spec("pylock.toml", pylock(OURS)))], targets, tmp_path / "locks", depot=depot)


def test_our_own_lock_is_a_lock_of_any_tool(depot: Any, targets: Any, tmp_path: Path) -> None:
    inline = {"conda": ["python=3.11", "pip"], "pip": ["sympy", "lightning"]}
    (first,) = lock_all([entry(inline)], targets, tmp_path / "locks", depot=depot)
    (second,) = lock_all([{**entry(first.pylock), "name": "again"}], targets, tmp_path / "locks", depot=depot)
    assert second.digest == first.digest
    assert {name for name, one in packages(second).items() if one.manager == "pip"} >= {"torch", "sympy", "lightning"}


# Explicit lists


def listed(made: Any, *lines: str, channel: str) -> str:
    found = []
    for line in lines:
        name, _, kind = line.partition("#")
        path = made.root / "channel" / name
        digest = {"md5": hashlib.md5, "sha256": hashlib.sha256, "": lambda _: None}[kind](path.read_bytes())
        found.append(f"{channel}/{name}" + (f"#{digest.hexdigest()}" if digest else ""))
    return "# platform: linux-64\n@EXPLICIT\n" + "\n".join(found) + "\n"


def test_a_list_is_looked_up_and_not_solved(made: Any, channel: str, targets: Any, spec: Any, tmp_path: Path) -> None:
    # numpy's own python is not among them: what the list says is all that there is.
    names = [
        "linux-64/numpy-1.26.4-py311_0.conda#md5",
        "linux-64/zlib-1.3.1-h0_0.conda#sha256",
        "noarch/tool-1.0-py_0.conda",
    ]
    path = spec("explicit.txt", listed(made, *names, channel=channel))
    (state,) = lock_all([entry(path)], targets, tmp_path / "locks", channels=["https://never.asked.invalid"])
    found = packages(state)
    assert sorted(found) == ["numpy", "tool", "zlib"]
    for name, package in found.items():
        content = (made.root / "channel" / package.subdir / package.filename).read_bytes()
        assert (package.md5, package.sha256) == (
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            hashlib.sha256(content).hexdigest(),
        ), name
    assert channel in state.conda_lock.read_text()
    # Other channels are none of its business.
    (kept,) = lock_all([entry(path)], targets, tmp_path / "locks", channels=["other"], check=True)
    assert kept.state == "reused"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda text: text.replace(text.split("#")[-1], "0" * 32 + "\n"), "the list says md5 0{32}, and the channel"),
        (
            lambda text: text.replace("1.3.1-h0_0.conda", "1.3.9-h0_0.conda"),
            "zlib-1.3.9-h0_0.conda: file:.* does not have it",
        ),
        (
            lambda text: text.replace("linux-64/", "linux-aarch64/"),
            "is for linux-aarch64, and target 'linux-64-cpu' is linux-64",
        ),
        (lambda text: text.replace("file://", "file:///nowhere"), "nowhere"),
    ],
)
def test_a_list_that_the_channel_does_not_bear_out_is_refused(
    made: Any, channel: str, targets: Any, spec: Any, tmp_path: Path, change: Any, part: str
) -> None:
    text = change(listed(made, "linux-64/zlib-1.3.1-h0_0.conda#md5", channel=channel))
    with pytest.raises(LockError, match=f"environments_list: site: explicit list: .*{part}"):
        lock_all([entry(spec("list.txt", text))], targets, tmp_path / "locks")
    assert not (tmp_path / "locks").exists()


def test_a_list_under_terms_needs_them_accepted(targets: Any, spec: Any, tmp_path: Path) -> None:
    path = spec("list.txt", "@EXPLICIT\nhttps://repo.anaconda.com/pkgs/main/linux-64/zlib-1-0.conda\n")
    with pytest.raises(LockError, match=r"explicit list: it holds 1 package from Anaconda's channels.*miniconda_tos"):
        lock_all([entry(path)], targets, tmp_path / "locks")


def test_a_list_is_taken_from_a_depot_by_its_canonical_urls_or_by_hash(
    made: Any, depot: Any, targets: Any, spec: Any, tmp_path: Path
) -> None:
    name = "linux-64/zlib-1.3.1-h0_0.conda"
    for text in (
        listed(made, name, channel=PREFIX + "channel"),
        listed(made, name + "#md5", channel="https://conda.example.com/main"),
    ):
        (state,) = lock_all([entry(spec("list.txt", text))], targets, tmp_path / "locks", depot=depot)
        assert packages(state)["zlib"].url == f"{PREFIX}channel/{name}"
    text = listed(made, name, channel="https://conda.example.com/main")
    with pytest.raises(LockError, match="it has no hash, and its URL is not one of the depot's"):
        lock_all([entry(spec("list.txt", text))], targets, tmp_path / "locks", depot=depot)


# A spec for a target


def test_a_target_may_have_a_spec_of_its_own(made: Any, depot: Any, targets: Any, spec: Any, tmp_path: Path) -> None:
    path = spec("environment.yml", "dependencies: [python=3.11, zlib]\n")
    two = {
        "targets": ["linux-64-cpu", "linux-64-cuda12"],
        "target_specs": {"linux-64-cuda12": {"conda": ["needs-cuda"]}},
    }
    cpu, cuda = lock_all([entry(path, **two)], targets, tmp_path / "locks", depot=depot)
    assert (sorted(packages(cpu)), sorted(packages(cuda))) == (["python", "zlib"], ["needs-cuda"])
    # With one for each, no other is needed; a relative path is found like any other.
    each = {"targets": ["linux-64-cpu"], "target_specs": {"linux-64-cpu": "environment.yml"}, "name": "site"}
    (kept,) = lock_all([each], targets, tmp_path / "locks", depot=depot, spec_folders=[path.parent], check=True)
    assert kept.state == "reused"


def test_a_python_where_the_spec_names_its_own_is_refused(targets: Any, spec: Any, tmp_path: Path) -> None:
    path = spec("environment.yml", "dependencies: [python=3.11]\n")
    with pytest.raises(LockError, match=r"site: python: 3\.12 is not accepted. Accepted: with a requirements\.txt"):
        lock_all([entry(path, python="3.12")], targets, tmp_path / "locks")


def test_a_cuda_target_with_a_cpu_build_is_an_error_for_every_kind(
    made: Any, depot: Any, targets: Any, spec: Any, tmp_path: Path
) -> None:
    definition = {"gpu": {**targets["linux-64-cpu"], "cuda": "12.0"}}
    digest = sha256(made.root / "wheels" / TORCH)
    text = pylock({"name": "torch", "version": "2.7.1+cpu", "tags": {TORCH[len("torch-2.7.1+cpu-") : -4]: "a"}})
    kinds = {
        "requirements.txt": "torch\n",
        "pylock.toml": text.replace("a" * 64, digest),
        "list.txt": listed(made, "linux-64/pytorch-2.7.1-cpu_py311_0.conda#md5", channel=PREFIX + "channel"),
    }
    for name, content in kinds.items():
        with pytest.raises(LockError, match=r"target 'gpu' has CUDA 12\.0, but gets a CPU build: (py)?torch 2\.7\.1"):
            lock_all([entry(spec(name, content), targets=["gpu"])], definition, tmp_path / "locks", depot=depot)


def test_a_pair_that_was_brought_is_held_to_its_target_too(made: Any, depot: Any, targets: Any, tmp_path: Path) -> None:
    spec = {"conda": ["python=3.11"], "pip": ["torch"]}
    (state,) = lock_all([entry(spec)], targets, tmp_path / "locks", depot=depot)
    given = entry(state.conda_lock)
    assert lock_all([given], targets, tmp_path / "other")[0].state == "reused"
    definition = {"linux-64-cpu": {**targets["linux-64-cpu"], "cuda": "12.0"}}
    with pytest.raises(
        LockError, match=r"conda-lock\.yml: target 'linux-64-cpu' has CUDA 12\.0, but gets a CPU build: torch"
    ):
        lock_all([given], definition, tmp_path / "other")
