# SPDX-License-Identifier: Apache-2.0
"""Modulefiles in Tcl, which Lmod and Environment Modules read alike: their texts, and what activation scripts do.

A generation carries its modulefile, made when it is built. What its packages' activation scripts change is found out
then, once, by running them, and written down as plain commands: `source-sh` would start a shell at every load, and
older module systems don't know it. What no module can do stays out: functions, aliases and the prompt.
"""

from __future__ import annotations

import os
import subprocess
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import environment_variables
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.pin import PINS

PLACE = os.path.join("etc", "condafleet", "modulefile")
MARK = "# Written by condafleet."
# What a shell sets by itself.
SHELL_OWN = ("_", "SHLVL", "PWD", "OLDPWD", "PATH")
# The home while scripts are tried. What they make of it is nobody's, and left out.
NO_HOME = "/nonexistent"
# (how, variable, value): how is set, prepend or append.
Effect = Tuple[str, str, str]

# With pushenv (Environment Modules 5.1 and newer) what a user had before comes back on unload. Lmod's, read from Tcl
# (8.6), takes the new value for the former one and never lets go of it: there the variable is unset on unload.
PROCEDURES = """\
proc put {name value} {
    if {[info exists ::env(LMOD_CMD)] || ![llength [info commands pushenv]]} {
        setenv $name $value
    } else {
        pushenv $name $value
    }
}
"""


def environment_text(
    prefix: str, name: str, installation: str, variables: Mapping[str, str], effects: Sequence[Effect]
) -> str:
    """The modulefile of one generation: what its activation script sets, as far as a module can."""
    lines = [
        "#%Module1.0",
        "%s The environment %s; a job that loads it stays with this generation." % (MARK, name),
        "module-whatis %s" % quote("environment %s (%s)" % (name, os.path.basename(prefix))),
        # One of our environments at a time: the next one replaces it (Lmod) or is refused with a word (others).
        "if {[llength [info commands family]]} { family condafleet } else { conflict %s }" % quote(name),
        PROCEDURES.rstrip(),
        "prepend-path PATH %s" % quote(os.path.join(installation, "condabin")),
        "prepend-path PATH %s" % quote(os.path.join(prefix, "bin")),
    ]
    settings = {
        "CONDA_EXE": os.path.join(installation, "bin", "conda"),
        "CONDA_PYTHON_EXE": os.path.join(installation, "bin", "python"),
        "CONDA_PREFIX": prefix,
        "CONDA_DEFAULT_ENV": name,
        "CONDA_SHLVL": "1",
        **variables,
    }
    lines += ["put %s %s" % (key, quote(value)) for key, value in settings.items()]
    for how, key, value in effects:
        command = {"set": "put", "prepend": "prepend-path", "append": "append-path"}[how]
        lines.append("%s %s %s" % (command, key, quote(value)))
    return "\n".join(lines) + "\n"


def installation_text(prefix: str) -> str:
    """The modulefile of the installation: the program `conda`, by the link that always leads to the current one."""
    return "\n".join(
        [
            "#%Module1.0",
            "%s The program conda; `conda activate` also needs its shell function." % MARK,
            "module-whatis %s" % quote("conda at %s" % prefix),
            PROCEDURES.rstrip(),
            "prepend-path PATH %s" % quote(os.path.join(prefix, "condabin")),
            "put CONDA_EXE %s" % quote(os.path.join(prefix, "bin", "conda")),
            "put CONDA_PYTHON_EXE %s" % quote(os.path.join(prefix, "bin", "python")),
            "",
        ]
    )


def default_text(link: str) -> str:
    """The `.version` beside an environment's modulefiles: the default is where the link leads when it is loaded."""
    return "\n".join(
        [
            "#%Module1.0",
            "%s The default is what %s leads to." % (MARK, link),
            "if {![catch {file readlink %s} generation]} { set ModulesVersion [file tail $generation] }" % quote(link),
            "",
        ]
    )


