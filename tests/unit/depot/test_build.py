"""The build around its steps: cache, lock, interruption, what it leaves alone, what it refuses."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from condafleet.depot import (
    build,
    build_embedded,
    cache,
    condasrc,
    dataset,
    installer,
    interpreter,
    manifest,
    pip,
    place,
    verify,
)
from condafleet.depot.build import Builder
from condafleet.depot.cache import Store, exclusive
from condafleet.depot.files import sha256_of
from condafleet.depot.interpreter import Interpreter
from condafleet.depot.pins import DatasetPin
from condafleet.depot.pins import load as load_pins
from condafleet.errors import DepotError, InputError

from .conftest import WheelMaker, write

# -- store and lock --------------------------------------------------------------------------------------------------


def counting(body: bytes, calls: list[int]) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        calls.append(1)
        target.write_bytes(body)

    return make


def test_an_artefact_is_made_once_and_again_when_damaged(tmp_path: Path) -> None:
    store, calls = Store(tmp_path / "cache"), list[int]()
    first = store.put("kind", "key", "name", counting(b"body", calls))
    assert store.put("kind", "key", "name", counting(b"body", calls)) == first
    assert len(calls) == 1
    first.write_bytes(b"edited through a hard link")
    assert store.get("kind", "key", "name") is None
    assert store.put("kind", "key", "name", counting(b"body", calls)).read_bytes() == b"body"
    assert len(calls) == 2


def test_an_interrupted_step_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")

    def interrupted(target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put("kind", "key", "name", interrupted)
    assert store.get("kind", "key", "name") is None
    assert not list((tmp_path / "cache").glob("kind/*"))
    write(tmp_path / "cache/work/left-by-kill/half", b"half")
    store.sweep()
    assert not (tmp_path / "cache/work").exists()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A lock that another build (here: another open file) holds, and how to let go of it."""
    lock = tmp_path / "build.lock"
    lock.write_text("4711\n")
    with lock.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield lock, lambda: fcntl.flock(stream, fcntl.LOCK_UN)


def test_a_second_build_waits_and_says_so(held: tuple[Path, Callable[[], None]]) -> None:
    lock, release = held
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        release()

    with exclusive(lock, progress=tell, limit=60, pause=0.01):
        assert lock.read_text().strip() == str(os.getpid())
    assert told == ["waiting for another build in this cache (process 4711), at most 60 s"]


def test_waiting_has_a_limit(held: tuple[Path, Callable[[], None]]) -> None:
    message = r"held .*build\.lock for more than 0 s \(process 4711\)\. Next step: wait for it or stop it"
    with pytest.raises(DepotError, match=message), exclusive(held[0], limit=0.1, progress=print, pause=0.01):
        pass


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "build.lock"
    with pytest.raises(KeyboardInterrupt), exclusive(lock, progress=lambda line: None):
        raise KeyboardInterrupt
    with lock.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(("value", "expected"), [("/somewhere", "/somewhere/condafleet"), ("relative", "~"), ("", "~")])
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache.default_cache_dir()) == expected.replace("~", "/home/someone/.cache/condafleet")


# -- build_embedded with the long steps replaced ---------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, depot: Path, python: Interpreter) -> list[str]:
    """Building copies the small depot; the list says what happened."""
    done: list[str] = []

    def copy(self: Builder, finished: Path) -> None:
        done.append("built")
        made = self.store.put(
            "packages", f"key-of-{finished.name}", "tiny.conda", lambda path: path.write_bytes(b"x") and None
        )
        for name in (*manifest.list_files(depot), manifest.NAME):
            write(finished / name, (depot / name).read_bytes())
        os.link(made, finished / "held")
        (finished / "held").unlink()

    monkeypatch.setattr(Builder, "build", copy)
    monkeypatch.setattr(interpreter, "check", lambda found, accepted: None)
    monkeypatch.setattr(interpreter, "current", lambda: python)
    return done


