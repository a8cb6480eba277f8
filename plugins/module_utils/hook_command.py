# SPDX-License-Identifier: Apache-2.0
"""The command that a site has run for a node with a bad verdict: which nodes, and with which words. Pure."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import findings

# Programs that take a reason refuse very long ones, and logs cut them.
LONGEST = 400
FIELDS = ("host", "verdict", "reason", "checks")
_FIELD = re.compile(r"\{(%s)\}" % "|".join(FIELDS))
# Neither ends a line of a log, nor steers a terminal, nor turns what follows around; half a surrogate can be no word of
# a program at all, so that who says one would be left alone.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


class Hook(NamedTuple):
    """What is declared for a host: the words, for which verdicts, whether they are run, and within which limits."""

    command: Sequence[str] = ()
    verdicts: Sequence[str] = (findings.FAIL,)
    run: bool = False
    percent: int = 20
    timeout: int = 60


def declared_for(declared: Mapping[str, Any]) -> Hook:
    """The hook that declare_outcome.py made; one without a command where nothing is known of the host."""
    given = {field: declared["hook_" + field] for field in Hook._fields if declared.get("hook_" + field) is not None}
    return Hook(command=declared.get("hook") or (), **given)


def commands(hooks: Mapping[str, Hook], judged: Mapping[str, Mapping[str, Any]]) -> Dict[str, List[str]]:
    """{HOST: argv} for hosts with a verdict that their hook is for; `judged` are {HOST: {verdict, complaints, bad:
    [CHECK]}}."""
    return {
        host: filled(hooks[host].command, host, one)
        for host, one in sorted(judged.items())
        if hooks[host].command and one.get("verdict") in hooks[host].verdicts
    }


def withheld(bad: Sequence[str], fleet: int, percent: int) -> Optional[str]:
    """Why nobody is acted on: more of the fleet is bad than a site lets be taken out at once. None where it is not.

    `bad` are the hosts of all batches of the run that would be acted on, `fleet` is how many hosts there are. One is
    always let be.
    """
    most = max(1, fleet * percent // 100)
    if len(bad) <= most:
        return None
    return (
        "validation_hook: %d of %d hosts are bad, and validation_hook_percent (%d) lets %d be acted on: none was. "
        "So many at once have a cause in common as a rule, such as a limit, a driver or a file system. "
        "Next: look at what the report says of them; if it is true of each, run again with a higher percentage."
        % (len(bad), fleet, percent, most)
    )


def filled(command: Sequence[str], host: str, one: Mapping[str, Any]) -> List[str]:
    """The words, with {host}, {verdict}, {reason} and {checks} filled in; all else stays, other braces too.

    In one pass, so that what is filled in is never taken for a field.
    """
    values = {
        "host": host,
        "verdict": str(one["verdict"]),
        "reason": _short("condafleet: " + " ".join(one.get("complaints") or [str(one["verdict"])])),
        "checks": ",".join(one.get("bad") or []),
    }
    values = {name: _CONTROL.sub(" ", value) for name, value in values.items()}
    return [_FIELD.sub(lambda match: values[match.group(1)], word) for word in command]


def bad_checks(found: Sequence[Mapping[str, Any]]) -> List[str]:
    """The names of the checks that were not passed, those with FAIL first, each once."""
    names = [one["check"] for verdict in findings.BAD for one in found if one["verdict"] == verdict]
    return list(dict.fromkeys(names))


def unknown_fields(word: str) -> List[str]:
    """What looks like a field of ours and is none: {hots}."""
    return [name for name in re.findall(r"\{([a-z_]+)\}", word) if name not in FIELDS]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
