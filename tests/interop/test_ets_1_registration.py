"""OMA Enabler Test Specification for LwM2M 1.2: registration.

| id                  | test |
|---------------------|------|
| 1.1-int-101         | test_int_101 Initial Registration |
| 1.1-int-102         | test_int_102 Registration Update |
| 1.1-int-103         | test_int_103 Deregistration (after Disable) |
| 1.1-int-104         | test_int_104 Registration Update Trigger |
| 1.1-int-105         | test_int_105 Discarded Register Update |
| 1.1-int-107         | test_int_107 Extending the lifetime of a registration |
| 1.1-int-108         | test_int_108 Turn on Queue Mode |
| 1.1-int-109         | test_int_109 Behavior in Queue Mode |
| 1.2-int-110         | test_int_110 Registration with a Profile ID |
| 1.2-int-111         | test_int_111 Registration with a Profile ID and a list |

Management is in test_ets_2_management.py, reporting in test_ets_3_reporting.py.

Left out, of all:

| id                                   | reason |
|--------------------------------------|--------|
| 0, 1, 2, 4, 5, 8-10, 1.2-11, 12, 19  | bootstrap |
| 106, 404, 406                        | TCP and TLS |
| 401, 402, 403, 405                   | security (PSK, certificates, OSCORE) |
| 751-779                              | firmware |
| 229, 270, 271, 555, 565              | void or without a procedure |
| 950, 951                             | two servers: a duty of the client, nothing of ours shows |
"""

import pytest
from support import wire
from support.daemon import Daemon
from support.ets import CLIENTS, Ours
from support.raw import RawPeer

SLEEPY = dict(nbiot_endpoints="nb:", nbiot_ack_timeout_ms=500, nbiot_max_retransmit=1)


@pytest.fixture(scope="module")
def server():
    with Daemon(shards=2, grace_s=1, ack_timeout_ms=500, **SLEEPY) as daemon:
        yield daemon


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


@pytest.fixture(params=CLIENTS)
def client(request, server, endpoint):
    """A factory: client(lifetime=20) has not said anything yet."""
    made = []

    def make(**named):
        made.append(CLIENTS[request.param](server.coap, endpoint, **named))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_int_101(server, client):
    one = client().start()
    device = server.rest.device(one.endpoint)
    assert device["state"] == "registered" and device["lifetime"] == 300 and device["binding"] == "U"
    assert device["version"] == {"ours": "1.2", "leshan": "1.1"}[one.kind]
    paths = [entry["path"] for entry in device["objects"]]
    assert {"/1/0", "/3/0"} <= set(paths)
    assert not [path for path in paths if path.startswith(("/0", "/21"))]


def test_int_102(server, client, events):
    """An Update with another lifetime; without Updates the registration ends."""
    one = client().start()
    if one.kind == "ours":
        one.update("lt=2")
    else:
        server.rest.write(one.endpoint, "/1/0/1", 2)
    server.rest.wait_device(one.endpoint, lambda device: device["lifetime"] == 2)
    one.close()  # without a word
    events.next("expired", one.endpoint)


def test_int_103(server, endpoint, events):
    """Disable: the client de-registers, is gone, and comes back. Leshan's client has no /1/x/4."""
    one = Ours(server.coap, endpoint).start()
    try:
        server.rest.execute(endpoint, "/1/0/4")
        one.executed("/1/0/4")
        one.leave()
        assert events.next("deregistered", endpoint)
        device = server.rest.device(endpoint)
        assert device is None or device["state"] == "offline"
        one.start()
        assert server.rest.device(endpoint)["state"] == "registered"
    finally:
        one.close()


def test_int_104(server, client, events):
    one = client().start()
    server.rest.execute(one.endpoint, "/1/0/8")
    if one.kind == "ours":
        one.executed("/1/0/8")
        one.update()
    else:
        one.peer.wait("EVENT updated")
    assert events.next("updated", one.endpoint)
    assert server.rest.value(one.endpoint, "/3/0/0") == one.manufacturer


def test_int_105(server, client, events):
    """An Update of a registration that the server has dropped: 4.04, and the client registers again."""
    one = client().start()
    before = server.rest.device(one.endpoint)["registrationId"]
    server.rest.ok("DELETE", server.rest.device_path(one.endpoint))
    if one.kind == "ours":
        one.device.update(expect="4.04")
        one.start()
    else:
        one.peer.command("update")
        one.peer.wait_registered()
    device = server.rest.wait_device(one.endpoint, lambda device: device and device["state"] == "registered")
    assert device["registrationId"] != before


def test_int_107(server, client, events):
    """The lifetime is written; the client announces it."""
    one = client(lifetime=20).start()
    server.rest.write(one.endpoint, "/1/0/1", 60)
    if one.kind == "ours":
        one.update("lt=60")
    else:
        one.peer.wait("EVENT updated")
    assert server.rest.device(one.endpoint)["lifetime"] == 60
    assert server.rest.value(one.endpoint, "/1/0/1") == 60


def test_int_108(server, client):
    one = client(query=["Q"]).start()
    assert server.rest.device(one.endpoint)["queueMode"] is True


def test_int_109(server, endpoint, events):
    """Nothing is sent after the window; a Read that was asked for is delivered after the next Update."""
    endpoint = "nb:" + endpoint
    with RawPeer(server.coap) as one:
        one.register(endpoint, "</1/0>,</3/0>", version="1.2", query=["Q"])
        events.next("asleep", endpoint)
        path = server.rest.device_path(endpoint, "resources/3/0/0") + "?source=device"
        operation = server.rest.accepted("GET", path)
        one.assert_silent(1)
        assert one.update().text == "2.04"
        request = one.expect_request(wire.GET, "/3/0/0")
        one.answer(request, "2.05", b"late but true", content_format=wire.TEXT)
        done = server.rest.wait_operation(operation["id"])
        assert done["result"]["answer"]["value"] == "late but true"


PROFILE = "6:27354b9a"  # of /1/0 and /3/0


def test_int_110(server, endpoint):
    """By profile alone: taken when it is known, else 4.09 and the client comes back with its list."""
    one = Ours(server.coap, endpoint, objects={1: {0: {1: 60}}, 3: {0: {0: "x"}}})
    try:
        answer = one.device.register_profile(PROFILE)
        assert answer.code.dotted == "2.01"
        assert ["/1/0", "/3/0"] == [entry["path"] for entry in server.rest.device(endpoint)["objects"]]
        assert server.rest.device(endpoint)["profileIds"] == [PROFILE]
        again = one.device.register_profile(PROFILE, fall_back=False)
        assert again.code.dotted == "2.01", "learned"
        assert ["/1/0", "/3/0"] == [entry["path"] for entry in server.rest.device(endpoint)["objects"]]
    finally:
        one.close()


def test_int_111(server, endpoint):
    """By profile and what is beyond it."""
    objects = {1: {0: {1: 60}}, 3: {0: {0: "x"}}, 4: {0: {0: 1}}}
    known = Ours(server.coap, endpoint + "-known", objects={1: objects[1], 3: objects[3]})
    one = Ours(server.coap, endpoint, objects=objects)
    try:
        known.device.register_profile(PROFILE)
        one.device.register_profile(PROFILE, "</4/0>")
        assert ["/1/0", "/3/0", "/4/0"] == [entry["path"] for entry in server.rest.device(endpoint)["objects"]]
    finally:
        one.close()
        known.close()
