"""OMA Enabler Test Specification for LwM2M 1.2: information reporting (left out: test_ets_1_registration.py).

| id                  | test |
|---------------------|------|
| 1.1-int-301         | test_int_301 Observation and notification of two parameters |
| 1.1-int-302         | test_int_302 Cancel by Reset |
| 1.1-int-303         | test_int_303 Cancel by Observe with 1 |
| 1.1-int-304, 305    | test_int_304, test_int_305 Observe-Composite, and its end |
| 1.1-int-306, 311    | test_int_306, test_int_311 Send, of several values |
| 1.1-int-307         | test_int_307 Muting Send |
| 1.1-int-308, 309    | test_int_308, test_int_309 Observe-Composite while instances are created, deleted |
| 1.1-int-310         | test_int_310 Observe-Composite of an object, and its end |
| 1.2-int-312, 313    | test_int_312, test_int_313 Attributes in the Observe; they override those attached |

The periods of the specification are tens of seconds; here they are tenths of that.
"""

import time

import pytest
from support import wire
from support.background import Background
from support.daemon import Daemon
from support.ets import CLIENTS, Ours

HEAT = "/3303/0/5700"


@pytest.fixture(scope="module")
def server():
    with Daemon(shards=2, grace_s=1, ack_timeout_ms=500) as daemon:
        yield daemon


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


@pytest.fixture(scope="module", params=CLIENTS)
def client(request, server):
    one = CLIENTS[request.param](server.coap, f"ets-3-{request.param}")
    try:
        yield one.start()
    finally:
        one.close()


@pytest.fixture
def ours(server, endpoint):
    one = Ours(server.coap, endpoint)
    try:
        yield one.start()
    finally:
        one.close()


def told(events, one, seconds=10, path=None):
    """The values of the next notification, or of the next that has this path."""
    event = events.next(
        "notification",
        one.endpoint,
        seconds=seconds,
        wanted=lambda event: path is None or path in [value["path"] for value in event["values"]],
    )
    return {value["path"]: value["value"] for value in event["values"]}


def silent(events, one, seconds):
    found = [e for e in events.drain(seconds) if e.kind == "notification" and e["endpoint"] == one.endpoint]
    assert not found, found


def test_int_301(server, client, events):
    """Two resources, each with its periods; notified when they change, and when pmax is over."""
    paths = {HEAT: 31.5, "/3303/0/5601": 11.5}
    found = []
    for path in paths:
        server.rest.set_attributes(client.endpoint, path, {"pmin": 1, "pmax": 3})
        found.append(server.rest.observe(client.endpoint, path))
        told(events, client, path=path)
    for path, value in paths.items():
        client.set(path, value)
        assert told(events, client, path=path) == {path: value}
    begun = time.monotonic()
    for path, value in paths.items():
        assert told(events, client, path=path) == {path: value}, "after pmax, unchanged"
    assert time.monotonic() - begun > 0.5
    for observation in found:
        server.rest.cancel(client.endpoint, observation["id"])
    for path in paths:
        server.rest.set_attributes(client.endpoint, path, {"pmin": None, "pmax": None})
    client.set(HEAT, 22.5)


def test_int_302(server, peer, endpoint, events):
    """A notification of what is not wanted any more is answered with Reset. We cancel by Observe with 1 as well."""
    one = peer()
    one.register(endpoint, "</>;ct=110,</1/0>,</3/0>,</3303/0>", version="1.2")
    call = Background(server.rest.observe, endpoint, HEAT)
    request = one.expect_request(wire.GET, HEAT)
    one.answer(request, "2.05", b"1", content_format=wire.TEXT, observe=1)
    identifier = call.result()["id"]
    call = Background(server.rest.cancel, endpoint, identifier)
    cancel = one.expect_request(wire.GET, HEAT)
    one.answer(cancel, "2.05", b"1", content_format=wire.TEXT)
    call.result()
    for kind in (wire.CON, wire.NON):  # the client has missed it
        sent = one.notify(request.token, 2, b"2", type=kind)
        answer = one.receive()
        assert (answer.type, answer.mid) == (wire.RST, sent.mid)


def test_int_303(server, client, events):
    observation = server.rest.observe(client.endpoint, HEAT)
    told(events, client)
    client.set(HEAT, 33.5)
    assert told(events, client) == {HEAT: 33.5}
    server.rest.cancel(client.endpoint, observation["id"])
    if client.kind == "ours":
        assert client.device.seen("GET", HEAT).observe == 1
    client.set(HEAT, 22.5)
    silent(events, client, 0.5)


def test_int_304(server, client, events):
    """Several resources in one observation with its periods; each notification has them all."""
    paths = (HEAT, "/3303/0/5601")
    attributes = {"pmin": 1, "pmax": 3} if client.kind == "ours" else None  # a 1.1 client takes no query
    observation = server.rest.observe(client.endpoint, *paths, attributes=attributes)
    first = told(events, client)
    assert set(first) == set(paths)
    client.set(HEAT, 34.5)
    assert told(events, client) == {**first, HEAT: 34.5}
    if attributes:
        begun = time.monotonic()
        assert set(told(events, client)) == set(paths) and time.monotonic() - begun > 1.5
    server.rest.cancel(client.endpoint, observation["id"])
    client.set(HEAT, 22.5)


