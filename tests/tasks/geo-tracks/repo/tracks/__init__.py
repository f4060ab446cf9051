"""Tracks of a GPS logger."""

from tracks.point import Point
from tracks.reader import read_track
from tracks.stats import bounds, length_km
from tracks.writer import write_track

__all__ = ["Point", "bounds", "length_km", "read_track", "write_track"]