def quote(text: str) -> str:
    """One word of Tcl."""
    for char in '\\"$[]{};':
        text = text.replace(char, "\\" + char)
    return '"%s"' % text.replace("\n", "\\n")


def activation_effects(prefix: str, variables: Mapping[str, str]) -> List[Effect]:
    """What the packages' activate.d scripts change in the environment, in an otherwise empty one.

    They run twice: first to see which variables they touch, then with a mark in each of these, so that a path put in
    front of what was there is told from a value of its own.
    """
    folder = os.path.join(prefix, "etc", "conda", "activate.d")
    pins = tuple(os.path.basename(pin) for pin in PINS)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    scripts = [os.path.join(folder, one) for one in sorted(names) if one.endswith(".sh") and one not in pins]
    if not scripts:
        return []
    given = {
        "PATH": "%s/bin:/usr/bin:/bin" % prefix,
        "HOME": NO_HOME,
        "CONDA_PREFIX": prefix,
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": os.path.basename(prefix),
        **variables,
    }
    first = _after(scripts, given)
    touched = {key for key, value in first.items() if value and given.get(key) != value and key not in SHELL_OWN}
    marks = {key: "@was:%s@" % key for key in touched if key not in given}
    second = _after(scripts, {**given, **marks})
    effects = [_effect(key, second.get(key, first[key]), marks.get(key), first[key]) for key in sorted(touched)]
    path = _effect("PATH", first["PATH"], given["PATH"], "")
    return _without_home(effects + ([path] if path[0] != "set" and path[2] else []))


def _without_home(effects: Sequence[Effect]) -> List[Effect]:
    """Without what was made of the home that nobody has: a whole value, or the folders below it in a search path."""
    kept: List[Effect] = []
    for how, key, value in effects:
        if how != "set":
            value = ":".join(part for part in value.split(":") if NO_HOME not in part)
        if value and NO_HOME not in value:
            kept.append((how, key, value))
    return kept


def _effect(key: str, value: str, mark: Optional[str], alone: str) -> Effect:
    if mark and value.endswith(":" + mark):
        return "prepend", key, value[: -len(mark) - 1]
    if mark and value.startswith(mark + ":"):
        return "append", key, value[len(mark) + 1 :]
    return "set", key, alone


def _after(scripts: Sequence[str], environment: Mapping[str, str]) -> Dict[str, str]:
    # A script that exits ends this shell, as it would end a user's: then nothing is said, but for which one it was.
    program = (
        "trap 'echo \"$script ended the shell\" >&2' EXIT; "
        'for script in "$@"; do . "$script" >&2; done; trap - EXIT; exec /usr/bin/env -0'
    )
    folder = os.path.dirname(scripts[0])
    command = ["bash", "--noprofile", "--norc", "-c", program, "activate", *scripts]
    try:
        done = subprocess.run(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60, check=False, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FleetError("the activation scripts in %s can't be run: %s" % (folder, error)) from error
    pairs = [line.partition("=") for line in done.stdout.decode("utf-8", "surrogateescape").split("\0") if line]
    found = {key: value for key, _dummy, value in pairs}
    if "PATH" not in found:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-500:]
        raise FleetError(
            "the activation scripts in %s can't be run: the shell ended with code %d, and said: %s. "
            "Accepted: scripts that leave the shell running that sources them, and its PATH. "
            "Next: take the package that brings such a script out of the environment's spec, or have it corrected."
            % (folder, done.returncode, said or "nothing")
        )
    return found


def write_modulefile(prefix: str, name: str, installation: str) -> str:
    """Write the modulefile into a generation whose packages and variables are there; the path."""
    variables = environment_variables(prefix)
    text = environment_text(prefix, name, installation, variables, activation_effects(prefix, variables))
    path = os.path.join(prefix, PLACE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.write_atomic(path, text)
    return path
