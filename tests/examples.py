"""With how many examples a property is tried: `make test` takes an eighth, others in each run; `make thorough` all of them."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import is_hypothesis_test, settings

SHARE = 1.0 if os.environ.get("EXAMPLES") == "all" else 0.12

FEW = 15
"""A property with no more examples than this is tried with all of them."""


def share(examples: int) -> int:
    """How many of so many examples are tried in this run."""
    return max(min(examples, FEW), int(examples * SHARE))


def reduce(test: Any) -> None:
    """Leave a test its share, if it is a property."""
    if is_hypothesis_test(test):
        usual = test._hypothesis_internal_use_settings
        test._hypothesis_internal_use_settings = settings(usual, max_examples=share(usual.max_examples))
