# SPDX-License-Identifier: Apache-2.0
"""Whether a file system answers at all, before anything is done there: whoever looks at a dead one sleeps for ever."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import HungError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

# A file server that hands over to another one takes less.
SECONDS = 60.0


def expect_answer(places: Mapping[str, str], seconds: float = SECONDS) -> None:
    """FleetError for the first of {variable: path} whose file system says nothing within so many seconds."""
    for variable, path in places.items():
        try:
            in_child(lambda: _look(path), seconds, "the file system of %s" % path)  # noqa: B023 - called at once
        except HungError as error:
            raise FleetError(
                "%s: %s. Accepted: a folder on a file system that answers. Next: see to its file server or disk (dmesg "
                "on the node), then run again." % (variable, error.message)
            ) from None


def _look(path: str) -> Dict[str, Any]:
    """What is wrong otherwise is told by whoever works there."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    with contextlib.suppress(OSError):
        os.statvfs(path)  # names may be known from before; this asks the server
    return {}
