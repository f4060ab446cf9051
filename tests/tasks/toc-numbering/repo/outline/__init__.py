"""Tables of contents for Markdown files."""

from outline.toc import table_of_contents

__all__ = ["table_of_contents"]
