"""Search in notes, with the hits marked."""

from finder.highlight import highlight
from finder.query import terms_of
from finder.search import search

__all__ = ["highlight", "search", "terms_of"]
