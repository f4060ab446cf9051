"""A player: one track at a time, straight on or shuffled."""

import random

from jukebox.order import shuffled, straight


class Player:
    """Plays the tracks of one playlist, and stops after the last."""

    def __init__(self, playlist, seed=None):
        if len(playlist) == 0:
            raise ValueError("there is nothing to play")
        self.playlist = playlist
        self.shuffle = False
        self._rng = random.Random(seed)
        self._order = straight(playlist.tracks)
        self._at = 0

    @property
    def current(self):
        """The track that plays, or None after the last."""
        if self._at < len(self._order):
            return self._order[self._at]
        return None

    def upcoming(self):
        """The tracks that are still to come, in order."""
        return self._order[self._at + 1 :]

    def skip(self):
        """Go on to the next track and return it."""
        self._at = min(self._at + 1, len(self._order))
        return self.current

    def shuffle_on(self):
        """Shuffle all tracks; the current one plays on and comes first."""
        first = self.current or self.playlist.tracks[0]
        self._order = shuffled(self.playlist.tracks, first, self._rng)
        self._at = 0
        self.shuffle = True

    def shuffle_off(self):
        """Go on from the current track in the order of the playlist."""
        track = self.current
        self._order = straight(self.playlist.tracks)
        self._at = len(self._order) if track is None else self._order.index(track)
        self.shuffle = False
