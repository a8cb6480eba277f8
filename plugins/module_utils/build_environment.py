# SPDX-License-Identifier: Apache-2.0
"""Builds one generation at its final path: conda links its packages, uv installs the wheels, Python is compiled."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.access_files import write_access
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import (
    environment_variables,
    write_activation,
)
from ansible_collections.condafleet.core.plugins.module_utils.cgroup import cpu_quota, usable_cpus
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group
from ansible_collections.condafleet.core.plugins.module_utils.disk import make_durable
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import site_packages
from ansible_collections.condafleet.core.plugins.module_utils.generations import REMOVING
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.modulefile import write_modulefile
from ansible_collections.condafleet.core.plugins.module_utils.package_cache import archive_path, register_urls
from ansible_collections.condafleet.core.plugins.module_utils.pin import write_pin
from ansible_collections.condafleet.core.plugins.module_utils.programs import clean_environment, run, tail
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, held_locks
from ansible_collections.condafleet.core.plugins.module_utils.wheel_records import damaged_wheels

FROZEN_MESSAGE = (
    "This environment is made by condafleet and does not change in place. "
    "Ask for a change of its spec, or make an environment of your own: conda create --name NAME ..."
)

# Compiles what has no .pyc yet: packages that ship theirs keep it. `unchecked-hash` needs no look at the source at
# every start, and stays right when the folder is copied. A wheel may carry files of another Python on purpose
# (templates, tests of syntax errors), so a file that does not compile is counted, not an error.
COMPILE_PROGRAM = """
import ctypes, importlib.util, os, py_compile, signal, sys, warnings
from concurrent.futures import ProcessPoolExecutor
warnings.simplefilter("ignore")
def end_with_parent():
    # PR_SET_PDEATHSIG: a worker whose parent was killed would wait for work for ever, and hold the lock meanwhile.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
