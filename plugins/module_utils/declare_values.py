# SPDX-License-Identifier: Apache-2.0
"""Checks of single declared values, for every role alike. Pure.

`--extra-vars KEY=VALUE` makes text of all values: so numbers and booleans are taken as text too.
"""

from __future__ import annotations

import re
from typing import Any, List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
CORRECT = "correct it"


def truth(value: Any) -> Optional[bool]:
    """The boolean that a value is, or that it says in a word; None where it is neither."""
    if isinstance(value, bool):
        return value
    return WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def boolean(variable: str, value: Any) -> bool:
    found = truth(value)
    if found is None:
        raise InputError(variable, value, "true, false", CORRECT)
    return found


def one_of(variable: str, value: Any, accepted: Sequence[str], next_step: str = CORRECT) -> str:
    if value not in accepted:
        raise InputError(variable, value, ", ".join(accepted), next_step)
    return str(value)


def list_of(variable: str, value: Any, accepted: str, next_step: str = CORRECT) -> List[Any]:
    """`accepted` says what it is a list of. A text is none: `-e KEY=a,b` would else be taken letter by letter."""
    if not isinstance(value, (list, tuple)):
        raise InputError(variable, value, accepted, next_step)
    return list(value)


def some_of(variable: str, value: Any, accepted: Sequence[str], next_step: str = CORRECT) -> List[str]:
    """A list of at least one of `accepted`, each once."""
    listed = "a list of " + ", ".join(accepted)
    found = list_of(variable, value, listed)
    if not found:
        raise InputError(variable, value, listed, "name at least one of them")
    checked = [one_of(variable, one, accepted, next_step) for one in found]
    return list(dict.fromkeys(checked))


def whole(variable: str, value: Any, least: int = 0, most: Optional[int] = None) -> int:
    number = _number(value)
    if number is None or number < least or (most is not None and number > most):
        limits = "from %d%s" % (least, " to %d" % most if most is not None else " up")
        raise InputError(variable, value, "a whole number " + limits, CORRECT)
    return number


def seconds(variable: str, value: Any) -> int:
    number = _number(value)
    if not number:
        raise InputError(variable, value, "whole seconds above 0", CORRECT)
    return number


def share(variable: str, value: Any, example: str) -> float:
    try:
        found = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found <= 1:
        raise InputError(variable, value, "a share from 0 to 1, such as " + example, CORRECT)
    return found


def _number(value: Any) -> Optional[int]:
    """What is written in digits, up to a billion."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)):
        return None
    return int(value)
