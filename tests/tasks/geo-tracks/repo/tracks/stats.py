"""Figures about a track."""

from math import asin, cos, radians, sin, sqrt
from typing import List, NamedTuple

from tracks.point import Point

EARTH_RADIUS_KM = 6371.0


class Bounds(NamedTuple):
    south: float
    west: float
    north: float
    east: float


def distance_km(a: Point, b: Point) -> float:
    """The way from one point to another along a great circle."""
    rise = radians(b.latitude - a.latitude) / 2
    turn = radians(b.longitude - a.longitude) / 2
    part = sin(rise) ** 2
    part += cos(radians(a.latitude)) * cos(radians(b.latitude)) * sin(turn) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(part))


def length_km(points: List[Point]) -> float:
    """The length of a track from its first point to its last."""
    return sum(distance_km(a, b) for a, b in zip(points, points[1:]))


def bounds(points: List[Point]) -> Bounds:
    """The smallest box around a track that has points."""
    latitudes = [point.latitude for point in points]
    longitudes = [point.longitude for point in points]
    return Bounds(min(latitudes), min(longitudes), max(latitudes), max(longitudes))