def compile_one(path):
    try:
        py_compile.compile(path, doraise=True, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        return None
    except Exception as error:
        return path
if __name__ == "__main__":
    base, workers = sys.argv[1], int(sys.argv[2])
    todo = []
    for folder, names, found in os.walk(base):
        names[:] = [name for name in names if name != "__pycache__"]
        cache = os.path.join(folder, "__pycache__")
        have = set(os.listdir(cache)) if os.path.isdir(cache) else ()
        for name in found:
            path = os.path.join(folder, name)
            if name.endswith(".py") and os.path.basename(importlib.util.cache_from_source(path)) not in have:
                todo.append(path)
    done = failed = 0
    print(done, len(todo), failed, flush=True)
    with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
        for path in pool.map(compile_one, todo, chunksize=32):
            done += 1
            failed += path is not None
            if done % 100 == 0 or done == len(todo):
                print(done, len(todo), failed, flush=True)
"""


def build(
    prefix: str,
    *,
    name: str,
    conda: str,
    root: str,
    scratch: str,
    packages: Sequence[Package],
    variables: Mapping[str, str],
    uv: Optional[str],
    progress: Progress,
    access: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """Build `prefix`, the environment `name`, from archives that are in the cache, without a network.
    `conda` and `uv` are programs; `scratch` is an empty folder for temporary files.

    Returns {seconds: {step: s}, uncompiled: n, installer: uv|pip|None}. FleetError says the step and what it said.
    """
    conda_packages = [package for package in packages if package.manager == "conda"]
    wheels = [package for package in packages if package.manager == "pip"]
    seconds: Dict[str, float] = {}
    installer = None
    uncompiled = 0

    def timed(step: str, action: Callable[[], Any]) -> Any:
        started = time.monotonic()
        outcome = action()
        seconds[step] = round(time.monotonic() - started, 2)
        return outcome

    timed("link", lambda: link_conda(conda, prefix, root, conda_packages, scratch, progress))
    if wheels:
        installer = "uv" if uv else "pip"
        timed("wheels", lambda: install_wheels(uv, prefix, root, wheels, scratch, progress))
    write_state(prefix, variables)
    write_access(prefix, access or {})
    write_pin(prefix, environment_variables(prefix))
    installation = os.path.dirname(os.path.dirname(conda))
    write_activation(prefix, name, installation)
    write_modulefile(prefix, name, installation)
    python = os.path.join(prefix, "bin", "python")
    if os.path.exists(python):
        uncompiled = timed("compile", lambda: compile_python(python, prefix, scratch, progress))
    timed("permissions", lambda: settle_permissions(prefix))
    timed("sync", lambda: make_durable(prefix))
    return {"seconds": seconds, "uncompiled": uncompiled, "installer": installer}


def link_conda(
    conda: str, prefix: str, root: str, packages: Sequence[Package], scratch: str, progress: Progress
) -> None:
    """conda links exactly these packages, from archives in our cache, without a solver and without a network."""
    register_urls(root, packages)
    explicit = os.path.join(scratch, "explicit.txt")
    lines = ["@EXPLICIT"] + ["%s#%s" % (package.url, package.md5) for package in packages]
    files.write_atomic(explicit, "\n".join(lines) + "\n", 0o600)
    command = [conda, "create", "--prefix", prefix, "--file", explicit, "--yes", "--offline", "--quiet"]
    records = os.path.join(prefix, "conda-meta")

    def linked() -> int:
        try:
            return sum(name.endswith(".json") for name in os.listdir(records))
        except OSError:
            return 0

    def watch() -> None:
        progress("link", linked(), len(packages), "packages")

    output = run(command, conda_environment(root, scratch), "conda create", watch)
    wanted = {"%s-%s-%s.json" % (package.name, package.version, package.build) for package in packages}
    absent = sorted(wanted - set(os.listdir(records) if os.path.isdir(records) else []))
    if absent:
        # conda may end with 0 and have done nothing: what counts is what is on disk.
        raise FleetError(
            "conda create ended without an error, but %d of %d packages are not in %s (%s). It said: %s"
            % (len(absent), len(wanted), prefix, ", ".join(absent[:5]), tail(output))
        )


def conda_environment(root: str, scratch: str) -> Dict[str, str]:
    """A small environment in which no file of a user or a site decides what conda does."""
    condarc = os.path.join(scratch, "condarc")
    files.write_atomic(condarc, "", 0o600)
    return {
        **clean_environment(scratch),
        "CONDARC": condarc,
        "CONDA_PKGS_DIRS": os.path.join(root, "pkgs"),
        "CONDA_REGISTER_ENVS": "false",
        "CONDA_OFFLINE": "true",
        "CONDA_ALWAYS_YES": "true",
        "CONDA_ALWAYS_COPY": "false",
        "CONDA_ALWAYS_SOFTLINK": "false",
        "CONDA_CREATE_DEFAULT_PACKAGES": "",
        "CONDA_NUMBER_CHANNEL_NOTICES": "0",
        "CONDA_NO_PLUGINS": "true",
        # What is linked was verified against its own list just before (package_cache.drop_damaged).
        "CONDA_SAFETY_CHECKS": "disabled",
        "CONDA_REMOTE_MAX_RETRIES": "0",
    }


def install_wheels(
    uv: Optional[str], prefix: str, root: str, wheels: Sequence[Package], scratch: str, progress: Progress
) -> None:
    """Exactly these wheels, by hash, without a network; installed once more where a file came out damaged."""
    progress("wheels", 0, len(wheels), "packages")
    requirements = os.path.join(scratch, "requirements.txt")
    files.write_atomic(requirements, requirements_text(root, wheels), 0o600)
    python = os.path.join(prefix, "bin", "python")
    if not os.path.exists(python):
        raise FleetError(
            "environments_list: the lock has wheels but no Python among its conda packages. "
            "Next: add python to the spec's conda packages and lock again."
        )
    environment = clean_environment(scratch)
    if uv:
        command = [uv, "pip", "install", "--python", python, "--no-deps", "--offline", "--no-index"]
        command += ["--require-hashes", "--link-mode", "hardlink", "--no-python-downloads", "--no-progress"]
        command += ["--only-binary", ":all:", "--break-system-packages", "-r", requirements]
        environment.update(UV_NO_CONFIG="1", UV_CACHE_DIR=os.path.join(root, "uv-cache"))
    else:
        if not has_pip(prefix):
            raise FleetError(
                "environments_list: the lock has wheels, but there is neither uv on the node nor pip among the lock's "
                "conda packages. Next: add pip to the spec's conda packages and lock again, or take a depot with uv."
            )
        command = [python, "-m", "pip", "install", "--no-index", "--no-deps", "--require-hashes", "--no-compile"]
        command += [
            "--only-binary",
            ":all:",
            "--no-cache-dir",
            "--no-warn-script-location",
            "--progress-bar",
            "off",
            "-r",
            requirements,
        ]
        environment.update(PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
        environment.update(PIP_ROOT_USER_ACTION="ignore")

    def watch() -> None:
        progress("wheels", 0, len(wheels), "packages")

    run(command, environment, "uv pip install" if uv else "pip install", watch)
    damaged = damaged_wheels(prefix, wheels, progress)
    if damaged and uv:
        # uv's cache is hard-linked into environments: what was edited in one is edited in the cache.
        names = sorted(damaged)
        run([uv, "cache", "clean", *names], environment, "uv cache clean")
        run([*command, "--reinstall"], environment, "uv pip install", watch)
        damaged = damaged_wheels(prefix, wheels, progress)
    if damaged:
        raise FleetError(
            "the wheels of %s were installed but differ from their own RECORD: %s. Next: check the disk below %s."
            % (prefix, "; ".join("%s (%s)" % item for item in sorted(damaged.items())[:5]), root)
        )


def has_pip(prefix: str) -> bool:
    return any(os.path.isdir(os.path.join(folder, "pip")) for folder in site_packages(prefix))


def requirements_text(root: str, wheels: Sequence[Package]) -> str:
    """For uv and pip alike. The folders are named, not the files: a `name @ file://` would be recorded for users."""
    lines = ["--find-links %s" % os.path.dirname(archive_path(root, wheel)) for wheel in wheels]
    lines += ["%s==%s --hash=sha256:%s" % (wheel.name, wheel.version, wheel.sha256) for wheel in wheels]
    return "\n".join(lines) + "\n"


def compile_python(python: str, prefix: str, scratch: str, progress: Progress) -> int:
    """Byte-compile what is not; the number of files that don't compile."""
    program = os.path.join(scratch, "compile_missing.py")
    files.write_atomic(program, COMPILE_PROGRAM)
    environment = clean_environment(scratch)
    command = [python, "-I", program, os.path.join(prefix, "lib"), str(usable_cpus(cpu_quota()))]
    with open(os.path.join(scratch, "compile.err"), "w+b") as errors:
        with child_group(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, cwd=scratch, pass_fds=held_locks()
        ) as process:
            last = [0, 0, 0]
            for line in process.stdout:
                last = [int(part) for part in line.split()]
                progress("compile", last[0], last[1], "files")
            code = process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
    if code or last[0] != last[1]:
        raise FleetError("byte-compiling %s ended with %d: %s" % (prefix, code, tail(said)))
    return last[2]


def settle_permissions(prefix: str) -> None:
    """Everything readable by all, writable by its owner alone, and owned by who builds (root, on a node)."""
    owner, group = os.geteuid(), os.getegid()
    for folder, _dummy, found in os.walk(prefix):
        for path in [folder] + [os.path.join(folder, name) for name in found]:
            status = os.lstat(path)
            if (status.st_uid, status.st_gid) != (owner, group):
                os.lchown(path, owner, group)
            if stat.S_ISLNK(status.st_mode):
                continue
            mode = stat.S_IMODE(status.st_mode)
            allowed = (mode & 0o700) | 0o600
            allowed |= 0o100 if stat.S_ISDIR(status.st_mode) else 0
            shared = (allowed & 0o500) >> 3 | (allowed & 0o500) >> 6
            if mode != allowed | shared:
                os.chmod(path, allowed | shared)


def write_state(prefix: str, variables: Mapping[str, str]) -> None:
    """Environment variables where conda looks for them, and the courtesy of CEP 22 to those who try to change it."""
    folder = os.path.join(prefix, "conda-meta")
    os.makedirs(folder, exist_ok=True)
    if variables:
        files.write_json(os.path.join(folder, "state"), {"version": 1, "env_vars": dict(variables)})
    files.write_json(os.path.join(folder, "frozen"), {"message": FROZEN_MESSAGE})


def remove_tree(path: str) -> None:
    """Remove a prefix that nobody uses; its name goes first, so that half of it is never taken for whole."""
    doomed = path if path.endswith(REMOVING) else path + REMOVING
    if doomed != path:
        if os.path.lexists(doomed):
            # An earlier removal of a prefix of this name was cut short.
            shutil.rmtree(doomed)
        os.rename(path, doomed)
    shutil.rmtree(doomed)
