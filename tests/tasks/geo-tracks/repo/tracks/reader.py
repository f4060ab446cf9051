"""Reads the lines of a logger."""

from typing import List

from tracks.point import Point


class TrackError(ValueError):
    """A line that is not a point."""


def read_track(text: str) -> List[Point]:
    """The points of a track in their order."""
    points = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            first, second = (float(part) for part in line.split(","))
        except ValueError:
            raise TrackError(f"line {number} is not a point: {line!r}") from None
        points.append(Point(first, second))
    return points
