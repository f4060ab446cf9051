"""A bed with its rows."""

from beds.crops import family


class Bed:
    """Rows are counted from 1; None stands in one that is empty."""

    def __init__(self, name, rows):
        self.name = name
        self.rows = [None] * rows

    def sow(self, row, crop):
        """Put a crop into a row, in place of what was there."""
        family(crop)
        self.rows[self._index(row)] = crop

    def clear(self, row):
        self.rows[self._index(row)] = None

    def families(self):
        """The families of all crops in the bed."""
        return {family(crop) for crop in self.rows if crop}

    def _index(self, row):
        if not 1 <= row <= len(self.rows):
            raise IndexError(f"{self.name} has no row {row}")
        return row - 1
