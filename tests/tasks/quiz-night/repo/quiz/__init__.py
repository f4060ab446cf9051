"""Keeps the score of a quiz night."""

from quiz.night import Night
from quiz.question import Question

__all__ = ["Night", "Question"]
