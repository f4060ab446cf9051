"""A whole evening."""

from typing import Dict, List, Optional, Sequence

from quiz.round import Round
from quiz.scoreboard import Scoreboard


class Night:
    """An evening of several rounds, among teams that may come and go."""

    def __init__(self, head_start: Optional[Dict[str, int]] = None):
        """``head_start`` has points that some teams begin with."""
        self.board = Scoreboard(dict(head_start)) if head_start else Scoreboard()
        self.played: List[str] = []

    def play(self, round_: Round, sheets: Dict[str, Sequence[str]]) -> Dict[str, int]:
        """Mark a round and put it on the board; returns the points of the round."""
        marks = round_.mark_all(sheets)
        for team, points in marks.items():
            self.board.add(team, points)
        self.played.append(round_.title)
        return marks

    def winners(self) -> List[str]:
        """The teams with most points; none before the first round."""
        ranking = self.board.ranking()
        return [team for team, points in ranking if points == ranking[0][1]]
