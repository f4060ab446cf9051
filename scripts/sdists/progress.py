"""How far the making of tasks has come."""

import sys
import time


class Progress:
    """Lines on standard error, each with the rate and the time that is left."""

    def __init__(self, n_wanted: int):
        self.n_wanted, self.n_done, self.n_given_up = n_wanted, 0, 0
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def task(self, text: str) -> None:
        self.n_done += 1
        n_left = self.n_wanted - self.n_done - self.n_given_up
        minutes = (time.monotonic() - self.started) / 60
        left = f", about {n_left * minutes / self.n_done:.0f} min left" if n_left else ""
        self.say(
            f"{self.n_done}/{self.n_wanted} {text}"
            f" ({self.n_done / max(minutes, 1 / 60):.1f} tasks a minute{left})"
        )

    def give_up(self, n_tasks: int) -> None:
        """These do not come."""
        self.n_given_up += n_tasks
