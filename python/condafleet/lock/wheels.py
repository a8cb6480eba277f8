"""Solve the pip part with uv, against what conda provides. Runs in the child process only (see __main__)."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from uv import find_uv_bin

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.lockspec import without_login
from ansible_collections.condafleet.core.plugins.module_utils.projects import project_of
from condafleet.errors import LockError
from condafleet.lock.sources import Sources

_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
# PyTorch's own indexes as uv names them, by the CUDA version that they are built with.
_TORCH_BACKENDS = ("11.8", "12.1", "12.4", "12.6", "12.8", "12.9", "13.0", "13.2")
HELD = "pylock.toml"  # no other name is taken
_UV_PLATFORM_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)


def solve_wheels(
    environment: str,
    target: str,
    definition: Mapping[str, str],
    requirements: Sequence[str],
    records: Sequence[Mapping[str, Any]],
    sources: Sources,
    timeout: float,
    held: Sequence[Package] = (),
    exact: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """One wheel for each project that conda does not provide: `{name, version, url, sha256, size}`, by name.

    `held` are wheels whose versions are preferred, `exact` are versions to insist on.
    """
    python = next((record["version"] for record in records if record["name"] == "python"), None)
    if python is None:
        raise LockError(
            f"environments_list: {environment}: it has a pip part, but its conda part brings no python. Accepted: a "
            "python from conda in every environment with wheels. Next: add for example 'python=3.11' to the conda part."
        )
    with tempfile.TemporaryDirectory(prefix="condafleet-lock-") as scratch:
        folder = Path(scratch)
        provided = write_stubs(records, folder / "stubs")
        (folder / "requirements.in").write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        limits = {name: f"{name} @ {path.as_uri()}" for name, path in provided.items()}
        limits = {**{name: f"{name}=={version}" for name, version in (exact or {}).items()}, **limits}
        (folder / "constraints.txt").write_text(
            "".join(f"{limits[name]}\n" for name in sorted(limits)), encoding="utf-8"
        )
        if held:
            write_held(held, folder / HELD)
        try:
            done = subprocess.run(
                uv_command(folder, definition, python, sources),
                env=uv_environment(os.environ, sources),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LockError(
                f"environments_list: {environment}: the pip part was not solved for target {target!r} within "
                f"{timeout:.0f} s. Next: try again, or give a longer limit. Nothing was written."
            ) from error
    if done.returncode != 0:
        raise LockError(
            f"environments_list: {environment}: the pip part can't be solved for target {target!r} with python {python}"
            f"{_conda_gives(provided, done.stderr)}:\n{_explanation(done.stderr)}\nNext: loosen the requirement, or "
            "change the conda part. Nothing was written."
        )
    missing_extra = re.search(r"`([^`]+)` does not have an extra named `([^`]+)`", done.stderr)
    if missing_extra:
        raise LockError(
            f"environments_list: {environment}: pip: {missing_extra[1]} has no extra {missing_extra[2]!r} that can be "
            "solved (conda's packages have none). Next: name what the extra stands for. Nothing was written."
        )
    found = tomllib.loads(done.stdout).get("packages", [])
    conda_names = set(provided)
    return [
        _one_wheel(environment, entry, definition, python, sources)
        for entry in sorted(found, key=lambda entry: str(entry["name"]))
        if canonicalize_name(entry["name"]) not in conda_names
    ]


def uv_command(folder: Path, definition: Mapping[str, str], python: str, sources: Sources) -> list[str]:
    """The call of uv: wheels only, and only from where the declaration says."""
    command = [
        find_uv_bin(),
        "pip",
        "compile",
        str(folder / "requirements.in"),
        "--constraints",
        str(folder / "constraints.txt"),
        "--format=pylock.toml",
        f"--output-file={folder / HELD}",
        "--only-binary=:all:",
        "--generate-hashes",
        "--no-header",
        "--no-python-downloads",
        "--color=never",
        f"--python={sys.executable}",
        f"--python-version={python}",
        f"--python-platform={uv_platform(definition)}",
    ]
    if sources.index is None:
        return [*command, f"--torch-backend={torch_backend(definition.get('cuda'))}"]
    # A depot may be built again at the same place, and is near: nothing read earlier is trusted.
    return [*command, f"--default-index={sources.index}", "--no-cache"]


def uv_environment(environ: Mapping[str, str], sources: Sources) -> dict[str, str]:
    """The caller's environment, without whatever could add sources to a depot's or change the answer."""
    kept = {k: v for k, v in environ.items() if not k.startswith(("PIP_", "UV_")) and k != "VIRTUAL_ENV"}
    if sources.index is None:
        allowed = (
            "UV_CACHE_DIR",
            "UV_DEFAULT_INDEX",
            "UV_INDEX_URL",
            "UV_SYSTEM_CERTS",
            "UV_NATIVE_TLS",
            "UV_HTTP_TIMEOUT",
        )
        kept.update({key: environ[key] for key in allowed if key in environ})
        kept.update({key: value for key, value in environ.items() if key.startswith("UV_INDEX_")})
    return {**kept, "UV_NO_CONFIG": "1"}


def uv_platform(definition: Mapping[str, str]) -> str:
    """uv's name for the newest platform that the target's glibc satisfies."""
    machine = _MACHINES.get(definition["platform"])
    minor = _glibc_minor(definition)
    fitting = [known for known in _UV_PLATFORM_GLIBC if known <= minor]
    if machine is None or not fitting:
        raise LockError(
            f"environments_targets: platform {definition['platform']!r} with glibc {definition.get('glibc')!r} has no "
            f"wheels. Accepted: {', '.join(_MACHINES)} with glibc 2.17 or newer. Next: correct the target."
        )
    return f"{machine}-manylinux_2_{fitting[-1]}"


def torch_backend(cuda: str | None) -> str:
    """`cpu`, or the newest of PyTorch's builds that a driver for this CUDA runs: any minor version of its major."""
    if not cuda:
        return "cpu"
    least = Version(cuda)
    known = [Version(text) for text in _TORCH_BACKENDS]
    fitting = [one for one in known if one <= least and one.major == least.major]
    same_major = [one for one in known if one.major == least.major]
    chosen = fitting[-1] if fitting else same_major[0] if same_major else known[-1]
    if chosen.major > least.major:
        raise LockError(
            f"environments_targets: cuda {cuda!r} is older than any build of PyTorch. Accepted: "
            f"{', '.join(_TORCH_BACKENDS)}. Next: correct the target."
        )
    return f"cu{chosen.major}{chosen.minor}"


