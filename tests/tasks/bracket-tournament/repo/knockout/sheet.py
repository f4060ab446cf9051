"""The sheet that hangs on the wall."""

from knockout.bracket import Bracket
from knockout.match import Match


def line(match: Match) -> str:
    """One match as text, the winner with a star."""
    if match.is_bye:
        return f"{match.players[0]} goes through"
    return " - ".join(
        name + "*" if name == match.winner else name for name in match.players
    )


def sheet(bracket: Bracket) -> str:
    """All rounds as text."""
    rows = []
    for number, matches in enumerate(bracket.rounds, start=1):
        rows.append(f"Round {number}")
        rows.extend("  " + line(match) for match in matches)
    return "\n".join(rows)
