"""Real solves from a made-up depot, in the child process."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from rattler import LockFile
from uv import find_uv_bin

from ansible_collections.condafleet.core.plugins.module_utils import lockfile
from condafleet.errors import LockError
from condafleet.lock import child, lock_all
from condafleet.lock.child import run_child

PREFIX = "https://depot.condafleet.invalid/made-up/"


def read(state):
    return lockfile.parse(yaml.safe_load(state.conda_lock.read_text()), tomllib.loads(state.pylock.read_text()))


def names(state):
    return [f"{p.manager} {p.name} {p.version}" for p in read(state).packages]


def texts(state):
    return state.conda_lock.read_bytes(), state.pylock.read_bytes()


def test_a_lock_is_made_and_then_reused(made, declared, targets, tmp_path):
    depot = made.write()
    lines = []
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=depot, progress=lines.append)
    assert state.state == "made"
    torch = next(package for package in read(state).packages if package.name == "torch")
    # Each project once: numpy is conda's, so its wheel, and what that would need, stay out.
    assert names(state) == [
        "conda numpy 1.26.4",
        "conda python 3.11.9",
        "conda zlib 1.3.1",
        "pip sympy 1.13.0",
        "pip torch 2.7.1+cpu",
    ]
    assert torch.url == PREFIX + "wheels/torch-2.7.1+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert torch.size == (made.root / "wheels" / torch.filename).stat().st_size
    assert read(state).variables == {"OMP_NUM_THREADS": "1"}
    assert len(state.packages["added"]) == 5
    assert any("3 conda packages" in line for line in lines)
    assert sorted(path.name for path in state.conda_lock.parent.iterdir()) == [
        "linux-64-cpu.conda-lock.yml",
        "linux-64-cpu.pylock.toml",
    ]

    written = texts(state)
    shutil.rmtree(made.root)  # a current lock needs neither solver nor depot
    (again,) = lock_all([declared], targets, tmp_path / "locks", depot=depot)
    assert (again.state, again.digest, again.packages["added"]) == ("reused", state.digest, [])
    assert texts(state) == written


def test_conda_python_packages_satisfy_wheels_under_their_other_name(made, declared, targets, tmp_path):
    declared["spec"] = {"conda": ["python=3.11", "pytorch", "numpy=1"], "pip": ["lightning"]}
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    assert [name for name in names(state) if name.startswith("pip")] == ["pip lightning 2.0"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"conda": ["python=3.11", "numpy=2"], "pip": ["torch"]}, r"(?s)conda's numpy 2\.1\.0:.*torch.*numpy<2"),
        ({"conda": ["python=3.11"], "pip": ["torch==9"]}, "pytorch: the pip part can't be solved.*python 3.11.9"),
        ({"conda": ["python=3.11"], "pip": ["sympy[gpu]"]}, "sympy==1.13.0 has no extra 'gpu'"),
        ({"conda": ["zlib"], "pip": ["sympy"]}, "conda part brings no python.*add for example 'python=3.11'"),
        ({"conda": ["python=3.14"]}, r"(?s)can't be solved for target 'linux-64-cpu'.*python =?3\.14"),
        ({"conda": ["needs-new-glibc"]}, "(?s)can't be solved.*__glibc"),
        ({"conda": ["needs-cuda"]}, "(?s)can't be solved.*__cuda"),
        ({"conda": ["python=3.11", "what<<ever"]}, r"conda: 'what<<ever' is not accepted"),
    ],
)
def test_what_can_not_be_solved_is_explained_and_nothing_is_written(made, declared, targets, tmp_path, spec, message):
    fine = {**declared, "name": "fine"}
    with pytest.raises(LockError, match=message):
        lock_all([fine, {**declared, "spec": spec}], targets, tmp_path / "locks", depot=made.write())
    assert not (tmp_path / "locks").exists()


def test_another_architecture_than_the_controllers_is_locked_for(made, declared, tmp_path):
    made.repodata["linux-aarch64"] = {}
    made.conda("python", "3.11.9", depends=["__glibc >=2.17", "__archspec * aarch64"], subdir="linux-aarch64")
    made.wheel("torch", "2.7.1", ["sympy"], "cp311-cp311-manylinux_2_28_aarch64")
    declared["spec"] = {"conda": ["python=3.11"], "pip": ["torch"]}
    target = {"linux-64-cpu": {"platform": "linux-aarch64", "glibc": "2.28"}}
    (state,) = lock_all([declared], target, tmp_path / "locks", depot=made.write(platform="linux-aarch64"))
    found = {package.name: (package.subdir, package.filename) for package in read(state).packages}
    assert found["python"] == ("linux-aarch64", "python-3.11.9-h0_0.conda")
    assert found["torch"] == ("", "torch-2.7.1-cp311-cp311-manylinux_2_28_aarch64.whl")
    assert yaml.safe_load(state.conda_lock.read_text())["metadata"]["platforms"] == ["linux-aarch64"]


def test_a_cuda_target_with_a_cpu_build_is_an_error(made, declared, targets, tmp_path):
    declared["targets"] = ["linux-64-cpu", "linux-64-cuda12"]
    with pytest.raises(LockError, match=r"'linux-64-cuda12' has CUDA 12.8, but gets a CPU build: torch 2.7.1\+cpu"):
        lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    assert not (tmp_path / "locks").exists()


def test_the_targets_cuda_is_there_though_this_machine_has_none(made, declared, targets, tmp_path):
    declared.update(spec={"conda": ["needs-cuda"]}, targets=["linux-64-cuda12"])
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    assert names(state) == ["conda needs-cuda 1.0"]


@pytest.mark.parametrize("place", ["user:pw@h.invalid/c", "h.invalid/t/tk-secret/c"])
def test_a_login_in_a_channels_url_is_refused_and_not_repeated(declared, targets, tmp_path, place):
    with pytest.raises(
        LockError, match=r"Next: take it out, and give it in environments_auth as \{h\.invalid: "
    ) as caught:
        lock_all([declared], targets, tmp_path / "locks", channels=[f"https://{place}"])
    assert "pw" not in caught.value.message.replace("password", "")
    assert "tk-secret" not in caught.value.message
    assert not (tmp_path / "locks").exists()


def test_a_pair_is_written_whole_or_not_at_all(made, declared, targets, tmp_path):
    folder = tmp_path / "locks" / "pytorch"
    (folder / "linux-64-cpu.conda-lock.yml" / "in-the-way").mkdir(parents=True)
    with pytest.raises(LockError, match=r"environments_locks_dir: .*linux-64-cpu\.conda-lock\.yml can't be written"):
        lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    assert [path.name for path in folder.iterdir()] == ["linux-64-cpu.conda-lock.yml"]


@pytest.mark.parametrize("key", ["name", "spec", "targets"])
def test_an_entry_without_what_it_needs_is_named(declared, targets, tmp_path, key):
    del declared[key]
    with pytest.raises(LockError, match=f"environments_list: .*: {key} is missing"):
        lock_all([declared], targets, tmp_path / "locks")


def test_stale_locks_are_named_by_check_and_made_again(made, declared, targets, tmp_path):
    depot = made.write()
    lock_all([declared], targets, tmp_path / "locks", depot=depot)
    other = {**declared, "name": "other"}
    declared["spec"]["conda"].append("tool")
    checked = lock_all([declared, other], targets, tmp_path / "locks", depot=depot, check=True)
    assert [(state.state, state.digest) for state in checked] == [("stale", None), ("missing", None)]
    assert not (tmp_path / "locks" / "other").exists()
    (state, _) = lock_all([declared, other], targets, tmp_path / "locks", depot=depot)
    assert state.state == "made"
    assert state.packages == {
        "added": [{"manager": "conda", "name": "tool", "version": "1.0", "build": "py_0"}],
        "removed": [],
        "changed": [],
    }


def test_update_solves_again_though_nothing_changed(made, declared, targets, tmp_path):
    lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    made.conda("zlib", "1.3.2")
    for page in made.root.rglob("index.html"):
        page.unlink()
    depot = made.write()
    (kept,) = lock_all([declared], targets, tmp_path / "locks", depot=depot)
    assert kept.state == "reused"
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=depot, update=True)
    assert [(entry["name"], entry["after"]) for entry in state.packages["changed"]] == [("zlib", "1.3.2 h0_0")]


def test_a_lock_edited_by_hand_is_refused_by_name(made, declared, targets, tmp_path):
    depot = made.write()
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=depot)
    state.conda_lock.write_text(state.conda_lock.read_text().replace("zlib-1.3.1-h0_0", "zlib-1.3.1-h0_1"))
    with pytest.raises(LockError, match=r"linux-64-cpu\.conda-lock\.yml.*edited by hand"):
        lock_all([declared], targets, tmp_path / "locks", depot=depot)


def test_a_lock_of_another_environment_is_refused(made, declared, targets, tmp_path):
    depot = made.write()
    lock_all([declared], targets, tmp_path / "locks", depot=depot)
    shutil.copytree(tmp_path / "locks" / "pytorch", tmp_path / "locks" / "copy")
    with pytest.raises(LockError, match=r"it is the lock of environment 'pytorch'.*Accepted: the lock of 'copy'"):
        lock_all([{**declared, "name": "copy"}], targets, tmp_path / "locks", depot=depot)


def test_a_pair_of_locks_is_taken_as_it_is(made, declared, targets, tmp_path):
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    given = {"name": "mine", "spec": str(state.conda_lock), "targets": ["linux-64-cpu"]}
    (taken,) = lock_all([given], targets, tmp_path / "unused")
    assert (taken.state, taken.digest, taken.conda_lock) == ("reused", state.digest, state.conda_lock)
    assert not (tmp_path / "unused").exists()
    # Variables that are declared beside a pair count as much as those in it.
    (other,) = lock_all([{**given, "variables": {"OMP_NUM_THREADS": 4}}], targets, tmp_path / "unused")
    assert (other.state, other.conda_lock) == ("reused", state.conda_lock)
    assert other.digest != state.digest


def test_a_pair_of_another_tool_is_held_to_the_target(made, declared, targets, tmp_path):
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    pair = tmp_path / "theirs" / "x.conda-lock.yml"
    pair.parent.mkdir()
    document = yaml.safe_load(state.conda_lock.read_text())
    del document["metadata"]["custom_metadata"]
    pylock = state.pylock.read_text()

    def take(glibc="2.36"):
        pair.write_text(yaml.safe_dump(document))
        pair.with_name("x.pylock.toml").write_text(pylock)
        entry = {"name": "mine", "spec": str(pair), "targets": ["here"]}
        return lock_all([entry], {"here": {"platform": "linux-64", "glibc": glibc}}, tmp_path / "unused")

    assert take()[0].state == "reused"
    with pytest.raises(LockError, match=r"x\.conda-lock\.yml: .*torch 2\.7\.1\+cpu: its wheel needs glibc 2\.28"):
        take(glibc="2.17")
    pylock = pylock.replace('"==3.11.*"', '"==3.12.*"')
    with pytest.raises(LockError, match=r"the pylock file is for python ==3\.12\.\*, and conda's is 3\.11\.9"):
        take()
    pylock = state.pylock.read_text()
    document["package"].append({**document["package"][1], "version": "3.12.4"})
    document["package"][-1]["url"] = document["package"][-1]["url"].replace("3.11.9", "3.12.4")
    with pytest.raises(LockError, match=r"conda package 'python' stands in it twice \(3\.11\.9 h0_0 for linux-64"):
        take()
    document["package"].pop()
    document["package"].append({**document["package"][0], "name": "sympy", "dependencies": {"python": "3.11.*"}})
    document["package"][-1]["url"] = "https://example.com/c/linux-64/sympy-1.26.4-py311_0.conda"
    with pytest.raises(LockError, match=r"pip's sympy 1\.13\.0 is provided by conda too"):
        take()
    # What another tool installs on demand, or on some targets only, is neither installed nor left out unsaid.
    document["package"][-1].update(name="zlib-dev", category="dev", optional=True)
    document["package"][-1]["url"] = "https://example.com/c/linux-64/zlib-dev-1.26.4-py311_0.conda"
    with pytest.raises(LockError, match=r"x\.conda-lock\.yml: .*\(zlib-dev\): its category is 'dev'"):
        take()
    document["package"].pop()
    pylock = state.pylock.read_text().replace('name = "sympy"\n', 'name = "sympy"\nmarker = "os_name == \'nt\'"\n')
    with pytest.raises(LockError, match=r"x\.conda-lock\.yml: .*\(sympy\): it is for some targets only.*os_name"):
        take()


def test_an_environment_file_is_found_and_missing_ones_are_named(made, declared, targets, tmp_path):
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "x.yml").write_text(
        "name: ignored\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- pip: [sympy]\nvariables: {A: b}\n"
    )
    declared["spec"] = "x.yml"
    (state,) = lock_all(
        [declared], targets, tmp_path / "locks", depot=made.write(), spec_folders=[tmp_path / "no", folder]
    )
    assert "pip sympy 1.13.0" in names(state)
    assert read(state).variables == {"A": "b"}
    declared["spec"] = "y.yml"
    with pytest.raises(LockError, match=r"pytorch: spec: 'y\.yml' is missing \(looked for: .*specs/y\.yml"):
        lock_all([declared], targets, tmp_path / "locks", spec_folders=[folder])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "depot_sha256: 0+ is not the sha256 of"),
        ({"url": "file:///nowhere/at/all"}, "depot_url: file:///nowhere/at/all/manifest.json can't be read"),
        ({"url": "ftp://x/y"}, "depot_url: ftp://x/y is not accepted. Accepted: file:///"),
        ({"url": "http://127.0.0.1:9/x"}, "can't be read"),
    ],
)
def test_a_wrong_depot_is_one_clear_error(made, declared, targets, tmp_path, change, message):
    with pytest.raises(LockError, match=message):
        lock_all([declared], targets, tmp_path / "locks", depot={**made.write(), **change})


def test_a_depot_whose_channel_differs_from_its_manifest_is_refused(made, declared, targets, tmp_path):
    depot = made.write()
    repodata = made.root / "channel" / "linux-64" / "repodata.json"
    sha256 = made.repodata["linux-64"]["zlib-1.3.1-h0_0.conda"]["sha256"]
    repodata.write_text(repodata.read_text().replace(sha256, "0" * 64))
    with pytest.raises(LockError, match=r"zlib-1\.3\.1-h0_0\.conda has sha256 000000000000… by the depot's index"):
        lock_all([declared], targets, tmp_path / "locks", depot=depot)


def test_a_depot_for_another_platform_is_refused(made, declared, targets, tmp_path):
    with pytest.raises(LockError, match="is for linux-aarch64, but the target's platform is linux-64"):
        lock_all([declared], targets, tmp_path / "locks", depot=made.write(platform="linux-aarch64"))


def test_the_time_limit_ends_the_solver(made, declared, targets, tmp_path):
    with pytest.raises(LockError, match="not done within 0 s"):
        lock_all([declared], targets, tmp_path / "locks", depot=made.write(), timeout=0.01)


def test_a_long_solve_says_that_it_goes_on(made, declared, targets, tmp_path, monkeypatch):
    monkeypatch.setattr(child, "SILENCE", 0.05)
    lines = []
    lock_all([declared], targets, tmp_path / "locks", depot=made.write(), progress=lines.append, timeout=77)
    assert any(line.startswith("still solving, ") and line.endswith(" s of at most 77 s") for line in lines)


def test_a_broken_request_is_an_answer_too():
    with pytest.raises(LockError, match=r"condafleet\.lock failed: KeyError: 'solves'"):
        run_child({}, timeout=60)


def test_the_parent_never_loads_the_solvers():
    code = "import sys, condafleet.lock; sys.exit(any(m in sys.modules for m in ('rattler', 'uv', 'httpx')))"
    paths = [path for path in sys.path if path]
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(paths)}, check=False)
    assert done.returncode == 0


def test_other_tools_read_the_pair(made, declared, targets, tmp_path):
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    ((_, environment),) = LockFile.from_path(state.conda_lock).environments()
    platform = next(iter(environment.platforms()))
    assert sorted(package.name for package in environment.packages(platform)) == ["numpy", "python", "zlib"]
    # Even a dry run reads the wheels' metadata, so their canonical place is replaced by the real one, as at fetch.
    local = tmp_path / "pylock.toml"
    local.write_text(state.pylock.read_text().replace(PREFIX, made.root.as_uri() + "/"))
    command = [find_uv_bin(), "pip", "install", "-r", local, "--dry-run", "--target", tmp_path / "t", "--offline"]
    command += ["--no-cache", f"--python={sys.executable}", "--python-platform=x86_64-manylinux_2_36"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch==2.7.1+cpu" in done.stderr
    assert "sympy==1.13.0" in done.stderr


def test_a_conda_spec_that_is_none_is_no_fault_of_the_channels(made, declared, targets, tmp_path):
    entry = {**declared, "spec": {"conda": ["python[version="]}}
    with pytest.raises(LockError, match=r"conda: 'python\[version=' is not accepted") as caught:
        lock_all([entry], targets, tmp_path / "locks", depot=made.write())
    assert "channels" not in str(caught.value)


def test_a_misspelt_upgrade_beside_a_new_environment_is_refused_and_nothing_is_written(
    made, declared, targets, tmp_path
):
    with pytest.raises(LockError, match=r"upgrade: 'tourch' is no package of any lock.*Nothing was written"):
        lock_all([declared], targets, tmp_path / "locks", depot=made.write(), upgrade=["tourch"])
    assert not (tmp_path / "locks").exists()
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write(), upgrade=["torch"])
    assert state.state == "made"
