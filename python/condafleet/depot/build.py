"""Build the embedded depot: a genuine conda, its channel, wheels and data, from the Python package index alone."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from condafleet.depot import (
    channel,
    condasrc,
    cpython,
    dataset,
    installer,
    interpreter,
    manifest,
    pip,
    place,
    simple,
    wheel,
)
from condafleet.depot.cache import LOCK_LIMIT, Progress, Store, default_cache_dir, exclusive
from condafleet.depot.condapkg import Package
from condafleet.depot.condapkg import write as write_package
from condafleet.depot.files import link_or_copy, megabytes, sha256_of
from condafleet.depot.interpreter import Interpreter
from condafleet.depot.pins import Pins
from condafleet.depot.pins import load as load_pins
from condafleet.depot.place import DepotSummary
from condafleet.errors import DepotError, InputError
from condafleet.version import __version__

DEFAULT_FRAMEWORKS = ("torch", "tensorflow", "keras", "jax")
BATCH = 8
"""Wheels fetched by one pip call: an interrupted build loses at most these."""
# What decides about the bytes of a depot; readers of depots (verify, serve, contents) do not.
BUILDERS = (
    "bootstrap.py",
    "build.py",
    "channel.py",
    "condapkg.py",
    "condasrc.py",
    "cpython.py",
    "dataset.py",
    "embedded.toml",
    "installer.py",
    "installer.sh",
    "interpreter.py",
    "manifest.py",
    "pins.py",
    "pip.py",
    "simple.py",
    "wheel.py",
    "shell/*",
)


def build_embedded(
    directory: Path,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    frameworks: Sequence[str] = DEFAULT_FRAMEWORKS,
    lock_timeout: float = LOCK_LIMIT,
) -> DepotSummary:
    """Make DIRECTORY an embedded depot for this machine's platform and Python.

    What takes long is kept in CACHE_DIR (default `$XDG_CACHE_HOME/condafleet` or `~/.cache/condafleet`), so an
    interrupted build goes on where it was and a second depot takes seconds. Files are hard links into the cache where
    the file system allows it. DIRECTORY must be missing, empty, or hold an embedded depot, which is then replaced.
    FRAMEWORKS are names under [index.frameworks] of embedded.toml. LOCK_TIMEOUT is how many seconds to wait for
    another build in the same cache. PROGRESS gets one line of text per step.

    Raises InputError for an unusable DIRECTORY or FRAMEWORKS, and DepotError when this Python cannot be repacked or
    a step fails; nothing outside DIRECTORY and CACHE_DIR is changed.
    """
    tell: Progress = progress or (lambda line: None)
    pins, found = load_pins(), interpreter.current()
    _check_frameworks(frameworks, pins)
    directory = Path(directory).absolute()
    place.check_directory(directory)
    interpreter.check(found, accepted=pins.pythons)
    root = (cache_dir or default_cache_dir()).absolute() / "depot"
    try:
        with exclusive(root / "build.lock", limit=lock_timeout, progress=tell):
            store = Store(root)
            store.sweep()
            key = inputs_digest(found, frameworks)
            finished = root / "finished" / key
            if not place.is_whole(finished):
                place.check_room(root)
                Builder(store, pins, found, tuple(frameworks), tell).build(finished)
            place.prune(root, keep=finished)
            return place.fill(directory, finished, tell)
    except OSError as problem:
        raise DepotError(
            f"The depot could not be built: {problem}. Next step: make room or correct the permissions "
            f"there, then build again; what is finished is kept in {root}."
        ) from problem


def inputs_digest(found: Interpreter, frameworks: Sequence[str]) -> str:
    """SHA-256 (hex) over everything that decides what a depot holds: builder, pins, interpreter, platform."""
    mark = hashlib.sha256(f"{__version__}\0{sorted(set(frameworks))}\0{interpreter.digest(found)}\0".encode())
    here = Path(__file__).parent
    for path in (path for pattern in BUILDERS for path in sorted(here.glob(pattern))):
        mark.update(path.name.encode() + b"\0" + path.read_bytes())
    return mark.hexdigest()


def _check_frameworks(frameworks: Sequence[str], pins: Pins) -> None:
    unknown = sorted(set(frameworks) - set(pins.frameworks))
    if unknown:
        raise InputError(f"frameworks: {', '.join(unknown)} is not known here. Accepted: {', '.join(pins.frameworks)}.")


class Builder:
    """One build, step by step. Each step's artefact is kept in the store, so a rerun goes on where it stopped."""

    def __init__(
        self, store: Store, pins: Pins, found: Interpreter, frameworks: tuple[str, ...], tell: Progress
    ) -> None:
        self.store, self.pins, self.found, self.frameworks, self.tell = store, pins, found, frameworks, tell
        self.mark = inputs_digest(found, ())
        self.step = 0
        self.steps = 7

    def announce(self, text: str) -> None:
        """Tell which step begins."""
        self.step += 1
        self.tell(f"[{self.step}/{self.steps}] {text}")

    def build(self, finished: Path) -> None:
        """Make the whole depot in a work folder, then give it its final name."""
        self.announce(f"asking the Python package index for {len(self.pins.versions)} pinned packages")
        offered = self.offered()
        indexed = self.indexed(offered)
        used = indexed | (set(self.pins.channel) - set(self.pins.sources)) | {self.pins.conda.source}
        self.announce(f"wheels: {len(used)} to have")
        wheels = self.wheels([candidate for candidate in offered if candidate.name in used])
        self.announce(f"building from source: {', '.join(self.pins.sources)}")
        wheels |= self.built(wheels)
        self.announce(f"conda packages: {len(self.pins.channel) + 2} to have")
        records = self.records(wheels)
        self.announce(f"installer {self.pins.installer_version}")
        installer_file = self.installer(records)
        self.announce(f"data sets: {', '.join(self.pins.datasets)}")
        datasets = {name: dataset.collect(self.store, pin, self.tell) for name, pin in self.pins.datasets.items()}
        self.announce("index and manifest")
        with self.store.workspace() as work:
            depot = work / "depot"
            channel.write(depot / "channel", self.found.subdir, records)
            simple.write(depot, (wheels[name] for name in indexed))
            link_or_copy(installer_file, depot / "installers" / installer_file.name)
            for title, files in datasets.items():
                for name, path in files.items():
                    link_or_copy(path, depot / "datasets" / title / name)
            (depot / manifest.NAME).write_bytes(manifest.to_json(self.manifest(depot, installer_file, wheels)))
            finished.parent.mkdir(exist_ok=True)
            shutil.rmtree(finished, ignore_errors=True)
            depot.rename(finished)

    # -- wheels ---------------------------------------------------------------------------------------------------

    def offered(self) -> list[pip.Candidate]:
        """What the index offers for every pin but those that exist as source only."""
        names = [name for name in self.pins.versions if name not in self.pins.sources]
        found = pip.offered(
            [f"{name}=={self.pins.versions[name]}" for name in names if name not in self.pins.cpu_index]
        )
        return found + [self.cpu_build(name) for name in names if name in self.pins.cpu_index and name in self.roots()]

    def cpu_build(self, name: str) -> pip.Candidate:
        """NAME without CUDA: from the configured index if it has such a build, else from its own CPU index."""
        requirement, index = f"{name}=={self.pins.versions[name]}", self.pins.cpu_index[name]
        problem = ""
        for options in ((), ("--index-url", index)):
            try:
                candidate = pip.offered([requirement], options=options)[0]
            except DepotError as refused:
                problem = f" ({refused.message.partition('. Next step')[0]})"
                continue
            if candidate.cpu_only:
                return replace(candidate, options=options)
            if not options:
                self.tell(f"  {name}: the configured index has no CPU build of {requirement}, asking {index}")
        raise DepotError(
            f"No CPU build of {requirement} for Python {self.found.short} on {self.found.machine}: neither the "
            f"configured index nor {index} offers one{problem}. Builds with CUDA were not fetched. Next step: let this "
            "machine reach that index, or name a folder with a CPU wheel in PIP_FIND_LINKS, then build again."
        )

    def roots(self) -> list[str]:
        """The projects that the depot's index is asked to hold; what they need follows."""
        return [*self.pins.index_always, *(root for name in self.frameworks for root in self.pins.frameworks[name])]

    def indexed(self, offered: Iterable[pip.Candidate]) -> set[str]:
        """Names of the wheels that the depot's index holds."""
        return pip.closure(self.roots(), offered)

    def wheels(self, candidates: Sequence[pip.Candidate]) -> dict[str, Path]:
        """Every wheel by project name, fetched in batches where the store lacks it."""
        have: dict[str, Path] = {}
        missing = []
        for candidate in candidates:
            kept = self.store.get("wheels", candidate.sha256, candidate.filename, sha256=candidate.sha256)
            if kept:
                have[candidate.name] = kept
            else:
                missing.append(candidate)
        for number, batch in enumerate(_batches(missing), 1):
            have |= self._fetch(batch)
            done = sum(path.stat().st_size for path in have.values())
            self.tell(
                f"  {len(have)} of {len(candidates)}, {megabytes(done)} (batch {number}: "
                f"{', '.join(candidate.name for candidate in batch)})"
            )
        source = self.pins.conda.source
        if sha256_of(have[source]) != self.pins.conda.sha256:
            raise DepotError(
                f"{have[source].name} is not the file that was pinned (sha256 {sha256_of(have[source])}, "
                f"pinned is {self.pins.conda.sha256}). Next step: find out who changed it; do not use it."
            )
        return have

    def _fetch(self, batch: Sequence[pip.Candidate]) -> dict[str, Path]:
        got = {}
        with self.store.workspace() as work:
            pip.download([f"{one.name}=={one.version}" for one in batch], work, options=batch[0].options)
            for path in work.glob("*.whl"):
                name, _, _, _ = parse_wheel_filename(path.name)
                promised = next(one for one in batch if one.name == canonicalize_name(name))
                digest = sha256_of(path)
                if promised.sha256 and digest != promised.sha256:
                    raise DepotError(
                        f"{path.name} arrived with sha256 {digest}, the index promised {promised.sha256}. "
                        "Next step: build again; if it happens again, ask who runs that index."
                    )
                got[promised.name] = self.store.put("wheels", digest, path.name, _copier(path))
        return got

    def built(self, wheels: dict[str, Path]) -> dict[str, Path]:
        """Wheels of the projects that are published as source only."""
        made = {}
        for name, pin in self.pins.sources.items():
            key = _key(
                name, pin.sha256, interpreter.digest(self.found), *(sha256_of(wheels[tool]) for tool in pin.build_with)
            )
            kept = list((self.store.root / "built" / key).glob("*.whl"))
            if kept and self.store.get("built", key, kept[0].name):
                made[name] = kept[0]
                continue
            if not any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang")):
                raise DepotError(
                    f"{name} is published as source only and needs a C compiler; there is none here. "
                    "Next step: install gcc (Debian, Ubuntu: apt-get install gcc libc6-dev; "
                    "Fedora, RHEL: dnf install gcc), then build again; what is finished is kept."
                )
            with self.store.workspace() as work:
                tools = work / "tools"
                for tool in pin.build_with:
                    with zipfile.ZipFile(wheels[tool]) as archive:
                        archive.extractall(tools)
                result = pip.build_wheel(
                    f"{name}=={self.pins.versions[name]}", pin.sha256, work / "out", tools=tools, work=work
                )
                made[name] = self.store.put("built", key, result.name, _copier(result))
        return made

    # -- conda packages -------------------------------------------------------------------------------------------

    def records(self, wheels: dict[str, Path]) -> list[channel.Record]:
        """Every package of the channel: python, conda, and the wheels that they need."""
        records = [self._package("python", (), lambda stage, work: cpython.stage_python(self.found, stage))]
        names = list(self.pins.channel)
        carrier = wheels[self.pins.conda.source]
        libraries = [wheels[name] for name in names if name != "numpy"]
        records.append(
            self._package(
                "conda",
                [carrier, *libraries],
                lambda stage, work: condasrc.stage_conda(
                    carrier, libraries, stage, work, pin=self.pins.conda, interpreter=self.found
                ),
            )
        )
        for name in names:
            source = wheels[name]
            extra = self.pins.channel_extra_depends.get(name, ())
            records.append(self._package(name, [source], self._converter(source, extra)))
        total = sum(one.path.stat().st_size for one in records)
        self.tell(f"  {len(records)} packages, {megabytes(total)}")
        return records

    def _converter(self, source: Path, extra: Sequence[str]) -> Callable[[Path, Path], Package]:
        return lambda stage, work: wheel.convert(
            source, stage, interpreter=self.found, renamed=self.pins.channel_renamed, extra_depends=extra
        )

    def _package(self, name: str, sources: Sequence[Path], stage_it: Callable[[Path, Path], Package]) -> channel.Record:
        """One finished package, made unless the store has it for the same sources, interpreter and builder."""
        key = _key(name, self.mark, *(sha256_of(path) for path in sources))
        kept = list((self.store.root / "packages" / key).glob("*.conda"))
        if kept and self.store.get("packages", key, kept[0].name):
            return channel.read_record(kept[0])
        with self.store.workspace() as work:
            stage = work / "stage"
            stage.mkdir()
            package = stage_it(stage, work)
            path = self.store.put(
                "packages", key, f"{package.stem}.conda", lambda target: write_package(package, target)
            )
        self.tell(f"  {path.name}, {megabytes(path.stat().st_size)}")
        return channel.read_record(path)

    # -- installer, manifest --------------------------------------------------------------------------------------

    def installer(self, records: Sequence[channel.Record]) -> Path:
        """The installer, made unless the store has it for the same packages and builder."""
        base = channel.closure(self.pins.installer_base, records)
        name = f"{self.pins.installer_name}-{self.pins.installer_version}-Linux-{self.found.machine}.sh"
        key = _key(name, self.mark, *(one.data["sha256"] for one in base))

        def make(target: Path) -> None:
            with self.store.workspace() as work:
                installer.write(
                    target,
                    base,
                    work,
                    name=self.pins.installer_name,
                    version=self.pins.installer_version,
                    conda_version=self.pins.conda.version,
                    channel_url=manifest.ORIGIN + "channel",
                    interpreter=self.found,
                )

        path = self.store.put("installers", key, name, make)
        self.tell(f"  {name}, {megabytes(path.stat().st_size)}, {len(base)} packages")
        return path

    def manifest(self, depot: Path, installer_file: Path, wheels: dict[str, Path]) -> manifest.Manifest:
        """What lies in DEPOT, described."""
        files = manifest.describe(depot)
        installer_path = f"installers/{installer_file.name}"

        def tool(name: str) -> dict[str, str]:
            path = f"wheels/{wheels[name].name}"
            return {"version": self.pins.versions[name], "path": path, "sha256": files[path]["sha256"]}

        return manifest.Manifest.model_validate(
            {
                "schema_version": 1,
                "kind": "embedded",
                "condafleet_version": __version__,
                "platform": self.found.subdir,
                "glibc": self.found.libc_version,
                "python": self.found.version,
                "installers": [
                    {
                        "distribution": "embedded",
                        "version": self.pins.installer_version,
                        "conda_version": self.pins.conda.version,
                        "arch": self.found.machine,
                        "path": installer_path,
                        **files[installer_path],
                    }
                ],
                "channels": {"conda": {"path": "channel"}},
                "index": {"path": "simple"},
                "origins": {manifest.ORIGIN: ""},
                # By platform; nvidia-ml-py is pure Python.
                "tools": {"uv": {self.found.subdir: tool("uv")}, "nvidia-ml-py": {"any": tool("nvidia-ml-py")}},
                "datasets": {
                    title: {
                        "files": [
                            {
                                "name": name,
                                "path": f"datasets/{title}/{name}",
                                "content_sha256": digest,
                                **files[f"datasets/{title}/{name}"],
                            }
                            for name, digest in pin.files.items()
                        ]
                    }
                    for title, pin in self.pins.datasets.items()
                },
                "files": files,
            }
        )


def _batches(missing: Sequence[pip.Candidate]) -> list[list[pip.Candidate]]:
    """Wheels that one pip call fetches: those with the same options, at most BATCH."""
    by_options: dict[tuple[str, ...], list[pip.Candidate]] = {}
    for candidate in missing:
        by_options.setdefault(candidate.options, []).append(candidate)
    return [group[start : start + BATCH] for group in by_options.values() for start in range(0, len(group), BATCH)]


def _copier(source: Path) -> Callable[[Path], None]:
    # Always a copy: what the store keeps shares no inode with pip's files or the user's.
    def copy(target: Path) -> None:
        shutil.copyfile(source, target)

    return copy


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