def write_held(held: Iterable[Package], path: Path) -> None:
    """A former answer: uv prefers the versions in the file that it is to write, and asks the index for all else."""
    packages = [{"name": package.name, "version": package.version} for package in held]
    answer = {"lock-version": "1.0", "created-by": "condafleet", "packages": packages}
    path.write_text(tomli_w.dumps(answer), encoding="utf-8")


def older_on_index(one: str, other: str) -> bool:
    """Whether a version is older than another, as the Python index orders them."""
    return Version(one) < Version(other)


def write_stubs(records: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, Path]:
    """A wheel without content for each Python project that conda provides, so that uv sees its name and version.

    As URL constraints they are the only candidate of that name: uv checks the version and never asks the index.
    """
    folder.mkdir(parents=True)
    stubs: dict[str, Path] = {}
    for record in records:
        name = project_of(record["name"], record["depends"])
        if name is None or name in stubs:
            continue
        try:
            version = str(Version(record["version"]))
        except InvalidVersion:
            # Not a version of the Python index, so no requirement can mean it.
            continue
        plain = name.replace("-", "_")
        path = folder / f"{plain}-{version}-py3-none-any.whl"
        info = f"{plain}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        stubs[name] = path
    return stubs


def _one_wheel(
    environment: str, entry: Mapping[str, Any], definition: Mapping[str, str], python: str, sources: Sources
) -> dict[str, Any]:
    ranks = {tag: rank for rank, tag in enumerate(_tags(definition, python))}
    best: tuple[int, Mapping[str, Any]] | None = None
    for wheel in entry.get("wheels", []):
        tags = parse_wheel_filename(_filename(wheel))[3]
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, wheel
    if best is None:
        raise LockError(
            f"environments_list: {environment}: pip: {entry['name']} {entry.get('version')} has no wheel for the "
            f"target ({uv_platform(definition)}, python {python}). Accepted: wheels only. Next: choose another version."
        )
    wheel = best[1]
    place = wheel["url"] if "url" in wheel else Path(wheel["path"]).resolve().as_uri()
    sha256 = wheel["hashes"]["sha256"]
    return {
        "name": str(canonicalize_name(entry["name"])),
        "version": str(entry["version"]),
        "url": sources.canonical(place),
        "sha256": sha256,
        "size": sources.size_of(place, sha256) if sources.depot_url else wheel.get("size"),
    }


def _tags(definition: Mapping[str, str], python: str) -> list[Any]:
    machine = _MACHINES[definition["platform"]]
    version = Version(python).release[:2]
    legacy = {17: "2014", 12: "2010", 5: "1"}
    platforms = []
    for minor in range(_glibc_minor(definition), 4, -1):
        platforms.append(f"manylinux_2_{minor}_{machine}")
        if minor in legacy:
            platforms.append(f"manylinux{legacy[minor]}_{machine}")
    platforms.append(f"linux_{machine}")
    interpreter = f"cp{version[0]}{version[1]}"
    return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]


def _glibc_minor(definition: Mapping[str, str]) -> int:
    return int(Version(definition.get("glibc") or "2.17").minor)


def _filename(wheel: Mapping[str, Any]) -> str:
    name = str(wheel.get("name") or wheel.get("url") or wheel["path"]).rsplit("/", 1)[-1]
    return name.replace("%2B", "+").replace("%2b", "+").replace("%21", "!")


def _conda_gives(provided: Mapping[str, Path], said: str) -> str:
    """The conda packages that the solver's explanation talks about: they are fixed by then."""
    named = [path for name, path in sorted(provided.items()) if re.search(rf"\b{re.escape(name)}\b", said)]
    return f" and conda's {', '.join(' '.join(path.name.split('-')[:2]) for path in named)}" if named else ""


def _explanation(said: str) -> str:
    noise = ("warning: The requested Python version", "warning: Requirements file `constraints.txt`")
    lines = [line for line in said.strip().splitlines() if not line.startswith(noise)]
    return str(without_login("\n".join(lines[-40:])))
