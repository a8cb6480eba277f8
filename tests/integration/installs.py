"""How tests run condafleet as a new user would: from a place of its own, with a home of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "containers"))

import images  # noqa: E402

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package  # noqa: E402


def environment(home: Path) -> dict[str, str]:
    """What a new user would have: no Ansible setting, no Python path, a home without collections."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "MOLECULE_"))
    }
    kept.pop("VIRTUAL_ENV", None)
    return {
        **kept,
        "HOME": str(home),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }


def run(command: Sequence[object], cwd: Path, home: Path, *, limit: float = 300, **more: str) -> str:
    """Run to success within `limit` seconds; a failure shows all that was said."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**environment(home), **more},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: rc {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def new_venv(folder: Path) -> Path:
    """A virtual environment that sees this one's libraries, but not this one's condafleet; returns its python.

    The libraries come by a path line: `.pth` files in that folder, such as an editable install's, are then not read.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], timeout=120, check=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin" / "python"


def install(wheel: Path, python: Path, cwd: Path, home: Path) -> None:
    """Put the wheel, and nothing else, into the environment of `python`."""
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel], cwd, home)


def pip_cache() -> dict[str, str]:
    """The user's cache, so that a home of its own does not mean to download again."""
    return {"PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(images.CACHE.parent / "pip")}


def depot_path() -> Path | None:
    """The embedded depot that tests install from, if one was built."""
    said = os.environ.get("CONDAFLEET_TEST_DEPOT")
    noted = ROOT / "build" / "DEPOT_PATH"
    path = Path(said) if said else Path(noted.read_text(encoding="utf-8").strip()) if noted.is_file() else None
    return path if path and (path / "manifest.json").is_file() else None


def local_nodes(depot: Path, top: Path) -> dict[str, str]:
    """Variables of nodes that are this machine, each with a temporary folder below `top`, and of their depot."""
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(top / "tmp"),
        "depot_url": depot.as_uri(),
        "depot_sha256": hashlib.sha256((depot / "manifest.json").read_bytes()).hexdigest(),
    }


def packages_of(depot: Path, names: Sequence[str], wheel_name: str | None = None) -> list[Package]:
    """What a lock of this environment would say, straight from the depot's own lists."""
    origin = "https://depot.condafleet.invalid/embedded/"
    listed = json.loads((depot / "channel" / "linux-64" / "repodata.json").read_text())["packages.conda"]
    found = [
        Package(
            "conda", entry["name"], entry["version"], entry["build"], f"{origin}channel/linux-64/{filename}",
            entry["sha256"], entry["md5"], entry["size"], filename, "linux-64",
        )
        for filename, entry in listed.items()
        if entry["name"] in names
    ]  # fmt: skip
    if wheel_name is None:
        return found
    wheel = next((depot / "wheels").glob(f"{wheel_name}-*.whl"))
    about = json.loads((depot / "manifest.json").read_text())["files"][f"wheels/{wheel.name}"]
    url = f"{origin}wheels/{wheel.name}"
    version = wheel.name.split("-")[1]
    found.append(Package("pip", wheel_name, version, "", url, about["sha256"], None, about["size"], wheel.name, ""))
    return found
