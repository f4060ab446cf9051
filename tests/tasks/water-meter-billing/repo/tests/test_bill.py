from waterbill.bill import lines, total
from waterbill.meter import Meter
from waterbill.tariff import HOUSEHOLD


def test_steps():
    assert HOUSEHOLD.cost(0) == 450
    assert HOUSEHOLD.cost(20) == 3450
    assert HOUSEHOLD.cost(21) == 3690


def test_each_period_by_itself():
    assert total(Meter("A1"), [100, 110, 130]) == 450 + 1500 + 450 + 3000


def test_lines():
    assert lines(Meter("A1"), [100, 110]) == " 1     10 m3     19.50"
