"""A chess clock for two players."""

import time

WHITE = "white"
BLACK = "black"

_OTHER = {WHITE: BLACK, BLACK: WHITE}


class ClockError(RuntimeError):
    """The clock is not in a state for what was asked of it."""


class ChessClock:
    """Counts down the time of the player whose turn it is.

    ``now`` returns the time in seconds; a test may put its own in.
    """

    def __init__(self, seconds, increment=0, now=time.monotonic):
        self._left = {WHITE: seconds, BLACK: seconds}
        self._increment = increment
        self._now = now
        self._turn = None
        self._since = None
        self._running = False

    @property
    def turn(self):
        """The player to move, or None before the start."""
        return self._turn

    @property
    def running(self):
        return self._running

    def start(self):
        """Set white's time running."""
        if self._turn is not None:
            raise ClockError("the game has begun already")
        self._turn = WHITE
        self._since = self._now()
        self._running = True

    def press(self):
        """End the turn: stop one player's time and run the other's."""
        if not self._running:
            raise ClockError("the clock does not run")
        self._charge()
        self._left[self._turn] += self._increment
        self._turn = _OTHER[self._turn]
        self._since = self._now()

    def pause(self):
        """Stop both players' time, in the middle of a turn."""
        if not self._running:
            raise ClockError("the clock does not run")
        self._charge()
        self._running = False

    def resume(self):
        """Go on with the turn in which the clock was paused."""
        if self._turn is None or self._running:
            raise ClockError("the clock is not paused")
        self._running = True

    def remaining(self, player):
        """The seconds that a player has left, never less than zero."""
        left = self._left[player]
        if self._running and player == self._turn:
            left -= self._now() - self._since
        return max(left, 0)

    def flag(self):
        """The player who has run out of time, or None."""
        for player in (WHITE, BLACK):
            if self.remaining(player) == 0:
                return player
        return None

    def _charge(self):
        self._left[self._turn] -= self._now() - self._since
