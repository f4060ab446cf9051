"""Hands events to those who subscribed to them."""

from signals.subscription import Subscription


class Bus:
    """Knows the subscriptions to each topic."""

    def __init__(self):
        self._topics = {}

    def subscribe(self, topic, handler):
        """Call the handler with each event of a topic from now on."""
        return self._add(Subscription(self, topic, handler))

    def once(self, topic, handler):
        """Call the handler with the next event of a topic, and then no more."""
        return self._add(Subscription(self, topic, handler, only_once=True))

    def publish(self, topic, event=None):
        """Call all handlers of a topic; returns how many were called."""
        called = 0
        for subscription in self._topics.get(topic, []):
            subscription.deliver(event)
            called += 1
        return called

    def remove(self, subscription):
        """Forget a subscription; use its ``cancel``."""
        self._topics[subscription.topic].remove(subscription)

    def count(self, topic):
        """How many subscriptions a topic has."""
        return len(self._topics.get(topic, []))

    def _add(self, subscription):
        self._topics.setdefault(subscription.topic, []).append(subscription)
        return subscription
