import pytest

from sparse import SparseMatrix


def test_entries_are_zero_at_first():
    matrix = SparseMatrix(2, 3)
    assert matrix.to_rows() == [[0, 0, 0], [0, 0, 0]]
    assert matrix.filled == 0


def test_writing_zero_frees_the_entry():
    matrix = SparseMatrix.from_rows([[1, 0], [0, 5]])
    matrix[1, 1] = 0
    assert matrix.filled == 1


def test_far_outside():
    matrix = SparseMatrix(2, 3)
    with pytest.raises(IndexError):
        matrix[7, 7]
    with pytest.raises(IndexError):
        matrix[-1, 0] = 4


def test_transpose():
    matrix = SparseMatrix.from_rows([[1, 2, 0], [0, 0, 3]])
    assert matrix.transpose().to_rows() == [[1, 0], [2, 0], [0, 3]]


def test_sum():
    a = SparseMatrix.from_rows([[1, 2], [0, 0]])
    b = SparseMatrix.from_rows([[0, -2], [4, 0]])
    assert (a + b).to_rows() == [[1, 0], [4, 0]]
    assert (a + b).filled == 2


def test_product_with_identity():
    matrix = SparseMatrix.from_rows([[1, 2], [0, 3]])
    assert matrix @ SparseMatrix.identity(2) == matrix
