"""Runs inside the installer, by the Python that it unpacked: conda itself links the base environment.

Standard library only, and no import from condafleet: this file travels in the installer.
"""

import os
import sys
from pathlib import Path


def main(prefix: str) -> int:
    """Link the packages listed in `explicit.txt` into PREFIX."""
    packages = Path(prefix, "pkgs")
    # conda's libraries lie unpacked in the package cache, one folder each.
    sys.path[:0] = sorted(str(path) for path in packages.glob("*/lib/python3*/site-packages"))
    # Nothing of the caller's: a condarc or a variable of theirs must not change what base becomes.
    for name in [name for name in os.environ if name.startswith(("CONDA_", "_CE_", "PYTHON"))]:
        del os.environ[name]
    os.environ.update(
        CONDA_PKGS_DIRS=str(packages),
        CONDA_OFFLINE="true",
        CONDA_REGISTER_ENVS="false",
        CONDA_QUIET="true",
        CONDA_ALWAYS_YES="true",
    )
    sys.prefix, sys.executable = prefix, f"{prefix}/bin/python"

    from conda.base.context import reset_context  # type: ignore[import-not-found]

    reset_context(search_path=())
    from conda.misc import explicit  # type: ignore[import-not-found]

    lines = Path(__file__).with_name("explicit.txt").read_text(encoding="utf-8").split()
    explicit(lines, prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
