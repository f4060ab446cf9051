"""One handler that waits for events."""


class Subscription:
    """Made by ``Bus.subscribe`` and ``Bus.once``."""

    def __init__(self, bus, topic, handler, only_once=False):
        self.topic = topic
        self.active = True
        self._bus = bus
        self._handler = handler
        self._only_once = only_once

    def cancel(self):
        """End the subscription. To do so twice does no harm."""
        if self.active:
            self.active = False
            self._bus.remove(self)

    def deliver(self, event):
        """Call the handler."""
        if self._only_once:
            self.cancel()
        self._handler(event)