def test_the_second_depot_comes_from_the_cache(quick: list[str], tmp_path: Path) -> None:
    told: list[str] = []
    first = build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache", progress=told.append)
    second = build_embedded(tmp_path / "b", cache_dir=tmp_path / "cache")
    assert quick == ["built"]
    assert verify(tmp_path / "b", expected_sha256=first.manifest_sha256).ok
    assert (first.files, first.bytes, first.kind, first.platform) == (
        second.files,
        second.bytes,
        "embedded",
        "linux-64",
    )
    assert told[-1].startswith(f"depot ready: {tmp_path / 'a'}, {first.files} files")
    assert os.path.samestat((tmp_path / "a/simple/index.html").stat(), (tmp_path / "b/simple/index.html").stat())


def test_deleting_a_depot_leaves_the_cache_whole(quick: list[str], tmp_path: Path) -> None:
    build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache")
    subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)
    build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache")
    assert quick == ["built"]
    assert verify(tmp_path / "a").ok


def test_damage_that_reached_the_cache_is_built_anew(quick: list[str], tmp_path: Path) -> None:
    build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache")
    (tmp_path / "a/wheels/tiny-1.0-py3-none-any.whl").write_bytes(b"edited in place")
    build_embedded(tmp_path / "b", cache_dir=tmp_path / "cache")
    assert quick == ["built", "built"]
    assert verify(tmp_path / "b").ok


def test_a_depot_is_replaced_and_what_is_not_its_own_stays(quick: list[str], tmp_path: Path) -> None:
    target = tmp_path / "a"
    build_embedded(target, cache_dir=tmp_path / "cache")
    write(target / "wheels/stale.whl", b"old")
    write(target / "packs/mine.tar.zst", b"a pack of the user's")
    build_embedded(target, cache_dir=tmp_path / "cache")
    assert [finding.path for finding in verify(target).findings] == ["packs/mine.tar.zst"]
    assert not list(target.glob(".*"))


