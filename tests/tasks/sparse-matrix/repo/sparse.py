"""Sparse matrices: only the entries that are not zero take up room."""


class SparseMatrix:
    """A matrix of numbers with a fixed number of rows and columns.

    Entries are read and written as ``matrix[row, column]``, both counted
    from zero. An index outside of the matrix is an ``IndexError``; there are
    no negative ones.
    """

    def __init__(self, rows, columns):
        if rows < 1 or columns < 1:
            raise ValueError("a matrix has at least one row and one column")
        self.rows = rows
        self.columns = columns
        self._entries = {}

    @classmethod
    def from_rows(cls, rows):
        """A matrix from a list of rows, each a list of numbers."""
        matrix = cls(len(rows), len(rows[0]))
        for i, row in enumerate(rows):
            if len(row) != matrix.columns:
                raise ValueError("the rows differ in length")
            for j, value in enumerate(row):
                matrix[i, j] = value
        return matrix

    @classmethod
    def identity(cls, size):
        matrix = cls(size, size)
        for i in range(size):
            matrix[i, i] = 1
        return matrix

    @property
    def filled(self):
        """How many entries are not zero."""
        return len(self._entries)

    def _check(self, position):
        row, column = position
        if not (0 <= row <= self.rows and 0 <= column <= self.columns):
            raise IndexError(f"{position} is outside of the matrix")

    def __getitem__(self, position):
        self._check(position)
        return self._entries.get(position, 0)

    def __setitem__(self, position, value):
        self._check(position)
        if value == 0:
            self._entries.pop(position, None)
        else:
            self._entries[position] = value

    def __eq__(self, other):
        if not isinstance(other, SparseMatrix):
            return NotImplemented
        return (self.rows, self.columns, self._entries) == (
            other.rows,
            other.columns,
            other._entries,
        )

    def to_rows(self):
        """The whole matrix as a list of rows, zeros included."""
        return [[self[i, j] for j in range(self.columns)] for i in range(self.rows)]

    def transpose(self):
        result = SparseMatrix(self.columns, self.rows)
        for (i, j), value in self._entries.items():
            result[j, i] = value
        return result

    def __add__(self, other):
        if (self.rows, self.columns) != (other.rows, other.columns):
            raise ValueError("the matrices differ in shape")
        result = SparseMatrix(self.rows, self.columns)
        for matrix in (self, other):
            for position, value in matrix._entries.items():
                result[position] += value
        return result

    def __matmul__(self, other):
        if self.columns != other.rows:
            raise ValueError("the shapes do not fit")
        result = SparseMatrix(self.rows, other.columns)
        for (i, k), left in self._entries.items():
            for j in range(other.columns):
                result[i, j] += left * other[k, j]
        return result
