# SPDX-License-Identifier: Apache-2.0
"""Starting an installation's own conda: nothing of a user's environment, a home that is thrown away, a time limit."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import List, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group, end_group
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installer_program import clean_environment

# Long enough for a cold disk, short enough to notice a program that hangs.
LIMIT = 120
# conda's own reading of one file alone: what else it reads now may be what is broken, and is not in question.
CHECK = """
import sys
from conda.base.context import Context
try:
    Context(search_path=(sys.argv[1],)).validate_all()
except Exception as error:
    sys.exit("%s: %s" % (type(error).__name__, error))
"""


def run(command: Sequence[str], home: str, limit: float = LIMIT) -> Tuple[Optional[int], str]:
    """(exit code, or None where it was stopped at the limit; what it said). `home` is where it runs, and HOME."""
    with child_group(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=home,
        env=clean_environment(home),
    ) as process:
        try:
            said, _dummy = process.communicate(timeout=limit)
            code: Optional[int] = process.returncode
        except subprocess.TimeoutExpired:
            code = None
            end_group(process)
            said, _dummy = process.communicate()
    return code, said.decode("utf-8", "replace").strip()


def python_of(prefix: str, *arguments: str) -> List[str]:
    """A command of the installation's own Python, which nothing outside it can lead astray."""
    return [os.path.join(prefix, "bin", "python"), "-I", *arguments]


def prove(prefix: str) -> str:
    """Start a new conda once: `conda 24.7.1`. FleetError where it can't run on this machine."""
    with tempfile.TemporaryDirectory(prefix="condafleet-") as home:
        try:
            code, said = run([os.path.join(prefix, "bin", "conda"), "--version"], home)
            if code is None:
                code, said = 124, f"no answer within {LIMIT} s"
        except OSError as error:
            code, said = 126, str(error)
    if code != 0:
        raise FleetError(
            f"{prefix}: conda was installed but cannot start on this machine (code {code}): {said[-1000:]}. "
            "It was not put in place. Next: choose an installer made for this system."
        )
    return said.splitlines()[-1] if said else "conda"


def check_candidate(prefix: str, target: str, text: str) -> None:
    """FleetError with conda's own words, where the installed conda can't take `text` for its settings."""
    with tempfile.TemporaryDirectory(prefix="condafleet-") as home:
        # conda looks at the name, and reads no file that is called otherwise.
        candidate = os.path.join(home, "candidate", ".condarc")
        os.mkdir(os.path.dirname(candidate))
        files.write_atomic(candidate, text)
        try:
            code, said = run(python_of(prefix, "-c", CHECK, candidate), home)
        except OSError as error:
            code, said = 126, str(error)
    if code != 0:
        words = said.replace(candidate, target)[-1500:] or "nothing"
        raise FleetError(
            "%s: the installed conda does not take what was declared%s. It says: %s. Next: correct miniconda_condarc "
            "or the variables beside it. The file was left as it is."
            % (target, "" if code is not None else " within %d s" % LIMIT, words.rstrip("."))
        )