def test_an_interrupted_filling_is_no_depot_and_can_be_repeated(
    quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    with monkeypatch.context() as patched:
        patched.setattr(place.shutil, "copyfile", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build_embedded(target, cache_dir=tmp_path / "cache")
    with pytest.raises(DepotError, match="No depot in"):
        manifest.read(target)
    build_embedded(target, cache_dir=tmp_path / "cache")
    assert verify(target).ok


def test_only_the_newest_finished_depots_are_kept(
    quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        monkeypatch.setattr(build, "inputs_digest", lambda found, frameworks, number=number: f"digest{number}")
        build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache")
    kept = {path.name for path in (tmp_path / "cache/depot/finished").iterdir()}
    assert len(kept) == place.KEPT
    assert "digest4" in kept
    assert not list((tmp_path / "cache/depot/packages").iterdir()), "no depot holds these"


@pytest.mark.parametrize("make", [lambda path: write(path / "precious.txt", b"x"), lambda path: path.write_bytes(b"x")])
def test_a_folder_of_something_else_is_left_alone(
    quick: list[str], tmp_path: Path, make: Callable[[Path], None]
) -> None:
    target = tmp_path / "a"
    make(target)
    with pytest.raises(InputError, match=r"directory: .* Next step: name (another|a new)"):
        build_embedded(target, cache_dir=tmp_path / "cache")
    assert quick == []
    assert not (tmp_path / "cache").exists()


def test_unknown_frameworks_are_refused(quick: list[str], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"frameworks: caffe is not known here\. Accepted: torch, tensorflow, keras, jax\."
    ):
        build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache", frameworks=["torch", "caffe"])


def test_a_full_disk_is_said_before_anything_is_fetched(
    quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "ROOM", 1 << 80)
    with pytest.raises(DepotError, match="free; a first build may need"):
        build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache")
    assert quick == []


def test_an_unwritable_cache_is_one_clear_error(quick: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file stands here")
    with pytest.raises(DepotError, match=r"could not be built: .*Not a directory.*Next step"):
        build_embedded(tmp_path / "a", cache_dir=tmp_path / "cache")


def test_digest_depends_on_every_input(python: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = build.inputs_digest(python, ("torch",))
    assert build.inputs_digest(python, ("torch",)) == plain
    assert build.inputs_digest(python, ("keras",)) != plain
    assert build.inputs_digest(replace(python, libc_version="2.31"), ("torch",)) != plain
    monkeypatch.setattr(build, "__version__", "9.9")
    assert build.inputs_digest(python, ("torch",)) != plain


def test_the_builders_files_are_all_there() -> None:
    here = Path(build.__file__).parent
    for pattern in build.BUILDERS:
        assert list(here.glob(pattern)), pattern


# -- pip -------------------------------------------------------------------------------------------------------------


def candidate(name: str, version: str = "1.0", requires: tuple[str, ...] = ()) -> pip.Candidate:
    return pip.Candidate(
        name, version, f"https://example.org/{name}-{version.replace('+', '%2B')}-py3-none-any.whl", "", requires
    )


@pytest.mark.parametrize(
    ("version", "requires", "expected"),
    [
        ("2.13.0+cpu", (), True),
        ("2.13.0", ("filelock", "numpy"), True),
        ("2.13.0", ('nvidia-cublas==13.1; platform_system == "Linux"',), False),
        ("2.13.0", ("triton==3.7",), False),
        ("2.13.0+cu130", (), False),
        ("2.13.0+rocm7.1", (), False),
    ],
)
def test_cuda_builds_are_recognised(version: str, requires: tuple[str, ...], expected: bool) -> None:
    assert candidate("torch", version, requires).cpu_only is expected


def builder(tmp_path: Path, python: Interpreter, told: list[str]) -> Builder:
    return Builder(Store(tmp_path / "cache"), load_pins(), python, ("torch",), told.append)


def test_torch_comes_from_its_cpu_index_where_the_first_has_cuda(
    tmp_path: Path, python: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offered(requirements: list[str], *, options: tuple[str, ...] = ()) -> list[pip.Candidate]:
        return [candidate("torch", "2.13.0+cpu") if options else candidate("torch", "2.13.0", ("nvidia-nccl",))]

    monkeypatch.setattr(pip, "offered", offered)
    told: list[str] = []
    found = builder(tmp_path, python, told).cpu_build("torch")
    assert found.version == "2.13.0+cpu"
    assert found.filename == "torch-2.13.0+cpu-py3-none-any.whl"
    assert found.options == ("--index-url", "https://download.pytorch.org/whl/cpu")
    assert "has no CPU build of torch==2.13.0" in told[0]


def test_cuda_is_never_fetched(tmp_path: Path, python: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = candidate("torch", "2.13.0", ("nvidia-nccl",))
    monkeypatch.setattr(pip, "offered", lambda requirements, options=(): [cuda])
    with pytest.raises(DepotError, match=r"No CPU build of torch==2\.13\.0 .* Builds with CUDA were not fetched"):
        builder(tmp_path, python, []).cpu_build("torch")


def test_closure_follows_markers_and_names_a_missing_pin() -> None:
    all_of_them = [
        candidate("torch", requires=("Jinja2", 'colorama; platform_system == "Windows"', 'docs; extra == "all"')),
        candidate("jinja2", requires=("MarkupSafe>=2",)),
        candidate("markupsafe"),
        candidate("unrelated"),
    ]
    assert pip.closure(["torch"], all_of_them) == {"torch", "jinja2", "markupsafe"}
    with pytest.raises(DepotError, match=r"markupsafe is needed here, but has no pin"):
        pip.closure(["torch"], all_of_them[:2])


def test_the_report_of_pip_is_read() -> None:
    report = """{"version": "1", "install": [{"download_info": {"url": "file:///w/Tiny_X-1.0%2Bcpu-py3-none-any.whl",
      "archive_info": {"hashes": {"sha256": "ab"}}}, "metadata": {"name": "Tiny.X", "version": "1.0+cpu"}}]}"""
    [found] = pip.parse_report(report)
    assert (found.name, found.version, found.sha256) == ("tiny-x", "1.0+cpu", "ab")
    assert found.filename == "Tiny_X-1.0+cpu-py3-none-any.whl"


def test_wheels_arrive_as_promised_or_not_at_all(
    tmp_path: Path, python: Interpreter, make_wheel: WheelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def download(requirements: list[str], target: Path, *, options: tuple[str, ...]) -> None:
        calls.append(requirements)
        make_wheel("tiny", folder=target)

    monkeypatch.setattr(pip, "download", download)
    digest = sha256_of(make_wheel("tiny"))
    at_work = builder(tmp_path, python, [])
    with pytest.raises(DepotError, match=r"arrived with sha256 [0-9a-f]{64}, the index promised 00"):
        at_work._fetch([replace(candidate("tiny"), sha256="00")])
    got = at_work._fetch([replace(candidate("tiny"), sha256=digest)])
    assert at_work.store.get("wheels", digest, "tiny-1.0-py3-none-any.whl", sha256=digest) == got["tiny"]
    assert calls == [["tiny==1.0"]] * 2


def test_missing_wheels_are_fetched_in_batches_and_kept(
    tmp_path: Path, python: Interpreter, make_wheel: WheelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"p{number}" for number in range(build.BATCH + 2)]
    originals = {name: make_wheel(name, folder=tmp_path / "index") for name in names}
    wanted = [replace(candidate(name), sha256=sha256_of(originals[name])) for name in names]
    calls: list[list[str]] = []

    def download(requirements: list[str], target: Path, *, options: tuple[str, ...]) -> None:
        if len(calls) == 1:
            raise DepotError("the line went down")
        calls.append(requirements)
        for requirement in requirements:
            path = originals[requirement.partition("==")[0]]
            (target / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(pip, "download", download)
    at_work = builder(tmp_path, python, [])
    at_work.pins = replace(at_work.pins, conda=replace(at_work.pins.conda, source="p0", sha256=wanted[0].sha256))
    with pytest.raises(DepotError, match="the line went down"):
        at_work.wheels(wanted)
    calls.clear()
    assert set(at_work.wheels(wanted)) == set(names)
    assert calls == [[f"{name}==1.0" for name in names[build.BATCH :]]], "the first batch was kept"


def test_the_carrier_of_conda_must_be_the_pinned_file(
    tmp_path: Path, python: Interpreter, make_wheel: WheelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_wheel("conda-lock", "4.0.3")
    at_work = builder(tmp_path, python, [])
    monkeypatch.setattr(at_work.store, "get", lambda *parts, **named: path)
    with pytest.raises(DepotError, match="is not the file that was pinned"):
        at_work.wheels([candidate("conda-lock", "4.0.3")])


def test_no_compiler_names_the_package(
    tmp_path: Path, python: Interpreter, make_wheel: WheelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = {"setuptools": make_wheel("setuptools"), "wheel": make_wheel("wheel")}
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    with pytest.raises(DepotError, match=r"pycosat is published as source only.*apt-get install gcc libc6-dev"):
        builder(tmp_path, python, []).built(tools)


def test_pip_failures_are_told_without_noise() -> None:
    with pytest.raises(DepotError, match=r"pip could not do a thing: .*no such option.*Next step: check that"):
        pip.run(["download", "--no-such-option"], doing="do a thing")
    noise = "ERROR: one\n\nERROR: two\nWARNING: Location 'x' is ignored\n"
    assert pip.last_words(noise) == "ERROR: one | ERROR: two"


# -- conda, installer, data sets ---------------------------------------------------------------------------------------


def carrier(make_wheel: WheelMaker, *, version: str = "24.7.1", solver: str = 'DEFAULT_SOLVER = "libmamba"') -> Path:
    tree = load_pins().conda.tree
    return make_wheel(
        "conda-lock",
        "4.0.3",
        members={
            f"{tree}/_version.py": f"__version__ = version = '{version}'\n",
            f"{tree}/base/constants.py": f"A = 1\n{solver}\n",
            f"{tree}/api.py": "from conda_lock._vendor.conda.core import x\n# conda_lock.vendor.conda.base\n",
            "conda_lock/other.py": "not conda's\n",
        },
    )


def test_conda_gets_its_own_names_back(make_wheel: WheelMaker, tmp_path: Path) -> None:
    condasrc.unpack_tree(carrier(make_wheel), load_pins().conda, tmp_path / "conda")
    assert (tmp_path / "conda/api.py").read_text() == "from conda.core import x\n# conda.base\n"
    assert (tmp_path / "conda/base/constants.py").read_text() == 'A = 1\nDEFAULT_SOLVER = "classic"\n'
    assert sorted(path.name for path in tmp_path.rglob("*.py")) == ["_version.py", "api.py", "constants.py"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"version": "24.7.2"}, r"does not carry conda 24\.7\.1"), ({"solver": ""}, "default solver is not where it was")],
)
def test_another_conda_is_refused(make_wheel: WheelMaker, tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(DepotError, match=said):
        condasrc.unpack_tree(carrier(make_wheel, **changed), load_pins().conda, tmp_path / "conda")


def test_the_header_counts_its_own_lines() -> None:
    assert installer.fill("a @NAME@\nskip=@LINE@\n", NAME="b") == "a b\nskip=3\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The installer's header with an empty payload: enough for everything that it refuses."""
    header = installer.fill(
        installer.HEADER.read_text(),
        **dict.fromkeys(("NAME", "VERSION", "CONDA", "PLATFORM", "GLIBC", "PYTHON", "PYTHON_VERSION"), "x"),
        MACHINE=os.uname().machine,
        SHA256="0" * 64,
    )
    path = tmp_path / "installer.sh"
    path.write_text(header + "payload")
    return path


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-h"], 0, "usage: "),
        (["-x"], 1, "usage: "),
        (["-b", "-p", "{tmp}"], 1, "File or directory already exists: '{tmp}'"),
        (["-b", "-p", "{tmp}/a b"], 1, "cannot install into a path with spaces"),
        (["-b", "-p", "{tmp}/new"], 1, "is damaged (sha256 mismatch)"),
        (["-b", "-u", "-p", "{tmp}"], 1, "is damaged (sha256 mismatch)"),
        (["-p", "{tmp}/new"], 1, "no answer; use -b -p PREFIX"),
    ],
)
def test_the_installer_refuses_before_it_writes(
    script: Path, tmp_path: Path, shell: str, arguments: list[str], code: int, said: str
) -> None:
    command = [shell, str(script), *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said.replace("{tmp}", str(tmp_path)) in done.stdout + done.stderr
    assert not (tmp_path / "new").exists()


def test_the_installer_cannot_be_piped(script: Path) -> None:
    with script.open() as stream:
        done = subprocess.run(["bash"], stdin=stream, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run this file by its name" in done.stderr


@pytest.fixture
def data() -> DatasetPin:
    return DatasetPin(
        "none@0", "package/data", ("http://127.0.0.1:9/",), {"images": hashlib.sha256(b"pixels").hexdigest()}
    )


def test_a_data_set_comes_from_the_first_source_with_the_right_content(
    tmp_path: Path, data: DatasetPin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset.shutil, "which", lambda name: None)

    def mirror(address: str, names: list[str], work: Path) -> dict[str, Path]:
        write(work / "images", b"pixels" if "good" in address else b"wrong")
        return {"images": work / "images"}

    monkeypatch.setattr(dataset, "_from_mirror", mirror)
    told: list[str] = []
    pin = replace(data, mirrors=("http://bad/", "http://good/"))
    got = dataset.collect(Store(tmp_path / "cache"), pin, told.append)
    assert got["images"].read_bytes() == b"pixels"
    assert told == ["  npm none@0 does not answer, trying the next source"]
    with pytest.raises(DepotError, match=r"npm is not installed; http://bad/: wrong content in images"):
        dataset.collect(Store(tmp_path / "other"), replace(pin, mirrors=("http://bad/",)), told.append)


def test_a_data_set_is_fetched_once(tmp_path: Path, data: DatasetPin) -> None:
    store = Store(tmp_path / "cache")
    store.put("datasets", data.files["images"], "images", lambda path: path.write_bytes(b"pixels") and None)
    assert dataset.collect(store, data, lambda line: None)["images"].read_bytes() == b"pixels"


def test_the_shipped_pins_are_complete() -> None:
    pins = load_pins()
    for name in (*pins.channel, *pins.index_always, pins.conda.source, *sum(pins.frameworks.values(), ())):
        assert name in pins.versions, name
    # The manifest names these two as tools of the nodes.
    assert {"uv", "nvidia-ml-py"} <= set(pins.index_always)
    assert pins.installer_version.startswith(f"{pins.conda.version}-")
    assert all(len(digest) == 64 for pin in pins.datasets.values() for digest in pin.files.values())
