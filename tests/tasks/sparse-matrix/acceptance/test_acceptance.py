import pytest

from sparse import SparseMatrix


@pytest.mark.parametrize("position", [(2, 0), (0, 3), (2, 3), (1, 3), (2, 2)])
def test_writing_just_outside(position):
    matrix = SparseMatrix(2, 3)
    with pytest.raises(IndexError):
        matrix[position] = 1
    assert matrix.filled == 0


@pytest.mark.parametrize("position", [(4, 0), (0, 4), (4, 4)])
def test_reading_just_outside(position):
    with pytest.raises(IndexError):
        SparseMatrix.identity(4)[position]


def test_smallest_matrix():
    matrix = SparseMatrix(1, 1)
    matrix[0, 0] = 6
    assert matrix[0, 0] == 6
    with pytest.raises(IndexError):
        matrix[0, 1]
    with pytest.raises(IndexError):
        matrix[1, 0]


def test_zero_just_outside_is_refused_too():
    with pytest.raises(IndexError):
        SparseMatrix(2, 2)[2, 1] = 0


def test_last_entry_can_be_used():
    matrix = SparseMatrix(2, 3)
    matrix[1, 2] = 8
    assert matrix[1, 2] == 8
    assert matrix.to_rows() == [[0, 0, 0], [0, 0, 8]]


def test_first_entry_can_be_used():
    matrix = SparseMatrix(2, 3)
    matrix[0, 0] = 8
    assert matrix[0, 0] == 8


def test_negative_indices_are_refused():
    matrix = SparseMatrix(2, 3)
    for position in ((-1, 0), (0, -1)):
        with pytest.raises(IndexError):
            matrix[position]


def test_product_of_oblong_matrices():
    left = SparseMatrix.from_rows([[1, 0, 2], [0, 3, 0]])
    right = SparseMatrix.from_rows([[4], [5], [6]])
    assert (left @ right).to_rows() == [[16], [15]]
