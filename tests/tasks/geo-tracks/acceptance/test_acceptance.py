import pytest

from tracks import Point, bounds, length_km, read_track, write_track
from tracks.reader import TrackError
from tracks.stats import distance_km


def test_the_issues_example():
    track = read_track("10.0,60.0\n10.1,60.0\n")
    assert round(length_km(track), 2) == 5.56


def test_a_walk_to_the_north():
    track = read_track("10.0,60.0\n10.0,60.1\n")
    assert length_km(track) == pytest.approx(11.12, abs=0.01)


def test_points_that_were_read():
    assert read_track("# Rio\n-43.2,-22.9\n")[0] == Point(latitude=-22.9, longitude=-43.2)


def test_bounds_of_a_track_that_was_read():
    box = bounds(read_track("10.5,60.0\n10.2,60.3\n"))
    assert (box.south, box.west, box.north, box.east) == (60.0, 10.2, 60.3, 10.5)


def test_a_track_survives_being_written_and_read():
    track = [Point(60.0, 10.5), Point(59.5, 11.25)]
    assert read_track(write_track(track, "Sunday")) == track


def test_distances_between_points():
    assert distance_km(Point(60, 10), Point(60, 10.1)) == pytest.approx(5.56, abs=0.01)
    assert distance_km(Point(0, 10), Point(0, 11)) == pytest.approx(111.19, abs=0.01)


def test_bounds_of_points():
    assert bounds([Point(60, 10), Point(59, 12)]) == (59, 10, 60, 12)


def test_writing_stays():
    assert write_track([Point(60.0, 10.5)]) == "10.5,60.0\n"


def test_bad_lines_are_still_refused():
    with pytest.raises(TrackError, match="line 1"):
        read_track("10.5;60.0\n")
