"""Writes tracks as the logger does."""

from typing import Iterable

from tracks.point import Point


def write_track(points: Iterable[Point], remark: str = "") -> str:
    """The text of a track, with a remark above it if there is one."""
    lines = [f"# {remark}"] if remark else []
    lines += [f"{point.longitude},{point.latitude}" for point in points]
    return "\n".join(lines) + "\n"
