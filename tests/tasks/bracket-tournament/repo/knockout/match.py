"""One match."""

from dataclasses import dataclass
from typing import Optional


@dataclass
class Match:
    """Two sides, and the winner once there is one.

    A side is None where a player has a bye.
    """

    home: Optional[str]
    away: Optional[str]
    winner: Optional[str] = None

    @property
    def is_bye(self) -> bool:
        return self.home is None or self.away is None

    @property
    def players(self) -> tuple:
        """The players who take part: one in a bye, or else two."""
        return tuple(side for side in (self.home, self.away) if side is not None)
