"""Queue mode: what is asked while a device sleeps, when it is sent, and what is answered meanwhile.

The devices of these tests are of a kind of network whose window is two seconds: MAX_TRANSMIT_WAIT of its
transmission parameters.
"""

import sqlite3
import time

import pytest
from support import formats, wire
from support.background import Background
from support.daemon import Daemon
from support.device12 import Device12
from support.raw import RawPeer
from support.settings import TIMEOUT_SCALE, limit

SLOW = min(TIMEOUT_SCALE, 2)
SLEEPY = dict(nbiot_endpoints="nb:", nbiot_ack_timeout_ms=int(500 * SLOW), nbiot_max_retransmit=1)
WINDOW = 2.0 * SLOW  # 500 ms * 3 * 1.5, whole seconds
LINKS = "</>;ct=112,</1/0>,</3/0>,</3303/0>"
NAME, HEAT = "/3303/0/5750", "/3303/0/5700"


@pytest.fixture(scope="module")
def server():
    with Daemon(shards=2, grace_s=1, ack_timeout_ms=300, **SLEEPY) as daemon:
        yield daemon


@pytest.fixture
def endpoint(endpoint):
    return "nb:" + endpoint


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


@pytest.fixture
def one(device12):
    """Registered in queue mode, awake."""
    return device12(query=["Q"])


@pytest.fixture
def asleep(server, events, one):
    """The same, asleep and known to be."""
    return put_to_sleep(server, events, one)


def put_to_sleep(server, events, one):
    one.sleep()
    events.next("asleep", one.endpoint)
    assert server.rest.device(one.endpoint)["state"] == "asleep"
    one.requests.clear()
    return one


def wake(one):
    one.wake()
    one.update()


def path_of(rest, one, path, query=""):
    return rest.device_path(one.endpoint, "resources", path) + query


def asked(one):
    return [(request.method, request.path) for request in one.requests]


# -- the window ---------------------------------------------------------------------------------------------------


def test_the_window(server, one, events):
    """Awake for as long as its network needs after its last message, then asleep, and that is told."""
    begun = time.monotonic()
    device = server.rest.device(one.endpoint)
    assert device["state"] == "registered" and device["queueMode"] is True and device["awakeUntil"]
    time.sleep(1)
    one.update()
    events.next("asleep", one.endpoint)
    assert time.monotonic() - begun > 1 + WINDOW - 1.1, "the Update begins a new one"
    assert server.rest.device(one.endpoint)["state"] == "asleep"
    one.update()
    assert events.next("awake", one.endpoint)
    assert server.rest.device(one.endpoint)["state"] == "registered"


def test_a_device_that_answers_is_awake(server, one, events):
    for _ in range(5):
        time.sleep(0.8)
        server.rest.write(one.endpoint, NAME, "x")
    assert not [event for event in events.drain(0.1) if event.kind == "asleep" and event["endpoint"] == one.endpoint]
    assert events.next("asleep", one.endpoint)


def test_the_window_that_is_configured(daemon, endpoint):
    one = daemon(awake_window_s=5)
    with Device12(one.coap, endpoint.removeprefix("nb:"), query=["Q"]) as device, one.rest.events() as events:
        begun = time.monotonic()
        device.register()
        events.next("asleep", device.endpoint, seconds=12)
        assert time.monotonic() - begun > 3.9


def test_without_queue_mode_nobody_sleeps(server, device12, events):
    one = device12()
    assert not [e for e in events.drain(WINDOW + 1.2) if e.kind == "asleep" and e["endpoint"] == one.endpoint]
    device = server.rest.device(one.endpoint)
    assert device["state"] == "registered" and "awakeUntil" not in device


@pytest.mark.parametrize("version, binding", [("1.0", "UQ"), ("1.1", "UQ"), ("1.0", "UQS")])
def test_queue_mode_in_the_binding(server, device12, events, version, binding):
    one = device12(version=version, binding=binding, formats=[11542, 0])
    put_to_sleep(server, events, one)
    assert server.rest.device(one.endpoint)["queueMode"] is True


