# SPDX-License-Identifier: Apache-2.0
"""Ready scripts that activate a generation without starting Python, one for each family of shells.

Made when a generation is built: which activation scripts and variables it has, and where it lies, never changes
afterwards. conda's own hook is sourced where it was not yet, so that whatever differs between versions of conda
(which CONDA_* variables it exports) is decided by the conda that is installed.

Where this is not what `conda activate` leaves, on purpose: a variable that conda sets to nothing (_CE_M, _CE_CONDA in
fish and tcsh, by 24.7; what 26.7 `unset`s in bash) is unset here.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import Callable, Dict, List, Mapping, NamedTuple, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import activate_csh, activate_fish, activate_sh, files
from ansible_collections.condafleet.core.plugins.module_utils.pin import PINS, quote_csh, quote_fish

FOLDER = os.path.join("etc", "condafleet")
STATE = os.path.join("conda-meta", "state")
PACKAGE_VARIABLES = os.path.join("etc", "conda", "env_vars.d")
# What conda stores for a variable that was unset again (`conda env config vars unset`).
UNSET = "***unset***"
# conda 26 leaves these out too; 24 would break the shell with them.
RESERVED = ("PATH",)


class Language(NamedTuple):
    """How one family of shells says things."""

    suffix: str  # of our files
    extension: str  # of the scripts in activate.d
    hook: str  # conda's own, below the installation
    activate: str
    deactivate: str
    quote: Callable[[str], str]
    run: str
    set_variable: str
    restore_variable: str
    parts: Dict[str, str]


def _sh_parts() -> Dict[str, str]:
    listed = activate_sh.LIST.replace("@FOLDER@", "deactivate.d").replace("@JOINED@", activate_sh.LAST_FIRST)
    before = activate_sh.LIST.replace("@FOLDER@", "activate.d").replace("@JOINED@", activate_sh.FIRST_FIRST)
    return {
        "@RUN_OTHERS@": listed + activate_sh.RUN_LISTED,
        "@LIST_BEFORE@": before,
        "@PROMPT@": activate_sh.PROMPT.replace("@PROMPT_CHANGE@\n", activate_sh.PROMPT_CHANGE),
        "@PROMPT_BACK@": activate_sh.PROMPT_BACK.replace("@PROMPT_CHANGE@\n", activate_sh.PROMPT_CHANGE),
    }


LANGUAGES = (
    Language(
        "", ".sh", "etc/profile.d/conda.sh", activate_sh.ACTIVATE, activate_sh.DEACTIVATE, shlex.quote,
        activate_sh.RUN, activate_sh.SET_VARIABLE, activate_sh.RESTORE_VARIABLE, _sh_parts(),
    ),
    Language(
        ".fish", ".fish", "etc/fish/conf.d/conda.fish", activate_fish.ACTIVATE, activate_fish.DEACTIVATE, quote_fish,
        activate_fish.RUN, activate_fish.SET_VARIABLE, activate_fish.RESTORE_VARIABLE, {},
    ),
    Language(
        ".csh", ".csh", "etc/profile.d/conda.csh", activate_csh.ACTIVATE, activate_csh.DEACTIVATE, quote_csh,
        activate_csh.RUN, activate_csh.SET_VARIABLE, activate_csh.RESTORE_VARIABLE, {"@PROMPT@": activate_csh.PROMPT},
    ),
)  # fmt: skip


def script_texts(
    prefix: str,
    name: str,
    installation: str,
    variables: Mapping[str, str],
    activate: Sequence[str],
    deactivate: Sequence[str],
) -> Dict[str, str]:
    """{file name: text}. `activate` and `deactivate` are the names in the environment's activate.d, deactivate.d."""
    texts: Dict[str, str] = {}
    for language in LANGUAGES:
        for what, text in (("activate", language.activate), ("deactivate", language.deactivate)):
            texts[what + language.suffix] = _filled(
                language, text, prefix, name, installation, variables, activate, deactivate
            )
    return texts


def _filled(
    language: Language,
    text: str,
    prefix: str,
    name: str,
    installation: str,
    variables: Mapping[str, str],
    activate: Sequence[str],
    deactivate: Sequence[str],
) -> str:
    quote = language.quote

    def run(folder: str, names: Sequence[str]) -> str:
        paths = [os.path.join(prefix, "etc", "conda", folder, one) for one in names]
        return "".join(language.run.replace("@PATH@", quote(path)) for path in paths)

    def each(template: str) -> str:
        lines = [
            template.replace("@KEY@", key).replace("@VALUE@", quote(value)) for key, value in sorted(variables.items())
        ]
        return "".join(lines)

    pins = tuple(os.path.basename(pin) for pin in PINS)
    ups = sorted(one for one in activate if one.endswith(language.extension) and one not in pins)
    downs = sorted((one for one in deactivate if one.endswith(language.extension)), reverse=True)
    blocks = {
        **language.parts,
        "@RUN_ACTIVATE@": run("activate.d", ups),
        "@RUN_DEACTIVATE@": run("deactivate.d", downs),
        "@SET_VARIABLES@": each(language.set_variable),
        "@RESTORE_VARIABLES@": each(language.restore_variable),
    }
    words = (
        ("@HOOK@", quote(os.path.join(installation, language.hook))),
        ("@GENERATION@", quote(prefix)),
        ("@ENVIRONMENTS@", quote(os.path.join(installation, "envs"))),
        ("@NAME@", quote(name)),
        ("@LABEL@", name),
    )
    for word, value in words:
        text = text.replace(word, value)
    lines: List[str] = []
    for line in text.splitlines():
        block = blocks.get(line.strip())
        # Not indented, since a value may have several lines.
        lines += [line] if block is None else block.splitlines()
    return "\n".join(lines) + "\n"


def environment_variables(prefix: str) -> Dict[str, str]:
    """What conda sets on activation: first the packages' variables, then those of the environment."""
    found: Dict[str, str] = {}
    folder = os.path.join(prefix, PACKAGE_VARIABLES)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        stored = files.read_json(os.path.join(folder, name))
        found.update(stored if isinstance(stored, dict) else {})
    state = files.read_json(os.path.join(prefix, STATE))
    found.update((state or {}).get("env_vars") or {})
    return {
        key: str(value)
        for key, value in found.items()
        if value != UNSET and key not in RESERVED and re.match(r"^[A-Za-z_][A-Za-z0-9_]*$", key)
    }


def write_activation(prefix: str, name: str, installation: str) -> List[str]:
    """Write the scripts into a generation whose packages, variables and pin are there; the paths.

    They lie in etc/condafleet, and where no package has a file of that name also in bin, where people look first.
    """
    texts = script_texts(
        prefix,
        name,
        installation,
        environment_variables(prefix),
        _names(os.path.join(prefix, "etc", "conda", "activate.d")),
        _names(os.path.join(prefix, "etc", "conda", "deactivate.d")),
    )
    folder = os.path.join(prefix, FOLDER)
    os.makedirs(folder, exist_ok=True)
    written = []
    for file_name, text in sorted(texts.items()):
        path = os.path.join(folder, file_name)
        files.write_atomic(path, text)
        written.append(path)
        link = os.path.join(prefix, "bin", file_name)
        if file_name.startswith("activate") and not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(os.path.join("..", FOLDER, file_name), link)
            written.append(link)
    return written


def _names(folder: str) -> List[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
