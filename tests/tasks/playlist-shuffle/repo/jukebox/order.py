"""Orders in which tracks can be played."""


def straight(tracks):
    """The tracks as they are."""
    return list(tracks)


def shuffled(tracks, first, rng):
    """The tracks in a random order that begins with ``first``."""
    rng.shuffle(tracks)
    tracks.remove(first)
    tracks.insert(0, first)
    return tracks
