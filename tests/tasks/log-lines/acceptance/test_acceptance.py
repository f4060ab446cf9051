from loglens import count_by, last_by, parse, report

MIXED = parse(
    [
        "t1 WARN [web] slow",
        "t2 INFO [disk] ok",
        "t3 WARN [disk] 90%",
        "t4 ERROR [web] down",
        "t5 WARN [web] slow again",
        "t6 INFO [web] up",
        "t7 ERROR [disk] full",
    ]
)


def test_count_of_mixed_levels():
    assert count_by(MIXED, "level") == {"WARN": 3, "INFO": 2, "ERROR": 2}


def test_count_of_mixed_sources():
    assert count_by(MIXED, "source") == {"web": 4, "disk": 3}


def test_counts_add_up_to_all_records():
    log = parse(f"t{n} {'AB'[n % 2]} [s] m" for n in range(40))
    assert count_by(log, "level") == {"A": 20, "B": 20}


def test_report_of_mixed_levels():
    assert report(MIXED) == "    3 WARN\n    2 ERROR\n    2 INFO"


def test_report_by_source():
    assert report(MIXED, "source") == "    4 web\n    3 disk"


def test_last_of_each_in_the_order_of_the_log():
    late = parse(["t1 INFO [z] b", "t2 WARN [a] c", "t3 INFO [a] a"])
    assert last_by(late, "level") == {"INFO": late[2], "WARN": late[1]}
    assert last_by(MIXED, "source") == {"web": MIXED[5], "disk": MIXED[6]}


def test_any_iterable_will_do():
    assert count_by(iter(MIXED[:2]), "level") == {"WARN": 1, "INFO": 1}


def test_records_are_left_as_they_were():
    before = list(MIXED)
    count_by(MIXED, "level")
    assert MIXED == before
