# SPDX-License-Identifier: Apache-2.0
"""Keeps a job on the generation it started on.

Users reach a generation through the link `PREFIX/envs/NAME`. Whatever still holds the link's path when it moves
loads the new generation from then on. So activation and a starting python both put the generation's own path in its
place. That path is written into both: a generation is built at its final place and never moves.
"""

from __future__ import annotations

import os
import shlex
from typing import Dict, Iterable, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import site_packages

# The first to be sourced, so that other packages' scripts already see the generation's own path.
ACTIVATE = os.path.join("etc", "conda", "activate.d", "00-condafleet-pin.sh")
ACTIVATE_FISH = os.path.join("etc", "conda", "activate.d", "00-condafleet-pin.fish")
ACTIVATE_CSH = os.path.join("etc", "conda", "activate.d", "00-condafleet-pin.csh")
PINS = (ACTIVATE, ACTIVATE_FISH, ACTIVATE_CSH)
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
    # conda compares paths, so it takes a second activation for one of another environment. It stays one level.
    _condafleet_level=$((${CONDA_SHLVL:-1} - 1))
    eval "_condafleet_before=\\${CONDA_PREFIX_$_condafleet_level:-}\\${CONDA_STACKED_${CONDA_SHLVL:-1}:-}"
    if [ "$_condafleet_before" = @GENERATION@ ]; then
        CONDA_SHLVL=$_condafleet_level
        export CONDA_SHLVL
        unset "CONDA_PREFIX_$_condafleet_level"@SAVED@
    fi
    unset _condafleet_path _condafleet_level _condafleet_before
fi
"""

# The same for the shells that have a language of their own.
FISH_TEXT = """\
# Written by condafleet. This shell, and what it starts, stay on this generation when the link to it moves.
# In a clone of this environment the two are different folders, and nothing is done.
if test -n "$CONDA_PREFIX"; and test "$CONDA_PREFIX" != @GENERATION@
    and test (builtin realpath -- "$CONDA_PREFIX") = (builtin realpath -- @GENERATION@)
    set -l _condafleet_place (contains -i -- $CONDA_PREFIX/bin $PATH)
    and set -gx PATH[$_condafleet_place] @GENERATION@/bin
    set -gx CONDA_PREFIX @GENERATION@
    # conda compares paths, so it takes a second activation for one of another environment. It stays one level.
    set -l _condafleet_level (math $CONDA_SHLVL - 1)
    set -l _condafleet_held CONDA_PREFIX_$_condafleet_level CONDA_STACKED_$CONDA_SHLVL
    if test "$$_condafleet_held[1]$$_condafleet_held[2]" = @GENERATION@
        set -gx CONDA_SHLVL $_condafleet_level
        set -e CONDA_PREFIX_$_condafleet_level@SAVED@
    end
end
"""

CSH_TEXT = """\
# Written by condafleet. This shell, and what it starts, stay on this generation when the link to it moves.
# In a clone of this environment the two are different folders, and nothing is done.
if ( $?CONDA_PREFIX ) then
if ( "$CONDA_PREFIX" != @GENERATION@ && -d "$CONDA_PREFIX" ) then
    # The same folder: the same inode on the same device.
    @ _condafleet_i1 = -I "$CONDA_PREFIX"
    @ _condafleet_i2 = -I @GENERATION@
    @ _condafleet_d1 = -D "$CONDA_PREFIX"
    @ _condafleet_d2 = -D @GENERATION@
    if ( $_condafleet_i1 == $_condafleet_i2 && $_condafleet_d1 == $_condafleet_d2 ) then
        set _condafleet_path = ()
        set _condafleet_found = 0
        foreach _condafleet_one ( $path:q )
            if ( ! $_condafleet_found && "$_condafleet_one" == "$CONDA_PREFIX/bin" ) then
                set _condafleet_one = @GENERATION@/bin
                set _condafleet_found = 1
            endif
            set _condafleet_path = ( $_condafleet_path:q "$_condafleet_one" )
        end
        set path = ( $_condafleet_path:q )
        setenv CONDA_PREFIX @GENERATION@
        # conda compares paths, so it takes a second activation for one of another environment. It stays one level.
        @ _condafleet_level = $CONDA_SHLVL - 1
        set _condafleet_before = ""
        eval 'set _condafleet_found = $?CONDA_PREFIX_'$_condafleet_level
        if ( $_condafleet_found ) then
            eval 'set _condafleet_before = "$CONDA_PREFIX_'$_condafleet_level'"'
        endif
        eval 'set _condafleet_found = $?CONDA_STACKED_'$CONDA_SHLVL
        if ( $_condafleet_found ) set _condafleet_before = ""
        if ( "$_condafleet_before" == @GENERATION@ ) then
            setenv CONDA_SHLVL $_condafleet_level
            unsetenv CONDA_PREFIX_$_condafleet_level
