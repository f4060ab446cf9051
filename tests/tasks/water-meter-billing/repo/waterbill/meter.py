"""Meters and what their dials say."""

from dataclasses import dataclass


class ReadingError(ValueError):
    """A reading that this meter cannot show."""


@dataclass(frozen=True)
class Meter:
    """A meter whose dial has a number of decimal digits."""

    serial: str
    digits: int = 5

    @property
    def largest(self) -> int:
        """The largest number that the dial can show."""
        return 10**self.digits - 1

    def check(self, reading: int) -> None:
        if not 0 <= reading <= self.largest:
            raise ReadingError(f"meter {self.serial} cannot show {reading}")

    def used(self, previous: int, current: int) -> int:
        """Cubic metres used between two readings.

        A current reading below the previous one means that the dial went
        past its largest number once.
        """
        self.check(previous)
        self.check(current)
        if current >= previous:
            return current - previous
        return self.largest - previous + current
