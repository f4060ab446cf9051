"""Points of teams."""

from typing import Dict, List, Tuple


class Scoreboard:
    """Adds up points; ``points`` are those to begin with, by team."""

    def __init__(self, points: Dict[str, int] = {}):
        self._points = points

    def add(self, team: str, points: int) -> None:
        """Give points to a team, or take some if they are negative."""
        self._points[team] = self._points.get(team, 0) + points

    def of(self, team: str) -> int:
        return self._points.get(team, 0)

    def ranking(self) -> List[Tuple[str, int]]:
        """All teams on the board, the best first, equals by name."""
        return sorted(self._points.items(), key=lambda entry: (-entry[1], entry[0]))