def test_int_305(server, client, events):
    observation = server.rest.observe(client.endpoint, HEAT, "/3303/0/5601")
    told(events, client)
    server.rest.cancel(client.endpoint, observation["id"])
    if client.kind == "ours":
        first, last = [request for request in client.device.requests if request.method == "FETCH"][-2:]
        assert (first.observe, last.observe) == (0, 1) and first.payload == last.payload
    client.set(HEAT, 35.5)
    client.set(HEAT, 22.5)
    silent(events, client, 0.5)


def test_int_306(server, client, events):
    client.send(HEAT, "/3/0/9")
    event = events.next("send", client.endpoint)
    assert {value["path"]: value["value"] for value in event["values"]} == {HEAT: 22.5, "/3/0/9": 95}


def test_int_307(server, ours, events):
    """Send is muted by writing /1/x/23."""
    server.rest.write(ours.endpoint, "/1/0/23", True)
    assert ours.device.get("/1/0/23") is True
    server.rest.write(ours.endpoint, "/1/0/23", False)
    assert ours.device.get("/1/0/23") is False
    ours.send(HEAT)
    assert events.next("send", ours.endpoint)


def test_int_308(server, ours, events):
    observation = server.rest.observe(ours.endpoint, "/3303", "/3/0/9")
    told(events, ours)
    server.rest.create(ours.endpoint, "/3303", 5, [{"path": "/3303/5/5750", "value": "new"}])
    ours.set("/3303/5/5700", 5.5)
    found = told(events, ours, path="/3303/5/5700")
    assert found["/3303/5/5750"] == "new" and found[HEAT] == 22.5 and found["/3/0/9"] == 95
    server.rest.cancel(ours.endpoint, observation["id"])


def test_int_309(server, ours, events):
    ours.device.objects[3303][5] = {5700: 5.5}
    ours.device.update(links=True)
    observation = server.rest.observe(ours.endpoint, "/3303/0", "/3303/5")
    assert told(events, ours)["/3303/5/5700"] == 5.5
    server.rest.delete(ours.endpoint, "/3303/5")
    ours.set(HEAT, 6.5)
    found = told(events, ours)
    assert found[HEAT] == 6.5 and not [path for path in found if path.startswith("/3303/5")]
    server.rest.cancel(ours.endpoint, observation["id"])


def test_int_310(server, ours, events):
    observation = server.rest.observe(ours.endpoint, "/3303", "/3/0", attributes={"pmin": 1, "pmax": 3})
    assert set(told(events, ours)) > {HEAT, "/3/0/0"}
    assert told(events, ours)[HEAT] == 22.5, "pmax"
    server.rest.cancel(ours.endpoint, observation["id"])
    ours.set(HEAT, 7.5)
    silent(events, ours, 1.5)
    assert ours.device.watches == []


def test_int_311(server, ours, events):
    """Several values of one resource, each with its time."""
    series = [(HEAT, 20.5 + number, 1700000000 + number * 10) for number in range(4)]
    ours.device.send_series(series)
    event = events.next("send", ours.endpoint)
    found = sorted((value["time"], value["value"]) for value in event["values"])
    assert [value for _, value in found] == [20.5, 21.5, 22.5, 23.5]
    assert found[0][0].startswith("2023-11-14T22:13:20") and found[-1][0].startswith("2023-11-14T22:13:50")


def test_int_312(server, ours, events):
    observation = server.rest.observe(ours.endpoint, HEAT, attributes={"pmin": 1, "pmax": 2})
    assert sorted(ours.device.seen("GET", HEAT).query) == ["pmax=2", "pmin=1"]
    told(events, ours)
    for _ in range(2):
        begun = time.monotonic()
        assert told(events, ours) == {HEAT: 22.5}
        assert time.monotonic() - begun > 1
    server.rest.cancel(ours.endpoint, observation["id"])


def test_int_313(server, ours, events):
    """What is attached does not count for it, and is still there afterwards."""
    server.rest.set_attributes(ours.endpoint, HEAT, {"pmin": 10, "pmax": 60})
    observation = server.rest.observe(ours.endpoint, HEAT, attributes={"pmax": 2})
    told(events, ours)
    ours.set(HEAT, 8.5)
    assert told(events, ours, 3) == {HEAT: 8.5}, "no pmin of 10 s"
    assert told(events, ours, 4) == {HEAT: 8.5}, "pmax of 2 s"
    server.rest.cancel(ours.endpoint, observation["id"])
    assert server.rest.attributes(ours.endpoint, HEAT) == {"pmin": 10, "pmax": 60}