def test_presence_in_order(server, device12, events):
    one = device12(query=["Q"], lifetime=int(WINDOW) + 1)
    one.sleep()
    kinds = [events.next(("registered", "asleep", "overdue", "expired"), one.endpoint).kind for _ in range(4)]
    assert kinds == ["registered", "asleep", "overdue", "expired"]


def test_overdue_and_back(server, device12, events):
    one = device12(query=["Q"], lifetime=1)
    events.next("overdue", one.endpoint)
    one.update(["lt=60"])
    assert server.rest.device(one.endpoint)["state"] == "registered"
    assert not [e for e in events.drain(2) if e.kind == "expired" and e["endpoint"] == one.endpoint]


# -- asked while it sleeps ---------------------------------------------------------------------------------------------

ASKED = {
    "write": ("PUT", "resources/3303/0/5750", {"value": "night"}, "PUT", NAME),
    "update": ("POST", "resources/3442/0", {"values": [{"path": "/3442/0/120", "value": 4}]}, "POST", "/3442/0"),
    "execute": ("POST", "resources/3/0/4", None, "POST", "/3/0/4"),
    "create": ("POST", "resources/3442", {"instance": 9, "values": [{"path": "/3442/9/120", "value": 1}]}, "POST", "/3442"),
    "delete": ("DELETE", "resources/3442/0", None, "DELETE", "/3442/0"),
    "discover": ("GET", "discover/3303", None, "GET", "/3303"),
    "attributes": ("PUT", "attributes/3303/0/5700", {"pmin": 5}, "PUT", HEAT),
    "read": ("GET", "resources/3303/0?source=device", None, "GET", "/3303/0"),
    "read-composite": ("POST", "resources:read?source=device", {"paths": ["/3/0/0", "/3/0/1"]}, "FETCH", "/"),
    "write-composite": ("POST", "resources:write", {"values": [{"path": NAME, "value": "n"}]}, "iPATCH", "/"),
}


@pytest.mark.parametrize("name", ASKED)
def test_everything_waits_for_the_device(server, asleep, name):
    method, path, body, on_wire, target = ASKED[name]
    url = server.rest.device_path(asleep.endpoint) + "/" + path
    operation = server.rest.accepted(method, url, body)
    assert operation["state"] == "queued" and operation["endpoint"] == asleep.endpoint
    time.sleep(0.5)
    assert asleep.missed == [], "nothing is sent to a device that sleeps"
    wake(asleep)
    asleep.seen(on_wire, target)
    done = server.rest.wait_operation(operation["id"])
    assert done["state"] == "done", done
    if name == "read":
        assert HEAT in [value["path"] for value in done["result"]["answer"]["values"]], done["result"]
    if name == "discover":
        assert "</3303/0>" in done["result"]["links"]


