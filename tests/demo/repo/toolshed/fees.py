"""The fee of one late loan."""

from toolshed.model import Member, Tool

# A first late day is forgiven.
GRACE_DAYS = 1


def late_fee(tool: Tool, member: Member, days: int) -> int:
    """Cents owed for bringing `tool` back `days` open days late.

    Nothing within the grace period; after it every late day counts, the
    forgiven one too. Supporters pay half, rounded down, and nobody pays more
    than the tool is worth.
    """
    if days <= GRACE_DAYS:
        return 0
    fee = days * tool.daily_fee
    if member.supporter:
        fee //= 2
    return min(fee, tool.value)


def format_cents(cents: int) -> str:
    """`1205` as `12.05`."""
    return f"{cents // 100}.{cents % 100:02d}"
