# SPDX-License-Identifier: Apache-2.0
"""Which generations the links of installations lead to, whoever made them: what is reached must not go.

A ROOT may serve several installations, after a move to a new prefix as long as the old one is kept. Each one that had a
link moved is noted in `ROOT/prefixes.json`, so that a collection for one spares what the others use.
"""

from __future__ import annotations

import os
from typing import Dict, List, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files, installations
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen

FILE = "prefixes.json"


def read_prefixes(root: str) -> List[str]:
    stored = files.read_json(os.path.join(root, FILE))
    return [str(one) for one in stored] if isinstance(stored, list) else []


def note_prefix(root: str, prefix: str) -> None:
    """Before a link of this installation is made to lead to ROOT. Under the node lock."""
    noted = read_prefixes(root)
    if prefix not in noted:
        files.write_json(os.path.join(root, FILE), [*noted, prefix])


def reached(root: str, prefix: str, apart: Sequence[str] = ()) -> Dict[str, str]:
    """{generation: path of a link that leads to it}; not counted are the links `apart` of the installation `prefix`."""
    found: Dict[str, str] = {}
    for one in dict.fromkeys([prefix, *read_prefixes(root)]):
        envs = os.path.join(one, installations.ENVS)
        for name in sorted(os.listdir(envs)) if os.path.isdir(envs) else ():
            state = gen.link_state(one, root, name)
            if state and state["reaches"] and not (name in apart and os.path.realpath(one) == os.path.realpath(prefix)):
                found.setdefault(state["reaches"], os.path.join(envs, name))
    return found
