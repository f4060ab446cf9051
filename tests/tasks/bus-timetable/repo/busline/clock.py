"""Times of departure."""

from datetime import time


def parse_time(text: str) -> time:
    """Read ``06:40`` or ``6:40``."""
    hours, _, minutes = text.partition(":")
    return time(int(hours), int(minutes))


def format_time(value: time) -> str:
    return value.strftime("%H:%M")
