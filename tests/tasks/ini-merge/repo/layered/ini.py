"""Reading and writing ini text."""


class IniError(ValueError):
    """A line that is neither a section, a setting nor a comment."""


def parse(text):
    """The sections of a text, each a dict of strings."""
    sections = {}
    current = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1].strip().lower(), {})
            continue
        key, equals, value = line.partition("=")
        if not equals or current is None:
            raise IniError(f"line {number}: {line}")
        current[key.strip().lower()] = value.strip()
    return sections


def dump(sections):
    """Ini text for some sections, in the order of their names."""
    blocks = []
    for name in sorted(sections):
        lines = [f"[{name}]"]
        lines += [f"{key} = {value}" for key, value in sorted(sections[name].items())]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)
