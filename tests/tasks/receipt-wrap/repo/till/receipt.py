"""The receipt of one sale."""

from till.wrap import wrap

PRICE_WIDTH = 8


def money(cents):
    """``1205`` as ``12.05``."""
    return f"{cents // 100}.{cents % 100:02d}"


def item_lines(name, cents, width):
    """One item: its name, wrapped, with the price behind the last line."""
    room = width - PRICE_WIDTH
    lines = wrap(name, room) or [""]
    lines[-1] = lines[-1].ljust(room) + money(cents).rjust(PRICE_WIDTH)
    return lines


def receipt(items, width=24, greeting=""):
    """All of a receipt; items are pairs of a name and a price in cents."""
    lines = []
    for name, cents in items:
        lines += item_lines(name, cents, width)
    lines.append("-" * width)
    lines += item_lines("Total", sum(cents for _, cents in items), width)
    lines += [line.center(width).rstrip() for line in wrap(greeting, width)]
    return "\n".join(lines) + "\n"
