"""A buffer of fixed capacity that forgets its oldest items first."""


class RingBuffer:
    """Keeps the last ``capacity`` items that were pushed.

    Iterating goes from the oldest item to the newest.
    """

    def __init__(self, capacity):
        if capacity < 1:
            raise ValueError("a buffer needs room for one item at least")
        self._slots = [None] * capacity
        # The slot that is written next.
        self._next = 0
        self._size = 0

    @property
    def capacity(self):
        return len(self._slots)

    def __len__(self):
        return self._size

    def __iter__(self):
        start = self._next - self._size
        for step in range(self._size):
            yield self._slots[(start + step) % self.capacity]

    def push(self, item):
        """Add an item; the oldest one gives way if the buffer is full."""
        self._slots[self._next] = item
        self._next = (self._next + 1) % self.capacity
        self._size = min(self._size + 1, self.capacity)

    def extend(self, items):
        for item in items:
            self.push(item)

    def clear(self):
        """Forget all items. The capacity stays."""
        self._next = 0
        self._size = 0

    def latest(self, count):
        """The ``count`` newest items, the newest last; fewer if there are fewer."""
        if count < 0:
            raise ValueError("the count is negative")
        count = min(count, self.capacity)
        start = self._next - count
        return [self._slots[(start + step) % self.capacity] for step in range(count)]

    def average(self, count):
        """The mean of the ``count`` newest numbers."""
        numbers = self.latest(count)
        if not numbers:
            raise ValueError("there is nothing to average")
        return sum(numbers) / len(numbers)