@SAVED@
        endif
        unset _condafleet_path _condafleet_found _condafleet_one _condafleet_level _condafleet_before
    endif
    unset _condafleet_i1 _condafleet_i2 _condafleet_d1 _condafleet_d2
endif
endif
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
    """Leave ~/.local, and what its .pth files added, out: it would mix with what is locked here.

    `site` puts these between the standard library and our packages. What stands before that came by PYTHONPATH, and
    was asked for.
    """
    site = sys.modules.get("site")
    library = os.path.dirname(os.__file__)
    ends = [index for index, entry in enumerate(sys.path) if entry in (library, os.path.join(library, "lib-dynload"))]
    ours = os.path.dirname(__file__)
    if ends and site is not None and getattr(site, "ENABLE_USER_SITE", None):
        first = max(ends) + 1
        if ours in sys.path[first:]:
            del sys.path[first:sys.path.index(ours, first)]
        # Our packages came by PYTHONPATH too: then only the folder itself is known for theirs.
        user = site.USER_SITE
        sys.path[first:] = [entry for entry in sys.path[first:] if entry != user]
        site.ENABLE_USER_SITE = False


try:
    pin()
except OSError:
    pass  # the generation is gone, or unreadable: python says so itself soon enough
'''


def quote_fish(text: str) -> str:
    return "'%s'" % text.replace("\\", "\\\\").replace("'", "\\'")


def quote_csh(text: str) -> str:
    """In single quotes tcsh still looks for `!`, and ends a line's text with the line."""
    return "'%s'" % text.replace("'", "'\\''").replace("!", "\\!").replace("\n", "\\\n")


def pin_files(prefix: str, variables: Iterable[str] = ()) -> Dict[str, str]:
    """{path: text} of what pins a generation at `prefix`; the python part only where there is a Python.

    `variables` are the names of the environment's own variables, whose former values conda keeps for each level.
    """
    names = sorted(variables)
    saved = "".join(' "__CONDA_SHLVL_${_condafleet_level}_%s"' % name for name in names)
    saved_fish = "".join(' __CONDA_SHLVL_"$_condafleet_level"_%s' % name for name in names)
    saved_csh = "\n".join("            unsetenv __CONDA_SHLVL_${_condafleet_level}_%s" % name for name in names)
    texts = {
        os.path.join(prefix, path): text.replace("@SAVED@", held).replace("@GENERATION@", quote(prefix))
        for path, text, held, quote in (
            (ACTIVATE, ACTIVATE_TEXT, saved, shlex.quote),
            (ACTIVATE_FISH, FISH_TEXT, saved_fish, quote_fish),
            (ACTIVATE_CSH, CSH_TEXT, saved_csh, quote_csh),
        )
    }
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


def write_pin(prefix: str, variables: Iterable[str] = ()) -> List[str]:
    """Pin a generation; the paths that were written."""
    return write_files(pin_files(prefix, variables))


def write_files(texts: Mapping[str, str]) -> List[str]:
    written = []
    for path, text in sorted(texts.items()):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write_atomic(path, text)
        written.append(path)
    return written
