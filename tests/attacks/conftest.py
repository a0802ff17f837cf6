"""The consortia of real processes that the attacks are tried on."""

from tests.integration.conftest import consortium, impatient

__all__ = ["consortium", "impatient"]
