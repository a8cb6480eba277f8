# SPDX-License-Identifier: Apache-2.0
"""Keeps a job on the generation it started on.

Users reach a generation through the link `PREFIX/envs/NAME`. Whatever still holds the link's path when it moves
loads the new generation from then on. So activation and a starting python both put the generation's own path in its
place. That path is written into both: a generation is built at its final place and never moves.
"""

from __future__ import annotations

import os
import shlex
from typing import Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import site_packages

# The first to be sourced, so that other packages' scripts already see the generation's own path.
ACTIVATE = os.path.join("etc", "conda", "activate.d", "00-condafleet-pin.sh")
MODULE = "_condafleet_pin.py"
# The last .pth to be read, so that what the others loaded and added is put right too.
START = "zzz_condafleet_pin.pth"

# For bash, zsh and dash, also under `set -eu`. No program is started: activation happens at every login.
ACTIVATE_TEXT = """\
# Written by condafleet. This shell, and what it starts, stay on this generation when the link to it moves.
# In a clone of this environment the two are different folders, and nothing is done.
if [ -n "${CONDA_PREFIX:-}" ] && [ "$CONDA_PREFIX" != @GENERATION@ ] &&
    [ "$CONDA_PREFIX" -ef @GENERATION@ ]; then
    _condafleet_path=":${PATH:-}:"
    case "$_condafleet_path" in
        *":$CONDA_PREFIX/bin:"*)
            _condafleet_path="${_condafleet_path%%":$CONDA_PREFIX/bin:"*}:"@GENERATION@"/bin:${_condafleet_path#*":$CONDA_PREFIX/bin:"}"
            _condafleet_path="${_condafleet_path#:}"
            PATH="${_condafleet_path%:}"
            export PATH
            ;;
    esac
    CONDA_PREFIX=@GENERATION@
    export CONDA_PREFIX
    unset _condafleet_path
fi
"""

START_TEXT = "import _condafleet_pin\n"

MODULE_TEXT = '''\
"""Written by condafleet. A python that was started through a link stays on this generation when the link moves."""

import os
import sys

GENERATION = @GENERATION@
USER_PACKAGES = @USER_PACKAGES@
SYS_PATHS = (
    "prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "executable", "_base_executable", "_stdlib_dir"
)


def pin():
    # In a virtual environment made from this one sys.prefix is that environment's own, and stays.
    started = sys.base_prefix
    # A clone of this environment carries this file too, and must stay what it is.
    if not os.path.samefile(started, GENERATION):
        return
    if started == sys.prefix and not USER_PACKAGES:
        drop_user_site()
    if started == GENERATION:
        return

    def moved(value):
        if isinstance(value, str) and (value == started or value.startswith(started + "/")):
            return GENERATION + value[len(started):]
        return value

    for name in SYS_PATHS:
        if hasattr(sys, name):
            setattr(sys, name, moved(getattr(sys, name)))
    sys.path[:] = [moved(entry) for entry in sys.path]
    # Packages that are loaded already look for their parts where they were found.
    for module in list(sys.modules.values()):
        try:
            move_module(module, moved)
        except Exception:
            pass  # a module may forbid it; then it keeps its path, as without a pin
    site = sys.modules.get("site")
    if site is not None:
        site.PREFIXES[:] = [moved(entry) for entry in site.PREFIXES]


def move_module(module, moved):
    spec = getattr(module, "__spec__", None)
    for owner, names in (
        (module, ("__file__", "__cached__")),
        (spec, ("origin", "cached")),
        (getattr(spec, "loader", None), ("path",)),
    ):
        for name in names:
            value = getattr(owner, name, None) if owner is not None else None
            if isinstance(value, str) and moved(value) != value:
                setattr(owner, name, moved(value))
    for folders in (getattr(module, "__path__", None), getattr(spec, "submodule_search_locations", None)):
        if isinstance(folders, list):
            folders[:] = [moved(folder) for folder in folders]


def drop_user_site():
    """Leave ~/.local, and what its .pth files added, out: it would mix with what is locked here."""
    site = sys.modules.get("site")
    user = getattr(site, "USER_SITE", None)
    if user in sys.path:
        first = sys.path.index(user)
        ours = [index for index, entry in enumerate(sys.path) if index > first and entry.endswith("/site-packages")]
        del sys.path[first:ours[0] if ours else first + 1]
    if site is not None and getattr(site, "ENABLE_USER_SITE", None):
        site.ENABLE_USER_SITE = False


try:
    pin()
except OSError:
    pass  # the generation is gone, or unreadable: python says so itself soon enough
'''


def pin_files(prefix: str) -> Dict[str, str]:
    """{path: text} of what pins a generation at `prefix`; the python part only where there is a Python."""
    texts = {os.path.join(prefix, ACTIVATE): ACTIVATE_TEXT.replace("@GENERATION@", shlex.quote(prefix))}
    texts.update(python_pin_files(prefix, user_packages=False))
    return texts


def python_pin_files(prefix: str, user_packages: bool) -> Dict[str, str]:
    """{path: text} of what pins the Python at `prefix`. `user_packages` leaves ~/.local as it is."""
    texts = {}
    for folder in site_packages(prefix):
        text = MODULE_TEXT.replace("@GENERATION@", repr(prefix)).replace("@USER_PACKAGES@", repr(user_packages))
        texts[os.path.join(folder, MODULE)] = text
        texts[os.path.join(folder, START)] = START_TEXT
    return texts


def write_pin(prefix: str) -> List[str]:
    """Pin a generation; the paths that were written."""
    return write_files(pin_files(prefix))


def write_files(texts: Mapping[str, str]) -> List[str]:
    written = []
    for path, text in sorted(texts.items()):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write_atomic(path, text)
        written.append(path)
    return written
