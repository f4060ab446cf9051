"""Finds notes."""

from typing import Iterable, List

from finder.highlight import count_hits, highlight
from finder.query import terms_of


def search(notes: Iterable[str], query: str) -> List[str]:
    """The notes that contain all terms, those with most hits first, hits marked."""
    terms = terms_of(query)
    found = [note for note in notes if all(term in note.lower() for term in terms)]
    found.sort(key=lambda note: count_hits(note, terms), reverse=True)
    return [highlight(note, terms) for note in found]
