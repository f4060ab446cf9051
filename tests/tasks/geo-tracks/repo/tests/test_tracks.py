import pytest

from tracks import Point, bounds, length_km, read_track, write_track
from tracks.reader import TrackError


def test_one_point_a_line():
    assert len(read_track("# Sunday\n10.5,60.0\n\n10.6,60.1\n")) == 2


def test_a_bad_line_is_named():
    with pytest.raises(TrackError, match="line 2"):
        read_track("10.5,60.0\nnorth\n")


def test_length_along_a_meridian():
    track = [Point(59, 10), Point(60, 10), Point(59, 10)]
    assert length_km(track) == pytest.approx(222.39, abs=0.01)


def test_bounds():
    assert bounds([Point(60, 10), Point(59, 12)]) == (59, 10, 60, 12)


def test_writing():
    assert write_track([Point(60.0, 10.5)], "Sunday") == "# Sunday\n10.5,60.0\n"
