import pytest

from jukebox import Player, Playlist

TRACKS = [f"track {number:02}" for number in range(12)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_playlist_keeps_its_order(seed):
    playlist = Playlist("p", TRACKS)
    Player(playlist, seed=seed).shuffle_on()
    assert playlist.tracks == TRACKS


def test_off_again_in_the_middle():
    player = Player(Playlist("p", TRACKS), seed=7)
    for _ in range(4):
        player.skip()
    player.shuffle_on()
    player.shuffle_off()
    assert player.current == TRACKS[4]
    assert player.upcoming() == TRACKS[5:]


def test_off_after_some_shuffled_tracks():
    player = Player(Playlist("p", TRACKS), seed=9)
    player.shuffle_on()
    player.skip()
    track = player.skip()
    player.shuffle_off()
    assert player.upcoming() == TRACKS[TRACKS.index(track) + 1 :]


def test_another_player_is_not_disturbed():
    playlist = Playlist("p", TRACKS)
    Player(playlist, seed=4).shuffle_on()
    other = Player(playlist)
    assert other.current == TRACKS[0]
    assert other.upcoming() == TRACKS[1:]


def test_track_added_while_shuffled_does_not_cut_in():
    playlist = Playlist("p", TRACKS)
    player = Player(playlist, seed=4)
    player.shuffle_on()
    playlist.add("late")
    assert "late" not in player.upcoming()
    player.shuffle_off()
    assert player.upcoming() == TRACKS[1:] + ["late"]


def test_shuffle_plays_every_track_once():
    player = Player(Playlist("p", TRACKS), seed=2)
    player.shuffle_on()
    assert player.current == TRACKS[0]
    assert sorted(player.upcoming()) == TRACKS[1:]
    assert player.upcoming() != TRACKS[1:]


def test_same_seed_same_order():
    players = [Player(Playlist("p", TRACKS), seed=6) for _ in range(2)]
    for player in players:
        player.shuffle_on()
    assert players[0].upcoming() == players[1].upcoming()


def test_caller_keeps_its_list():
    mine = list(TRACKS)
    Player(Playlist("p", mine), seed=2).shuffle_on()
    assert mine == TRACKS
