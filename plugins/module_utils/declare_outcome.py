# SPDX-License-Identifier: Apache-2.0
"""What of the validation's declaration says where verdicts go, and what is done about them. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.declare_values import (
    boolean,
    list_of,
    seconds,
    some_of,
    whole,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.findings import ORDER
from ansible_collections.condafleet.core.plugins.module_utils.hook_command import unknown_fields

COMMAND = "a list of words, the first one a program, with {host}, {verdict}, {reason} and {checks} where they belong"


def check_outcome(values: Mapping[str, Any]) -> Dict[str, Any]:
    """{keep, textfile_dir (or null), hook: [word], hook_verdicts, hook_run, hook_percent, hook_timeout,
    rerun_previous}.

    `values` are the role's variables without `validation_`. InputError names what is wrong.
    """
    return {
        "keep": whole("validation_keep", values.get("keep", 20), 1),
        "textfile_dir": _folder(values.get("textfile_dir")),
        "hook": _command(values.get("hook") or []),
        "hook_verdicts": some_of("validation_hook_verdicts", values.get("hook_verdicts", ["FAIL"]), ORDER),
        "hook_run": boolean("validation_hook_run", values.get("hook_run", False)),
        "hook_percent": whole("validation_hook_percent", values.get("hook_percent", 20), 0, 100),
        "hook_timeout": seconds("validation_hook_timeout", values.get("hook_timeout", 60)),
        "rerun_previous": boolean("validation_rerun_previous", values.get("rerun_previous", False)),
    }


def _folder(value: Any) -> Optional[str]:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not value.startswith("/"):
        raise InputError("validation_textfile_dir", value, "an absolute path of a folder on the node", "correct it")
    return value


def _command(value: Any) -> List[str]:
    words = list_of("validation_hook", value, COMMAND, "write it as a list: no shell takes it apart")
    for word in words:
        if not isinstance(word, str) or not word:
            raise InputError("validation_hook", word, COMMAND, "write each word as text")
        if unknown_fields(word):
            raise InputError("validation_hook", word, COMMAND, "correct {%s}" % unknown_fields(word)[0])
    return words
