from loglens import count_by, last_by, parse, report

LOG = parse(
    [
        "t1 ERROR [disk] full",
        "t2 INFO [disk] cleaned",
        "t3 INFO [web] up",
        "t4 INFO [web] ready",
    ]
)


def test_count_by_level():
    assert count_by(LOG, "level") == {"ERROR": 1, "INFO": 3}


def test_last_by_source():
    assert last_by(LOG, "source") == {"disk": LOG[1], "web": LOG[3]}


def test_report():
    assert report(LOG) == "    3 INFO\n    1 ERROR"


def test_no_records():
    assert count_by([], "level") == {}
    assert report([]) == ""
