"""The board as it hangs on the wall."""

from quiz.night import Night

WIDTH = 24


def wall_sheet(night: Night) -> str:
    """A line for each team, with its place; equal points share a place."""
    lines = [f"After {len(night.played)} rounds"]
    place, previous = 0, None
    for number, (team, points) in enumerate(night.board.ranking(), start=1):
        if points != previous:
            place, previous = number, points
        left = f"{place}. {team}"
        lines.append(left + str(points).rjust(WIDTH - len(left)))
    return "\n".join(lines)
