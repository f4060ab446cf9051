"""Look at the lines of a log."""

from loglens.lines import Record, parse, parse_line
from loglens.report import count_by, last_by, report

__all__ = ["Record", "count_by", "last_by", "parse", "parse_line", "report"]
