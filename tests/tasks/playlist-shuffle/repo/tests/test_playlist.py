import pytest

from jukebox import Playlist


def test_add():
    playlist = Playlist("run", ["Amber"])
    playlist.add("Birch")
    assert playlist.tracks == ["Amber", "Birch"]


def test_no_track_twice():
    with pytest.raises(ValueError):
        Playlist("run", ["Amber"]).add("Amber")
