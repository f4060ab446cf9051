from signals import Bus


def test_a_neighbour_of_once_gets_the_event():
    bus = Bus()
    seen = []
    bus.once("ready", lambda event: seen.append("once"))
    bus.subscribe("ready", lambda event: seen.append("always"))
    assert bus.publish("ready") == 2
    assert bus.publish("ready") == 1
    assert seen == ["once", "always", "always"]


def test_many_that_listen_once():
    bus = Bus()
    seen = []
    for name in "abcd":
        bus.once("ready", lambda event, name=name: seen.append(name))
    assert bus.publish("ready") == 4
    assert seen == ["a", "b", "c", "d"]
    assert bus.count("ready") == 0


def test_a_handler_that_cancels_its_own_subscription():
    bus = Bus()
    seen = []

    def enough(event):
        seen.append("enough")
        own.cancel()

    own = bus.subscribe("ready", enough)
    bus.subscribe("ready", lambda event: seen.append("next"))
    bus.subscribe("ready", lambda event: seen.append("last"))
    assert bus.publish("ready") == 3
    assert seen == ["enough", "next", "last"]


def test_a_handler_that_cancels_one_before_it():
    bus = Bus()
    seen = []
    first = bus.subscribe("ready", lambda event: seen.append("first"))
    bus.subscribe("ready", lambda event: first.cancel())
    bus.subscribe("ready", lambda event: seen.append("third"))
    bus.publish("ready")
    assert seen == ["first", "third"]
    assert bus.count("ready") == 2


def test_once_is_once_even_if_its_handler_publishes():
    bus = Bus()
    seen = []

    def again(event):
        seen.append(event)
        if event < 3:
            bus.publish("ready", event + 1)

    bus.once("ready", again)
    bus.publish("ready", 1)
    assert seen == [1]


def test_a_cancelled_handler_hears_nothing_later():
    bus = Bus()
    seen = []
    subscription = bus.subscribe("ready", seen.append)
    bus.publish("ready", 1)
    subscription.cancel()
    assert bus.publish("ready", 2) == 0
    assert seen == [1]
