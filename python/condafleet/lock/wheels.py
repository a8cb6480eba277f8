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
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from uv import find_uv_bin

from ansible_collections.condafleet.core.plugins.module_utils.host_auth import Hosts
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.projects import project_of
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import host_of, masked, masked_logins
from condafleet.errors import LockError
from condafleet.lock.credentials import FOR_PIP, refusal
from condafleet.lock.indexes import index_options
from condafleet.lock.sources import Sources
from condafleet.lock.tags import MACHINES, best_wheel, glibc_minor

# PyTorch's own indexes as uv names them, by the CUDA that they are built with. 12.6 goes up to PyTorch 2.14 (GPUs
# up to Hopper), 12.8 up to 2.11 (Blackwell too). Left out are 12.1, 12.4 and 12.9, which ended with 2.5, 2.6 and 2.8: a
# driver that runs one of these runs the others too.
_TORCH_BACKENDS = ("11.8", "12.6", "12.8", "13.0", "13.2")
HELD = "pylock.toml"  # no other name is taken
_UV_PLATFORM_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)


def solve_wheels(
    environment: str,
    target: str,
    definition: Mapping[str, str],
    spec: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    sources: Sources,
    timeout: float,
    held: Sequence[Package] = (),
    exact: Mapping[str, str] | None = None,
    hosts: Hosts | None = None,
) -> list[dict[str, Any]]:
    """One wheel for each project that conda does not provide: `{name, version, url, sha256, size}`, by name.

    `spec` has what is asked for (`pip`), its `constraints` and the `hashes` that wheels must have. `held` are wheels
    whose versions are preferred, `exact` are versions to insist on, `hosts` the credentials for indexes.
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
        (folder / "requirements.in").write_text("".join(f"{line}\n" for line in spec["pip"]), encoding="utf-8")
        limits = {name: f"{name} @ {path.as_uri()}" for name, path in provided.items()}
        limits = {**{name: f"{name}=={version}" for name, version in (exact or {}).items()}, **limits}
        (folder / "constraints.txt").write_text(
            "".join(f"{line}\n" for line in (*sorted(limits.values()), *spec.get("constraints", ()))), encoding="utf-8"
        )
        if held:
            write_held(held, folder / HELD)
        try:
            done = subprocess.run(
                uv_command(folder, definition, python, sources, hosts or {}),
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
        refused = refusal(done.stderr, hosts or {})
        if refused:
            raise refused
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
        _one_wheel(environment, entry, definition, python, sources, spec.get("hashes"))
        for entry in sorted(found, key=lambda entry: str(entry["name"]))
        if canonicalize_name(entry["name"]) not in conda_names
    ]


def uv_command(folder: Path, definition: Mapping[str, str], python: str, sources: Sources, hosts: Hosts) -> list[str]:
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
    return [*command, *index_options(sources, torch_backend(definition.get("cuda")), hosts, folder)]


def uv_environment(environ: Mapping[str, str], sources: Sources) -> dict[str, str]:
    """The caller's environment, without whatever could add sources to a depot's or change the answer."""
    kept = {k: v for k, v in environ.items() if not k.startswith(("PIP_", "UV_")) and k != "VIRTUAL_ENV"}
    if FOR_PIP in environ:
        kept[FOR_PIP] = environ[FOR_PIP]
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
    machine = MACHINES.get(definition["platform"])
    minor = glibc_minor(definition)
    fitting = [known for known in _UV_PLATFORM_GLIBC if known <= minor]
    if machine is None or not fitting:
        raise LockError(
            f"environments_targets: platform {definition['platform']!r} with glibc {definition.get('glibc')!r} has no "
            f"wheels. Accepted: {', '.join(MACHINES)} with glibc 2.17 or newer. Next: correct the target."
        )
    return f"{machine}-manylinux_2_{fitting[-1]}"


def torch_backend(cuda: str | None) -> str:
    """`cpu`, or the newest of PyTorch's builds up to the target's CUDA, else the oldest for its major version: a driver
    runs all minor versions of its major one."""
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
    environment: str,
    entry: Mapping[str, Any],
    definition: Mapping[str, str],
    python: str,
    sources: Sources,
    hashes: Mapping[str, Sequence[str]] | None,
) -> dict[str, Any]:
    name = str(canonicalize_name(entry["name"]))
    offered = entry.get("wheels", [])
    if hashes:
        # As pip does it: as soon as one requirement has hashes, all wheels need theirs.
        offered = [wheel for wheel in offered if wheel.get("hashes", {}).get("sha256") in hashes.get(name, ())]
        if not offered:
            given = (
                f"none of its wheels has a sha256 of the {len(hashes[name])} given"
                if name in hashes
                else "none is given"
            )
            raise LockError(
                f"environments_list: {environment}: pip: --hash: {name} {entry.get('version')}: {given}. Accepted: "
                "hashes for every project, dependencies too, as soon as one has any. Next: write the requirements "
                "again with hashes for all, as `pip-compile --generate-hashes` does, and see why they differ. Nothing "
                "was written."
            )
    wheel = best_wheel(offered, definition, python)
    if wheel is None:
        raise LockError(
            f"environments_list: {environment}: pip: {entry['name']} {entry.get('version')} has no wheel for the "
            f"target ({uv_platform(definition)}, python {python}). Accepted: wheels only. Next: choose another version."
        )
    place = wheel["url"] if "url" in wheel else Path(wheel["path"]).resolve().as_uri()
    sha256 = wheel.get("hashes", {}).get("sha256")
    if not sha256:
        given = ", ".join(sorted(wheel.get("hashes", {}))) or "no hash"
        raise LockError(
            f"environments_list: {environment}: pip: {name} {entry.get('version')}: its index gives {given} for "
            f"{masked(place.rsplit('/', 1)[-1])}, and no sha256 (it comes from {host_of(place)}). Accepted: indexes "
            "that give a sha256, which a lock names and each node checks. Next: have the index give it (a mirror may "
            "have to be indexed again), or take the project from another index. Nothing was written."
        )
    return {
        "name": name,
        "version": str(entry["version"]),
        "url": sources.canonical(place),
        "sha256": sha256,
        "size": sources.size_of(place, sha256) if sources.depot_url else wheel.get("size"),
    }


def _conda_gives(provided: Mapping[str, Path], said: str) -> str:
    """The conda packages that the solver's explanation talks about: they are fixed by then."""
    named = [path for name, path in sorted(provided.items()) if re.search(rf"\b{re.escape(name)}\b", said)]
    return f" and conda's {', '.join(' '.join(path.name.split('-')[:2]) for path in named)}" if named else ""


def _explanation(said: str) -> str:
    noise = ("warning: The requested Python version", "warning: Requirements file `constraints.txt`")
    lines = [line for line in said.strip().splitlines() if not line.startswith(noise)]
    return str(masked_logins("\n".join(lines[-40:])))
