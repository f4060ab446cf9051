"""The course of a tournament."""

from typing import List, Optional, Sequence

from knockout.match import Match
from knockout.seeding import first_round


class Bracket:
    """All rounds up to now; a round is drawn when the one before is over."""

    def __init__(self, entrants: Sequence[str]):
        if len(entrants) < 2 or len(set(entrants)) != len(entrants):
            raise ValueError("two or more entrants with different names, please")
        self.rounds: List[List[Match]] = []
        self._draw(first_round(entrants))

    def _draw(self, sides: Sequence[Optional[str]]) -> None:
        matches = [Match(*pair) for pair in zip(sides[::2], sides[1::2])]
        for match in matches:
            if match.is_bye:
                (match.winner,) = match.players
        self.rounds.append(matches)

    def pending(self) -> List[Match]:
        """The matches of the current round that are still to be played."""
        return [match for match in self.rounds[-1] if match.winner is None]

    def record(self, winner: str) -> None:
        """Say who won a match of the current round."""
        for match in self.pending():
            if winner in match.players:
                match.winner = winner
                break
        else:
            raise ValueError(f"{winner} has no match to win")
        if not self.pending() and len(self.rounds[-1]) > 1:
            self._draw([match.winner for match in self.rounds[-1]])

    @property
    def champion(self) -> Optional[str]:
        last = self.rounds[-1]
        return last[0].winner if len(last) == 1 else None