@pytest.mark.parametrize("query", [[], ["lt=500"], ["lt=501", "b=UT"]], ids=["renews", "changes", "changes more"])
def test_drained_one_at_a_time_after_the_update(server, peer, endpoint, events, query):
    """The Update is answered first, also when the store has to hear of it; then one request after the other."""
    one = peer()
    one.register(endpoint, LINKS, version="1.2", query=["Q"])
    events.next("asleep", endpoint)
    for number in range(4):
        path = server.rest.device_path(endpoint, "resources", NAME)
        server.rest.accepted("PUT", path, {"value": f"v{number}"})
    one.assert_silent(0.3)
    busy = sqlite3.connect(server.config["data_dir"] / "lwm2m.db", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")  # the store is slow
    update = one.send(
        wire.Message(wire.CON, wire.POST, one.mid(), b"tokn", wire.options(one.location, query))
    )
    time.sleep(0.3)
    busy.execute("ROLLBACK")
    busy.close()
    answer = one.receive()
    assert (answer.mid, answer.text) == (update.mid, "2.04"), "before anything is asked"
    for number in range(4):
        request = one.expect_request(wire.PUT, NAME)
        assert request.payload.endswith(b"v%d" % number)
        one.assert_silent(0.15)
        one.answer(request, "2.04")
    one.assert_silent(0.3)


@pytest.mark.parametrize("how", ["update", "send", "register"])
def test_any_message_wakes(server, asleep, how):
    operation = server.rest.accepted("PUT", path_of(server.rest, asleep, NAME), {"value": how})
    asleep.wake()
    if how == "update":
        asleep.update(["lt=900"])
    elif how == "send":
        asleep.send_values({HEAT: 3.5})
    else:
        asleep.register()
    assert server.rest.wait_operation(operation["id"])["state"] == "done"
    assert asleep.get(NAME) == how


def test_a_notification_wakes(server, events, one):
    server.rest.observe(one.endpoint, HEAT)
    put_to_sleep(server, events, one)
    operation = server.rest.accepted("PUT", path_of(server.rest, one, NAME), {"value": "heard"})
    one.wake()
    one.set(HEAT, 30.25)
    assert server.rest.wait_operation(operation["id"])["state"] == "done"


def test_patience(server, asleep):
    """Prefer: wait also waits for the device to wake."""
    call = Background(
        server.rest.request,
        "PUT",
        path_of(server.rest, asleep, NAME),
        {"value": "patient"},
        headers={"Prefer": "wait=20"},
        timeout=30,
    )
    time.sleep(1)
    assert call.running
    wake(asleep)
    assert call.result().status == 204


def test_impatience_ends_when_it_falls_asleep(server, one):
    """A request that waits for an awake device does not hang when that stops to answer."""
    one.sleep()  # and we do not know
    answer = server.rest.request("PUT", path_of(server.rest, one, NAME), {"value": "x"}, timeout=60)
    assert answer.status in (202, 504), answer
    assert one.missed
    one.requests.clear()
    wake(one)
    one.seen("PUT", NAME)
    one.wait_until(lambda: one.get(NAME) == "x")


def test_who_sleeps_earlier_than_thought(server, one, events):
    """A request without an answer shows that it sleeps; what was asked is asked again, once."""
    one.sleep()
    identifier = server.rest.accepted(
        "PUT", path_of(server.rest, one, NAME), {"value": "y"}, headers={"Prefer": "respond-async"}
    )["id"]
    events.next("asleep", one.endpoint)
    missed = len(one.missed)
    assert missed == 2, "one request and its retransmission"
    time.sleep(1)
    assert len(one.missed) == missed
    wake(one)
    assert server.rest.wait_operation(identifier)["state"] == "done"
    assert asked(one) == [("PUT", NAME)]


def test_it_wakes_elsewhere(server, asleep, peer):
    """An Update from another address: what waited goes there."""
    operation = server.rest.accepted("PUT", path_of(server.rest, asleep, NAME), {"value": "moved"})
    other = peer("127.91.1.1")
    other.location = asleep.location
    assert other.update().text == "2.04"
    request = other.expect_request(wire.PUT, NAME)
    other.answer(request, "2.04")
    assert server.rest.wait_operation(operation["id"])["state"] == "done"
    assert asleep.missed == []


def test_it_sleeps_over_its_lifetime(server, device12, events):
    """The registration ends; the operation waits for the next one."""
    one = device12(query=["Q"], lifetime=int(WINDOW) + 1)
    put_to_sleep(server, events, one)
    operation = server.rest.accepted("PUT", path_of(server.rest, one, NAME), {"value": "later"})
    events.next("expired", one.endpoint)
    assert server.rest.operation(operation["id"])["state"] == "queued"
    one.wake()
    one.register()
    assert server.rest.wait_operation(operation["id"])["state"] == "done" and one.get(NAME) == "later"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_restart_while_it_sleeps(daemon, endpoint, how):
    one = daemon(shards=2, **SLEEPY)
    with Device12(one.coap, endpoint, query=["Q"]) as device:
        with one.rest.events() as events:
            device.register()
            put_to_sleep(one, events, device)
        identifiers = [
            one.rest.accepted("PUT", path_of(one.rest, device, NAME), {"value": f"v{number}"})["id"]
            for number in range(3)
        ]
        time.sleep(1)  # whole seconds are kept of when it was heard
        getattr(one, how)()
        one.start(shards=3)
        assert one.rest.device(endpoint)["state"] == "asleep"
        time.sleep(0.5)
        assert device.missed == [], "a restart is no reason to wake anybody"
        wake(device)
        for identifier in identifiers:
            assert one.rest.wait_operation(identifier)["state"] == "done"
        assert device.get(NAME) == "v2" and asked(device) == [("PUT", NAME)] * 3


# -- reading while it sleeps -----------------------------------------------------------------------------------------------


def read(rest, one, path=HEAT, query=""):
    return rest.request("GET", path_of(rest, one, path, query))


def recorded(rest, one, path=HEAT):
    """The record of values is written a moment after they were told."""
    end = time.monotonic() + limit(5)
    while not [value for value in rest.history(one.endpoint, path=path)]:
        assert time.monotonic() < end, f"nothing of {path} in the history"
        time.sleep(0.05)


def test_auto_answers_with_what_was_told(server, events, one):
    assert server.rest.value(one.endpoint, HEAT) == 22.5
    recorded(server.rest, one)
    put_to_sleep(server, events, one)
    time.sleep(1.1)
    answer = read(server.rest, one)
    assert answer.status == 200 and answer.json["value"] == 22.5 and answer.json["stale"] is True
    assert answer.json["origin"] == "read" and int(answer.headers["Age"]) >= 1
    assert one.missed == []
    one.wake()
    one.set(HEAT, 23.5)
    one.update()
    fresh = read(server.rest, one)
    assert fresh.json["value"] == 23.5 and "stale" not in fresh.json and fresh.headers["Age"] is None


def test_auto_without_anything_told_is_an_operation(server, asleep):
    answer = read(server.rest, asleep)
    assert answer.status == 202 and answer.json["operation"]["state"] == "queued"
    wake(asleep)
    done = server.rest.wait_operation(answer.json["operation"]["id"])
    assert done["result"]["answer"]["value"] == 22.5


def test_device_never_answers_from_memory(server, events, one):
    server.rest.value(one.endpoint, HEAT)
    recorded(server.rest, one)
    put_to_sleep(server, events, one)
    answer = read(server.rest, one, query="?source=device")
    assert answer.status == 202
    one.objects[3303][0][5700] = 1.25
    wake(one)
    done = server.rest.wait_operation(answer.json["operation"]["id"])
    assert done["result"]["answer"]["value"] == 1.25


def test_cache_never_asks(server, one):
    problem = server.rest.problem("GET", path_of(server.rest, one, HEAT, "?source=cache"), 404)
    assert problem["type"].endswith("not-cached")
    server.rest.value(one.endpoint, HEAT)
    recorded(server.rest, one)
    one.requests.clear()
    answer = read(server.rest, one, query="?source=cache")
    assert answer.status == 200 and answer.json["value"] == 22.5 and answer.headers["Age"] is not None
    assert one.requests == []
    server.rest.problem("GET", path_of(server.rest, one, HEAT, "?source=guess"), 400)


def test_max_age(server, one):
    server.rest.value(one.endpoint, HEAT)
    recorded(server.rest, one)
    one.requests.clear()
    assert read(server.rest, one, query="?max-age=60").json["value"] == 22.5
    assert one.requests == []
    time.sleep(1.2)
    one.update()
    one.objects[3303][0][5700] = 2.5
    assert read(server.rest, one, query="?max-age=0").json["value"] == 2.5
    assert asked(one) == [("GET", HEAT)]
    server.rest.problem("GET", path_of(server.rest, one, HEAT, "?max-age=soon"), 400)


ORIGINS = {
    "read": lambda server, one: server.rest.value(one.endpoint, HEAT),
    "notify": lambda server, one: server.rest.observe(one.endpoint, HEAT),
    "send": lambda server, one: one.send_values({HEAT: 22.5}),
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_where_a_value_is_from(server, one, origin):
    ORIGINS[origin](server, one)
    recorded(server.rest, one)
    assert read(server.rest, one, query="?source=cache").json["origin"] == origin


def test_what_was_written_is_known(server, one):
    server.rest.write(one.endpoint, NAME, "written")
    recorded(server.rest, one, NAME)
    answer = read(server.rest, one, NAME, "?source=cache").json
    assert (answer["value"], answer["origin"]) == ("written", "write")


def test_wider_reads_from_memory(server, events, one):
    """An instance, an object and several paths, as of what was told of them; the Age is that of the oldest."""
    server.rest.values(one.endpoint, "/3303/0")
    one.send_values({"/3/0/9": 55})
    recorded(server.rest, one, "/3/0/9")
    recorded(server.rest, one, "/3303/0/5601")
    put_to_sleep(server, events, one)
    answer = read(server.rest, one, "/3303")
    assert answer.json["stale"] is True and answer.headers["Age"] is not None
    found = {value["path"]: value["value"] for value in answer.json["values"]}
    assert found == {f"/3303/0/{number}": value for number, value in one.objects[3303][0].items()}
    many = server.rest.read_many(one.endpoint, "/3303/0/5700", "/3/0", source="auto")
    assert many == {"/3303/0/5700": 22.5, "/3/0/9": 55}
    many = server.rest.read_many(one.endpoint, "/3303/0/5700", source="cache")
    assert many == {"/3303/0/5700": 22.5}
    assert one.missed == []


def test_memory_outlives_a_restart_and_the_registration(daemon, endpoint):
    one = daemon(**SLEEPY)
    with Device12(one.coap, endpoint) as device:
        device.register()
        one.rest.value(endpoint, HEAT)
        recorded(one.rest, device)
        one.stop()
        one.start()
        device.deregister()
        answer = read(one.rest, device)
        assert answer.json["value"] == 22.5 and answer.json["stale"] is True


# -- history ---------------------------------------------------------------------------------------------------------------


def wait_history(rest, endpoint, count, **query):
    end = time.monotonic() + limit(5)
    while len(found := rest.history(endpoint, **query)) < count:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("number", [formats.SENML_CBOR, formats.SENML_JSON], ids=["cbor", "json"])
def test_history_has_every_timestamp(server, one, number):
    begun = 1700000000
    series = [(HEAT, 20 + index / 4, begun + index * 60) for index in range(12)]
    one.send_series(series[:8] + [("/3/0/9", 80, begun + 30)], number)
    one.send_series(series[8:], number)
    found = wait_history(server.rest, one.endpoint, 12, path=HEAT, limit=5)
    assert [(value["path"], value["value"], value["origin"]) for value in found] == [
        (HEAT, value, "send") for _, value, _ in reversed(series)
    ]
    assert found[0]["time"] == "2023-11-14T22:24:20.000Z" and found[-1]["time"] == "2023-11-14T22:13:20.000Z"
    some = server.rest.history(
        one.endpoint, path=HEAT, **{"from": "2023-11-14T22:14:20Z", "to": "2023-11-14T22:16:20Z"}
    )
    assert {20.25, 20.5} <= {value["value"] for value in some} <= {20.25, 20.5, 20.75}
    assert len(server.rest.history(one.endpoint)) == 13
    assert {value["path"] for value in server.rest.history(one.endpoint, path="/3303")} == {HEAT}
    latest = read(server.rest, one, query="?source=cache").json
    assert latest["value"] == series[-1][1] and latest["time"].startswith("2023-11-14T22:24:20")


def test_older_values_do_not_replace_newer_ones(server, one):
    one.send_series([(HEAT, 9.0, 1700000600)])
    one.send_series([(HEAT, 1.0, 1700000000)])
    wait_history(server.rest, one.endpoint, 2, path=HEAT)
    assert read(server.rest, one, query="?source=cache").json["value"] == 9.0


def test_what_it_told_nobody_while_it_slept(server, events, one):
    """hqmax: notifications that were kept come with their times."""
    server.rest.set_attributes(one.endpoint, HEAT, {"hqmax": 3})
    server.rest.observe(one.endpoint, HEAT)
    put_to_sleep(server, events, one)
    for value in (1.5, 2.5, 3.5, 4.5):
        one.set(HEAT, value)
        one.wait_until(lambda value=value: value in [told[HEAT] for _, told in one.watches[0].stored])
        time.sleep(0.01)
    one.wake()
    event = events.next("notification", one.endpoint)
    assert [value["value"] for value in event["values"]] == [2.5, 3.5, 4.5]
    assert len({value["time"] for value in event["values"]}) == 3
    found = wait_history(server.rest, one.endpoint, 4, path=HEAT)
    assert [value["value"] for value in found[:3]] == [4.5, 3.5, 2.5]


@pytest.mark.parametrize("query", ["path=3303", "from=yesterday", "to=1", "cursor=zz", "limit=-1"])
def test_history_of_nothing(server, one, query):
    answer = server.rest.get(server.rest.device_path(one.endpoint, "history") + "?" + query)
    assert answer.status in (400, 422) and answer.type == "application/problem+json", answer
    server.rest.problem("GET", server.rest.device_path("nobody:" + one.endpoint, "history"), 404)


def test_timeline(server, events, one):
    """Everything that happened to a device, newest first, also after a restart."""
    put_to_sleep(server, events, one)
    server.rest.accepted("PUT", path_of(server.rest, one, NAME), {"value": "z"})
    wake(one)
    one.seen("PUT", NAME)
    one.deregister()
    events.next("deregistered", one.endpoint)
    one.request("POST", "/rd", [f"ep={one.endpoint}", "lwm2m=9.9", "lt=60"], b"</1/0>", formats.LINK)
    end = time.monotonic() + limit(5)
    while True:
        found = [entry["type"] for entry in server.rest.timeline(one.endpoint, limit=3)][::-1]
        if {"registered", "asleep", "awake", "deregistered", "operation"} <= set(found):
            break
        assert time.monotonic() < end, found
        time.sleep(0.1)
    order = [kind for kind in found if kind in ("registered", "asleep", "awake", "deregistered")]
    assert order == ["registered", "asleep", "awake", "deregistered"]


def test_timeline_of_a_refusal(server, one):
    """Failed attempts are there, with their reason."""
    answer = one.request("POST", "/rd", [f"ep={one.endpoint}", "lwm2m=9.9", "lt=60"], b"</1/0>", formats.LINK)
    assert answer.code.dotted == "4.12"
    end = time.monotonic() + limit(5)
    while not (found := [e for e in server.rest.timeline(one.endpoint) if e["type"] == "refused"]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "version" in found[0]["reason"].lower()


def test_raw_peers_see_no_more_than_they_should(server, endpoint):
    """After its window, until it speaks: silence, whatever operators ask."""
    with RawPeer(server.coap, "127.92.1.1") as one:
        one.register(endpoint, LINKS, version="1.1", query=["Q"])
        time.sleep(WINDOW + 1.2)
        for _ in range(3):
            server.rest.accepted("PUT", server.rest.device_path(endpoint, "resources", NAME), {"value": "q"})
        server.rest.request("GET", server.rest.device_path(endpoint, "resources", HEAT))
        one.assert_silent(1.5)
