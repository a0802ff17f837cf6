"""What every test shares: hypothesis's profiles."""

import os

from hypothesis import HealthCheck, settings

# A loaded machine is no failure, so no example has a deadline. In CI the examples are the same in every run.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
