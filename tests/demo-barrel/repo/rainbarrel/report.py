"""The plan as text."""

from rainbarrel.barrel import Barrel
from rainbarrel.plan import Plan

BAR = 20


def bar(level: int, capacity: int) -> str:
    """A level as a bar of fixed width."""
    filled = level * BAR // capacity
    return "#" * filled + "." * (BAR - filled)


def report(barrel: Barrel, plan: Plan) -> str:
    """A line a day, and a sentence about when the barrel is empty."""
    lines = []
    for number, level in enumerate(plan.levels, start=1):
        lines.append(f"day {number}  {bar(level, barrel.capacity)} {level} l")
    if plan.dry_on is None:
        lines.append("The barrel lasts.")
    else:
        lines.append(f"Empty at the end of day {plan.dry_on + 1}.")
    return "\n".join(lines) + "\n"
