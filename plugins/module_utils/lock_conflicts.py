# SPDX-License-Identifier: Apache-2.0
"""One lock has one declaration: two nodes that want the same file made from different things would overwrite each
other's for ever. Pure."""

from __future__ import annotations

import os
from typing import Iterable, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockinputs import differences
from ansible_collections.condafleet.core.plugins.module_utils.lockwanted import Wanted

Declared = Tuple[str, Sequence[Wanted]]


def refuse_conflicts(host: str, wants: Sequence[Wanted], others: Iterable[Declared]) -> None:
    """FleetError where another host wants one of the locks that `host` wants, made from something else."""
    mine = {os.path.realpath(want.conda_lock): want for want in wants if not want.given}
    for other, wanted in others:
        for theirs in wanted:
            own = mine.get(os.path.realpath(theirs.conda_lock))
            if own is None or theirs.given or own.inputs == theirs.inputs:
                continue
            raise FleetError(
                "environments_list: {0} for {1}: {2} and {3} declare it differently, and both keep its lock as {4}. "
                "Where {2} and {3} differ: {5}. Accepted: one declaration of an environment and target for all nodes "
                "that share environments_locks_dir. Next: declare it alike on both, or give one of them another name. "
                "Nothing was written.".format(
                    own.environment,
                    own.target,
                    host,
                    other,
                    own.conda_lock,
                    "; ".join(differences(own.inputs, theirs.inputs)),
                )
            )
