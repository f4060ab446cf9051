"""From text to rows."""

from tabular.dialect import COMMA


class RowError(ValueError):
    """A row that breaks the rules of its dialect."""


def split_row(line, dialect=COMMA):
    """The fields of one line."""
    fields = []
    field = ""
    quoted = False
    previous = ""
    for char in line:
        if char == dialect.quote:
            if not quoted and previous == dialect.quote:
                field += char
            quoted = not quoted
        elif char == dialect.delimiter and not quoted:
            fields.append(field)
            field = ""
        else:
            field += char
        previous = char
    if quoted:
        raise RowError(f"a quote is left open: {line}")
    if field:
        fields.append(field)
    return fields


def read(text, dialect=COMMA):
    """All rows of a text, each a list of fields."""
    return [split_row(line, dialect) for line in text.splitlines() if line.strip(" ")]


def read_records(text, dialect=COMMA):
    """The rows after the first as dicts; the first row has the keys."""
    header, *rows = read(text, dialect)
    records = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise RowError(f"row {number}: {len(row)} fields for {len(header)} columns")
        records.append(dict(zip(header, row)))
    return records
