from loglens import Record, parse, parse_line


def test_parse_line():
    line = "2024-02-11T08:15:02 WARN [disk] 91% full\n"
    assert parse_line(line) == Record("2024-02-11T08:15:02", "WARN", "disk", "91% full")


def test_other_lines_are_passed_over():
    lines = ["", "  at main (app.py)", "t1 INFO [web] up"]
    assert parse(lines) == [Record("t1", "INFO", "web", "up")]
