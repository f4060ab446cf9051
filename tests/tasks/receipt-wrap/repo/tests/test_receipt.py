from till.receipt import money, receipt


def test_money():
    assert money(1205) == "12.05"
    assert money(7) == "0.07"


def test_a_receipt():
    items = [("Rye bread", 340), ("Two pounds of small apples", 420)]
    assert receipt(items, width=20, greeting="Come again").splitlines() == [
        "Rye bread       3.40",
        "Two pounds",
        "of small",
        "apples          4.20",
        "-" * 20,
        "Total           7.60",
        "     Come again",
    ]
