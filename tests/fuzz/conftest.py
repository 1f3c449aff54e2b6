"""Profiles of Hypothesis: by default the same examples at every run, on request many new ones.

``HYPOTHESIS_PROFILE=more`` tries four times as many of the same. ``HYPOTHESIS_PROFILE=search`` draws
new examples, many times as many, and keeps those that fail.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "more",
    settings.get_profile("same"),
    max_examples=200,
)
settings.register_profile(
    "search",
    deadline=None,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
