"""Plans of a kitchen garden."""

from beds.plan import Plan
from beds.rotation import tired_beds

__all__ = ["Plan", "tired_beds"]
