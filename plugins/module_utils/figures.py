# SPDX-License-Identifier: Apache-2.0
"""What counts as a figure, and how one is written in a sentence. Pure."""

from __future__ import annotations

import math
from typing import Any


def is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def short(value: Any) -> str:
    """In four digits, where it is a fraction; all else as it is."""
    return "%.4g" % value if isinstance(value, float) else str(value)
