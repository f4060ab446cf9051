"""The plan of one year."""

import copy

from beds.bed import Bed


class Plan:
    def __init__(self, year):
        self.year = year
        self.remarks = []
        self._beds = {}

    def add_bed(self, name, rows):
        if name in self._beds:
            raise ValueError(f"there is a bed {name} already")
        self._beds[name] = Bed(name, rows)
        return self._beds[name]

    def bed(self, name):
        return self._beds[name]

    def names(self):
        """The names of all beds, in alphabetical order."""
        return sorted(self._beds)

    def next_year(self):
        """A plan for the year after, with the same beds and crops to begin with."""
        plan = copy.copy(self)
        plan.year = self.year + 1
        plan.remarks = []
        return plan
