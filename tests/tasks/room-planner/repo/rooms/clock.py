"""Times of a day, as minutes since midnight."""


def minutes(text):
    """``09:30`` as 570."""
    hours, _, rest = text.partition(":")
    value = int(hours) * 60 + int(rest)
    if not (0 <= int(rest) < 60 and 0 <= value <= 24 * 60):
        raise ValueError(f"not a time: {text!r}")
    return value


def clock(value):
    """570 as ``09:30``."""
    return f"{value // 60:02d}:{value % 60:02d}"
