"""Tournaments in which the loser of a match is out."""

from knockout.bracket import Bracket

__all__ = ["Bracket"]
