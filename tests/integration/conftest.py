"""What more than one of these tests starts from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from installs import ROOT, pip_cache, run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    home = tmp_path_factory.mktemp("builder")
    run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], folder, home, **pip_cache())
    (built,) = folder.glob("condafleet-*.whl")
    return built
