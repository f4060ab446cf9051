"""One round of questions."""

from typing import Dict, Sequence

from quiz.question import Question


class Round:
    """Questions that are handed out together, and answered on one sheet."""

    def __init__(self, title: str, questions: Sequence[Question]):
        self.title = title
        self.questions = list(questions)

    def mark(self, answers: Sequence[str]) -> int:
        """The points of one team's answers, which stand in the questions' order."""
        if len(answers) > len(self.questions):
            raise ValueError(f"{self.title} has {len(self.questions)} questions")
        pairs = zip(self.questions, answers)
        return sum(question.points for question, answer in pairs if question.is_right(answer))

    def mark_all(self, sheets: Dict[str, Sequence[str]]) -> Dict[str, int]:
        """The points of all teams that handed in a sheet."""
        return {team: self.mark(answers) for team, answers in sheets.items()}
