"""A fleet image: the same roles on a root folder that is no running system, by a genuine chroot connection.

There is no systemd, no GPU to see, and no network but a depot on the loopback address. Afterwards the folder is started
as a container, as a node would be from such an image. Needs root, podman, the image bookworm
(tests/containers/setup.sh) and an embedded depot.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from installs import ROOT, depot_path, images, run

pytestmark = pytest.mark.integration
DEPOT = depot_path()
# The distribution that carries the collection community.general, whose chroot connection is used; no code is changed.
ANSIBLE = "ansible==12.3.0"
USER = """
. /opt/miniconda3/envs/plain/bin/activate; python -c 'import sys; print(sys.prefix)'; condafleet_deactivate
conda activate plain && python -c 'import sys; print(sys.prefix)'; echo "$CONDA_DEFAULT_ENV $WHICH"
"""


@pytest.fixture(scope="module")
def collections() -> Path:
    """A collections folder with community.general, kept in the cache folder."""
    cache = images.CACHE.parent
    place = cache / ANSIBLE.replace("==", "-")
    if not (place / "ansible_collections/community/general/MANIFEST.json").is_file():
        loads = cache / "wheels"
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(loads), ANSIBLE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"{ANSIBLE} can't be had from the package index: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(next(loads.glob("ansible-12.3.0-*.whl"))) as wheel:
            wanted = [name for name in wheel.namelist() if name.startswith("ansible_collections/community/general/")]
            wheel.extractall(place, wanted)
        shutil.rmtree(loads)
    return place


@pytest.fixture(scope="module")
def depot() -> Iterator[str]:
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(DEPOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root folder of a Debian 12, unpacked."""
    archive = images.CACHE / f"bookworm-{images.IMAGES['bookworm'].digest}.tar"
    if os.geteuid() != 0 or not archive.is_file():
        pytest.skip("needs root and the image bookworm: tests/containers/setup.sh bookworm")
    root = tmp_path_factory.mktemp("image") / "rootfs"
    root.mkdir()
    root.chmod(0o755)
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", root], check=True, timeout=120)
    # What a container build, too, has: an empty /proc would hide the image's own processes, and nothing more.
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    yield root
    subprocess.run(["umount", root / "proc"], check=False)
    shutil.rmtree(root, ignore_errors=True)


def declare(folder: Path, root: Path, depot: str) -> Path:
    inventory = folder / "inventory.yml"
    host = {
        "ansible_connection": "community.general.chroot",
        "ansible_host": str(root),
        "ansible_python_interpreter": "/usr/bin/python3",
        "depot_url": depot,
        "depot_sha256": hashlib.sha256((DEPOT / "manifest.json").read_bytes()).hexdigest() if DEPOT else "",
        "miniconda_distribution": "embedded",
        "environments_target": "linux-64-cuda12",
        "environments_modulefiles": True,
        "environments_locks_dir": str(folder / "locks"),
        "environments_list": [
            {
                "name": "plain",
                "spec": {"conda": ["python"]},
                "variables": {"WHICH": "image"},
                "targets": ["linux-64-cuda13", "linux-64-cuda12", "linux-64-cpu"],
            }
        ],
        "validation_enabled": False,
    }
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"image": host}}}), encoding="utf-8")
    return inventory


def test_an_image_is_made_in_a_chroot_and_started(
    tmp_path: Path, home: Path, collections: Path, depot: str, image: Path
) -> None:
    inventory = declare(tmp_path, image, depot)
    paths = {
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / 'collections'}:{collections}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, "condafleet.core.site"]
    first = run(command, ROOT, home, limit=400, **paths)
    assert "failed=0" in first
    again = run(command, ROOT, home, limit=200, **paths)
    assert "changed=0" in again
    (generation,) = (image / "opt/condafleet/generations").glob("plain-*")
    receipt = json.loads((generation / ".condafleet.json").read_text(encoding="utf-8"))
    assert receipt["target"] == "linux-64-cuda12", "what was declared, though no driver is seen"

    subprocess.run(["umount", image / "proc"], check=True)
    done = subprocess.run(
        ["podman", "run", "--rm", "--network", "none", "--user", "alice", "--rootfs", image, "bash", "-lc", USER],
        env=images.engine.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    inside = f"/{generation.relative_to(image)}"
    assert done.stdout.splitlines() == [inside, inside, "plain image"], done.stderr
