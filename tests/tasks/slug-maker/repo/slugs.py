"""Slugs: titles as they stand in an address."""

import unicodedata

DEFAULT_LENGTH = 40


def _plain(title):
    """A title in small ASCII letters: accents are dropped, the letters stay."""
    parts = unicodedata.normalize("NFKD", title)
    return parts.encode("ascii", "ignore").decode("ascii").lower()


def _words(title):
    """The words of a title; anything that is no letter or digit sets them apart."""
    spaced = "".join(char if char.isalnum() else " " for char in _plain(title))
    return spaced.split()


def _shorten(slug, max_length):
    """A slug cut behind its last whole word that fits."""
    if len(slug) <= max_length:
        return slug
    cut = slug[:max_length]
    if "-" in cut:
        cut = cut[: cut.rindex("-")]
    return cut


def slugify(title, max_length=DEFAULT_LENGTH):
    """The slug of a title, ``untitled`` if it has no letters or digits at all."""
    if max_length < 1:
        raise ValueError("a slug needs one character at least")
    return _shorten("-".join(_words(title)) or "untitled", max_length)


def unique_slug(title, taken, max_length=DEFAULT_LENGTH):
    """A slug that is not among those taken, with a number behind it if need be."""
    slug = slugify(title, max_length)
    number = 1
    while slug in taken:
        number += 1
        suffix = f"-{number}"
        slug = slugify(title, max_length - len(suffix)) + suffix
    return slug
