import pytest

from jukebox import Player, Playlist

TRACKS = ["Amber", "Birch", "Cedar", "Dune", "Ember", "Fjord"]


def test_straight_on_to_the_end():
    player = Player(Playlist("walk", TRACKS[:3]))
    assert player.current == "Amber"
    assert player.upcoming() == ["Birch", "Cedar"]
    assert [player.skip() for _ in range(3)] == ["Birch", "Cedar", None]


def test_shuffle_keeps_the_current_track_playing():
    player = Player(Playlist("walk", TRACKS), seed=5)
    player.skip()
    player.shuffle_on()
    assert player.shuffle
    assert player.current == "Birch"
    assert sorted(player.upcoming()) == ["Amber", "Cedar", "Dune", "Ember", "Fjord"]


def test_shuffle_off_keeps_the_current_track_playing():
    player = Player(Playlist("walk", TRACKS), seed=5)
    player.shuffle_on()
    playing = player.skip()
    player.shuffle_off()
    assert not player.shuffle
    assert player.current == playing


def test_empty_playlist():
    with pytest.raises(ValueError):
        Player(Playlist("nothing"))
