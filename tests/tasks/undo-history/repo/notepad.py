"""A notepad that can undo and redo."""

from dataclasses import dataclass
from typing import List


class NothingToUndo(Exception):
    """There is no edit to take back, or none to make again."""


@dataclass(frozen=True)
class Edit:
    """Replaces ``old`` at a position by ``new``."""

    position: int
    old: str
    new: str

    def apply(self, text: str) -> str:
        return text[: self.position] + self.new + text[self.position + len(self.old) :]

    def reversed(self) -> "Edit":
        return Edit(self.position, self.new, self.old)


class Notepad:
    """Text with its history of edits.

    An edit that was undone can be made again until a new edit takes its place.
    """

    def __init__(self, text: str = ""):
        self.text = text
        self._done: List[Edit] = []
        self._undone: List[Edit] = []

    def insert(self, position: int, new: str) -> None:
        if not 0 <= position <= len(self.text):
            raise IndexError(f"there is no position {position}")
        self._make(Edit(position, "", new))

    def append(self, new: str) -> None:
        self.insert(len(self.text), new)

    def delete(self, start: int, end: int) -> None:
        """Delete the text from start up to, but not including, end."""
        if not 0 <= start <= end <= len(self.text):
            raise IndexError(f"there is no range {start} to {end}")
        self._make(Edit(start, self.text[start:end], ""))

    def replace(self, old: str, new: str) -> bool:
        """Replace the first occurrence of some text; says whether there was one."""
        position = self.text.find(old)
        if position < 0:
            return False
        self._make(Edit(position, old, new))
        return True

    def can_undo(self) -> bool:
        return bool(self._done)

    def can_redo(self) -> bool:
        return bool(self._undone)

    def undo(self) -> None:
        """Take back the last edit."""
        if not self._done:
            raise NothingToUndo("nothing to undo")
        edit = self._done.pop()
        self.text = edit.reversed().apply(self.text)
        self._undone.append(edit)

    def redo(self) -> None:
        """Make the edit again that was undone last."""
        if not self._undone:
            raise NothingToUndo("nothing to redo")
        edit = self._undone.pop()
        self.text = edit.apply(self.text)
        self._done.append(edit)

    def _make(self, edit: Edit) -> None:
        self.text = edit.apply(self.text)
        self._done.append(edit)
