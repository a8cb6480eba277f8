# SPDX-License-Identifier: Apache-2.0
"""The states of one environment on a node: fetched, built, tested, current. Each is one whole step, done or not.

Every function takes a Request and returns an Outcome; with `check` it changes nothing and says what it would do.
"""

from __future__ import annotations

from ansible_collections.condafleet.core.plugins.module_utils.environment_built import built
from ansible_collections.condafleet.core.plugins.module_utils.environment_current import current
from ansible_collections.condafleet.core.plugins.module_utils.environment_fetched import fetched
from ansible_collections.condafleet.core.plugins.module_utils.environment_tested import tested

STATES = {"fetched": fetched, "built": built, "tested": tested, "current": current}
