"""A small made-up depot: enough of a channel and an index for real solvers to solve from."""

import functools
import hashlib
import http.server
import json
import threading
import zipfile
from pathlib import Path

import pytest

PREFIX = "https://depot.condafleet.invalid/made-up/"
TARGETS = {
    "linux-64-cpu": {"platform": "linux-64", "glibc": "2.36"},
    "linux-64-cuda12": {"platform": "linux-64", "glibc": "2.28", "cuda": "12.8"},
}


class MadeDepot:
    """A folder as `condafleet depot build` lays it out, with packages that hold nothing but metadata."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repodata = {subdir: {} for subdir in ("linux-64", "noarch")}

    def conda(self, name, version, build="h0_0", depends=(), subdir="linux-64"):
        path = self.root / "channel" / subdir / f"{name}-{version}-{build}.conda"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
        self.repodata[subdir][path.name] = {
            "name": name,
            "version": version,
            "build": build,
            "build_number": 0,
            "depends": list(depends),
            "subdir": subdir,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
            "size": path.stat().st_size,
        }

    def wheel(self, name, version, requires=(), tag="py3-none-any", extras=()):
        plain = name.replace("-", "_")
        path = self.root / "wheels" / f"{plain}-{version}-{tag}.whl"
        path.parent.mkdir(parents=True, exist_ok=True)
        info = f"{plain}-{version}.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {entry}" for entry in requires] + [f"Provides-Extra: {extra}" for extra in extras]
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in (
                ("METADATA", "\n".join(lines) + "\n"),
                ("WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"),
                ("RECORD", ""),
            ):
                archive.writestr(zipfile.ZipInfo(f"{info}/{member}"), text)

    def write(self, platform="linux-64"):
        for subdir, packages in self.repodata.items():
            folder = self.root / "channel" / subdir
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "repodata.json").write_text(
                json.dumps(
                    {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "repodata_version": 1}
                )
            )
        for wheel in sorted((self.root / "wheels").glob("*.whl")):
            page = self.root / "simple" / wheel.name.split("-")[0].replace("_", "-") / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
            with page.open("a") as handle:
                handle.write(f'<a href="../../wheels/{wheel.name}#sha256={sha256}">{wheel.name}</a>\n')
        files = {
            str(path.relative_to(self.root)): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "size": path.stat().st_size,
            }
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "schema_version": 1,
            "platform": platform,
            "channels": {"conda": {"path": "channel"}},
            "index": {"path": "simple"},
            "origins": {PREFIX: ""},
            "files": files,
        }
        (self.root / "manifest.json").write_text(json.dumps(manifest))
        return {"url": self.root.as_uri(), "sha256": self.sha256()}

    def sha256(self):
        return hashlib.sha256((self.root / "manifest.json").read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the cache folder of whoever runs it, nor finds an index by their settings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/")
    monkeypatch.setenv("UV_FIND_LINKS", "/nowhere")


@pytest.fixture
def targets():
    return dict(TARGETS)


@pytest.fixture
def made(tmp_path):
    """The depot, not written yet: a test may add to it."""
    depot = MadeDepot(tmp_path / "depot")
    depot.conda("python", "3.11.9", depends=["__glibc >=2.17", "__unix", "zlib"])
    depot.conda("python", "3.12.4", depends=["__glibc >=2.17", "zlib"])
    depot.conda("zlib", "1.3.1")
    depot.conda("numpy", "1.26.4", "py311_0", ["python >=3.11,<3.12"])
    depot.conda("numpy", "2.1.0", "py311_0", ["python >=3.11,<3.12"])
    depot.conda("pytorch", "2.7.1", "cpu_py311_0", ["python 3.11.*", "numpy"])
    depot.conda("needs-new-glibc", "1.0", depends=["__glibc >=2.99"])
    depot.conda("needs-cuda", "1.0", depends=["__cuda >=12.6"])
    depot.conda("tool", "1.0", "py_0", ["python"], subdir="noarch")
    depot.wheel("torch", "2.7.1+cpu", ["numpy<2", "sympy"], "cp311-cp311-manylinux_2_28_x86_64")
    depot.wheel("torch", "2.7.1+cpu", ["numpy<2", "sympy"], "cp312-cp312-manylinux_2_28_x86_64")
    depot.wheel("torch", "2.8.0+cpu", ["numpy", "sympy"], "cp311-cp311-manylinux_2_99_x86_64")
    depot.wheel("sympy", "1.13.0")
    depot.wheel("numpy", "1.26.4", ["never-wanted"])
    depot.wheel("lightning", "2.0", ["torch>=2"])
    return depot


@pytest.fixture
def declared():
    """An entry of environments_list that can be solved from the depot."""
    return {
        "name": "pytorch",
        "spec": {"conda": ["python=3.11", "numpy=1"], "pip": ["torch", "numpy"], "variables": {"OMP_NUM_THREADS": 1}},
        "targets": ["linux-64-cpu"],
        "frameworks": ["torch"],
    }


@pytest.fixture
def served():
    """Serves a folder on the loopback address; gives its URL."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    def serve(folder):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
