"""A place on the globe."""

from typing import NamedTuple


class Point(NamedTuple):
    """Degrees; the north and the east are positive."""

    latitude: float
    longitude: float
