from signals import Bus


def test_handlers_are_called_in_order():
    bus = Bus()
    seen = []
    bus.subscribe("door", lambda event: seen.append(("first", event)))
    bus.subscribe("door", lambda event: seen.append(("second", event)))
    assert bus.publish("door", "open") == 2
    assert seen == [("first", "open"), ("second", "open")]


def test_topics_are_kept_apart():
    bus = Bus()
    seen = []
    bus.subscribe("door", seen.append)
    assert bus.publish("window", "open") == 0
    assert seen == []


def test_once():
    bus = Bus()
    seen = []
    bus.once("door", seen.append)
    bus.publish("door", 1)
    bus.publish("door", 2)
    assert seen == [1]


def test_cancel():
    bus = Bus()
    seen = []
    subscription = bus.subscribe("door", seen.append)
    subscription.cancel()
    subscription.cancel()
    bus.publish("door", 1)
    assert seen == []
    assert bus.count("door") == 0
