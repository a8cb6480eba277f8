"""What all unit tests share."""

from __future__ import annotations

import os

import hypothesis
import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings

# The same examples at each run: whether a change is well is then told by the change, and not by chance. Who looks for
# more sets CONDAFLEET_TEST_SEARCH to how many times as many new ones are to be tried, and gives --timeout=0.
SEARCH = int(os.environ.get("CONDAFLEET_TEST_SEARCH") or 0)
hypothesis.settings.register_profile("condafleet", derandomize=not SEARCH, max_examples=100 * (SEARCH or 1))
hypothesis.settings.load_profile("condafleet")


@pytest.fixture(autouse=True)
def _as_on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module warns in its result, as on a node, whatever other tests of this process loaded of the controller."""
    monkeypatch.setattr(_internal, "is_controller", False)
    monkeypatch.setattr(warnings, "_global_warnings", {})
