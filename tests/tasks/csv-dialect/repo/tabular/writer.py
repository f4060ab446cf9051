"""From rows to text."""

from tabular.dialect import COMMA


def _quoted(field, dialect):
    text = str(field)
    if dialect.delimiter in text or dialect.quote in text:
        text = text.replace(dialect.quote, dialect.quote * 2)
        return f"{dialect.quote}{text}{dialect.quote}"
    return text


def join_row(fields, dialect=COMMA):
    """One line that holds the fields."""
    return dialect.delimiter.join(_quoted(field, dialect) for field in fields)


def write(rows, dialect=COMMA):
    """A text that holds the rows, one a line."""
    return "".join(join_row(row, dialect) + "\n" for row in rows)
