"""stencil: a very small text template language.

A template is plain text with placeholders in it:

    Dear {{ customer.name | title }},

A placeholder names a value. Dots reach into nested mappings, and a name that
is not there stands for the empty string. After the name may come filters,
each behind a bar; the value passes through them from left to right. A filter
may take one argument, behind a colon: ``{{ note | truncate:20 }}``.

Anything between ``{#`` and ``#}`` is a comment and leaves no trace.
"""

import re

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class TemplateError(ValueError):
    """The template cannot be rendered."""


def _truncate(value, length="30"):
    text = str(value)
    return text[: int(length)]


def _default(value, fallback=""):
    return fallback if value == "" else value


FILTERS = {
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
    "title": lambda value: str(value).title(),
    "trim": lambda value: str(value).strip(),
    "truncate": _truncate,
    "default": _default,
    "length": lambda value: len(value),
}


def _lookup(path, context):
    """The value that a dotted path names in the context, or ``""``."""
    value = context
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return ""
        value = value[part]
    return value


def _apply(value, specs):
    """Pass a value through the filters that ``specs`` describe."""
    result = value
    for spec in specs:
        name, _, argument = (part.strip() for part in spec.partition(":"))
        if name not in FILTERS:
            raise TemplateError(f"unknown filter: {name!r}")
        arguments = [argument] if argument else []
        result = FILTERS[name](value, *arguments)
    return result


def _expand(expression, context):
    path, *specs = expression.split("|")
    path = path.strip()
    if not path:
        raise TemplateError("a placeholder names no value")
    return str(_apply(_lookup(path, context), specs))


def render(template, context):
    """Fill in a template.

    >>> render("Hello {{ who | upper }}!", {"who": "Bo"})
    'Hello BO!'
    """
    text = _COMMENT.sub("", template)
    return _PLACEHOLDER.sub(lambda found: _expand(found.group(1), context), text)
