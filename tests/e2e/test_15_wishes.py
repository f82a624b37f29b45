"""An observation is a wish: it outlives De-register, expiry, reboots, new addresses and our own death.

It keeps its id and its token until an operator cancels it or the device refuses it.
"""

import time

import pytest
from support import wire
from support.background import Background
from support.daemon import Daemon
from support.device12 import Device12
from support.raw import RawPeer
from support.settings import limit

HEAT, LEVEL = "/3303/0/5700", "/3/0/9"
LINKS = "</>;ct=112,</1/0>,</3/0>,</3303/0>"
QUICK = dict(shards=2, grace_s=1, ack_timeout_ms=200, max_retransmit=1)
SLEEPY = dict(nbiot_endpoints="nb:", nbiot_ack_timeout_ms=500, nbiot_max_retransmit=1)
WISHES = {
    "one": ((HEAT,), {}),
    "attributes": ((HEAT,), {"attributes": {"st": 0.5, "pmax": 3000}}),
    "composite": ((HEAT, LEVEL), {}),
    "composite-attributes": ((HEAT, "/3"), {"attributes": {"pmax": 3000}}),
}


@pytest.fixture(scope="module")
def server():
    with Daemon(**QUICK, **SLEEPY) as daemon:
        yield daemon


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


@pytest.fixture(params=WISHES)
def wish(request, server, device12):
    """(device, its observation)"""
    one = device12()
    return one, make(server.rest, one, request.param)


def make(rest, one, name="one"):
    paths, named = WISHES[name]
    return rest.observe(one.endpoint, *paths, **named)


def state(rest, one):
    return {entry["id"]: entry["state"] for entry in rest.observations(one.endpoint)}


def wait_state(rest, one, wanted):
    end = time.monotonic() + limit(15)
    while (found := state(rest, one)) != wanted:
        assert time.monotonic() < end, f"{found} instead of {wanted}"
        time.sleep(0.05)


def delivers(events, one, observation, value):
    """A change now comes as a notification of this observation."""
    one.set(HEAT, value)
    events.next(
        "notification",
        one.endpoint,
        wanted=lambda event: event["observation"] == observation["id"]
        and value in [told["value"] for told in event["values"]],
    )


def same(rest, one, observation):
    """What operators see of it has not changed."""
    (entry,) = rest.observations(one.endpoint)
    for name in ("id", "paths", "attributes"):
        assert entry[name] == observation[name], name


# -- what it outlives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["registers again", "de-registers", "reboots", "reboots elsewhere"])
def test_the_next_register_brings_it_back(server, events, wish, how):
    one, observation = wish
    if how == "de-registers":
        one.deregister()
        wait_state(server.rest, one, {observation["id"]: "pending"})
        same(server.rest, one, observation)
    elif how == "reboots":
        one.reboot()
    elif how == "reboots elsewhere":
        one.reboot("127.88.1.1")
    one.requests.clear()
    one.register()
    wait_state(server.rest, one, {observation["id"]: "active"})
    same(server.rest, one, observation)
    seen = one.requests[-1]
    assert seen.observe == 0 and sorted(seen.query) == sorted(
        f"{name}={value:g}" for name, value in observation["attributes"].items()
    )
    delivers(events, one, observation, 31.5)


def test_expiry(server, events, device12):
    one = device12(lifetime=1)
    observation = make(server.rest, one)
    events.next("expired", one.endpoint)
    assert state(server.rest, one) == {observation["id"]: "pending"}
    one.lifetime = 300
    one.reboot()
    one.register()
    wait_state(server.rest, one, {observation["id"]: "active"})
    delivers(events, one, observation, 32.5)


@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("when", ["registered", "away"])
def test_our_own_death(daemon, endpoint, how, when):
    one = daemon(**QUICK)
    with Device12(one.coap, endpoint) as device:
        device.register()
        wishes = [make(one.rest, device, name) for name in ("attributes", "composite")]
        if when == "away":
            device.deregister()
        getattr(one, how)()
        if when == "away":
            device.reboot()
        one.start(shards=3)
        device.requests.clear()
        expected = "pending" if when == "away" else "active"
        assert state(one.rest, device) == {wish["id"]: expected for wish in wishes}
        if when == "away":
            device.register()
            wait_state(one.rest, device, {wish["id"]: "active" for wish in wishes})
        else:
            assert device.requests == [], "the device did not notice anything"
        with one.rest.events() as events:
            for number, wish in enumerate(wishes):
                delivers(events, device, wish, 40.5 + number)


def test_death_between_register_and_observe(daemon, endpoint):
    """Killed when the new registration was answered and the observation not yet made again."""
    one = daemon(**QUICK)
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, LINKS, version="1.2")
        call = Background(one.rest.observe, endpoint, HEAT)
        first = peer.expect_request(wire.GET, HEAT)
        peer.answer(first, "2.05", b"1", content_format=wire.TEXT, observe=1)
        identifier = call.result()["id"]
        peer.register(endpoint, LINKS, version="1.2")
        again = peer.expect_request(wire.GET, HEAT)
        assert again.token == first.token, "the same interest"
        one.kill()
        one.start()
        assert [entry["id"] for entry in one.rest.observations(endpoint)] == [identifier]
        peer.update()
        third = peer.expect_request(wire.GET, HEAT, timeout=15)
        assert third.token == first.token and third.uint(wire.OBSERVE) == 0
        peer.answer(third, "2.05", b"2", content_format=wire.TEXT, observe=5)
        end = time.monotonic() + limit(10)
        while [entry["state"] for entry in one.rest.observations(endpoint)] != ["active"]:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_new_address_without_a_register(server, events, wish, peer):
    """An Update from elsewhere (NAT): notifications come from there, nothing is asked again."""
    one, observation = wish
    one.requests.clear()
    other = peer("127.89.1.1")
    other.location = one.location
    assert other.update().text == "2.04"
    token = bytes.fromhex(observation["id"])
    body = b'[{"n":"/3303/0/5700","v":51.5}]'
    other.notify(token, 5000, body, content_format=wire.SENML_JSON, type=wire.CON)
    event = events.next("notification", one.endpoint, wanted=lambda event: event["values"][0]["value"] == 51.5)
    assert event["observation"] == observation["id"]
    assert one.requests == []


# -- what ends it --------------------------------------------------------------------------------------------------------


def test_cancelled_is_cancelled(server, events, wish):
    one, observation = wish
    server.rest.cancel(one.endpoint, observation["id"])
    assert one.requests[-1].observe == 1
    one.reboot()
    one.requests.clear()
    one.register()
    one.update()
    time.sleep(0.4)
    assert one.requests == [] and state(server.rest, one) == {}


def test_cancelled_while_it_is_away(server, wish):
    one, observation = wish
    one.deregister()
    server.rest.cancel(one.endpoint, observation["id"])
    server.rest.problem("DELETE", server.rest.device_path(one.endpoint, "observations", observation["id"]), 404)
    one.reboot()
    one.requests.clear()
    one.register()
    time.sleep(0.4)
    assert one.requests == [] and state(server.rest, one) == {}


def test_refused_the_second_time(server, events, device12):
    """The device does not have that resource any more: the wish is over, and that is told."""
    one = device12()
    observation = make(server.rest, one)
    one.reboot()
    del one.objects[3303][0][5700]
    one.register()
    event = events.next("observation-ended", one.endpoint, wanted=lambda event: "4.04" in str(event))
    assert event["observation"] == observation["id"]
    wait_state(server.rest, one, {})


@pytest.mark.parametrize("code", ["4.04", "5.00"])
def test_ended_by_the_device(server, peer, endpoint, events, code):
    """A notification with an error ends it; the next registration does not bring it back."""
    one = peer()
    one.register(endpoint, LINKS, version="1.2")
    call = Background(server.rest.observe, endpoint, HEAT)
    request = one.expect_request(wire.GET, HEAT)
    one.answer(request, "2.05", b"1", content_format=wire.TEXT, observe=1)
    identifier = call.result()["id"]
    one.send(wire.Message(wire.NON, wire.code(code), one.mid(), request.token))
    assert events.next("observation-ended", endpoint)["observation"] == identifier


def test_silent_ones_are_asked_again(server, peer, endpoint):
    """No answer to the Observe of a new registration: asked again after the next Update."""
    one = peer()
    one.register(endpoint, LINKS, version="1.2")
    call = Background(server.rest.observe, endpoint, HEAT)
    request = one.expect_request(wire.GET, HEAT)
    one.answer(request, "2.05", b"1", content_format=wire.TEXT, observe=1)
    identifier = call.result()["id"]
    one.register(endpoint, LINKS, version="1.2")
    one.expect_request(wire.GET, HEAT)
    one.expect_request(wire.GET, HEAT)
    time.sleep(0.8)
    assert [(e["id"], e["state"]) for e in server.rest.observations(endpoint)] == [(identifier, "pending")]
    one.update()
    again = one.expect_request(wire.GET, HEAT)
    assert again.token == request.token
    one.answer(again, "2.05", b"2", content_format=wire.TEXT, observe=9)


# -- asked for while it sleeps or is away ------------------------------------------------------------------------------------


@pytest.fixture
def sleeper(server, device12, endpoint):
    one = device12(name="nb:" + endpoint, query=["Q"])
    with server.rest.events() as events:
        one.sleep()
        events.next("asleep", one.endpoint)
    one.requests.clear()
    return one


def test_wished_while_it_sleeps(server, events, sleeper):
    path = server.rest.device_path(sleeper.endpoint, "observations")
    answer = server.rest.request("POST", path, {"paths": [HEAT], "attributes": {"st": 1}})
    assert answer.status == 202 and answer.json["state"] == "pending", answer
    assert answer.headers["Location"].endswith(answer.json["id"])
    assert state(server.rest, sleeper) == {answer.json["id"]: "pending"}
    assert sleeper.missed == []
    sleeper.wake()
    sleeper.update()
    assert sleeper.seen("GET", HEAT).query == ["st=1"]
    end = time.monotonic() + limit(10)
    while [entry["state"] for entry in server.rest.observations(sleeper.endpoint)] != ["active"]:
        assert time.monotonic() < end, server.rest.observations(sleeper.endpoint)
        time.sleep(0.05)
    (observation,) = server.rest.observations(sleeper.endpoint)
    delivers(events, sleeper, observation, 44.5)


def test_cancelled_while_it_sleeps(server, events, device12, endpoint):
    one = device12(name="nb:" + endpoint, query=["Q"])
    observation = server.rest.observe(one.endpoint, HEAT, attributes={"con": 1})
    one.sleep()
    events.next("asleep", one.endpoint)
    server.rest.cancel(one.endpoint, observation["id"])
    assert one.missed == [] and state(server.rest, one) == {}
    one.wake()
    one.requests.clear()
    one.set(HEAT, 60.5)
    one.update()
    time.sleep(0.5)
    assert not [
        event for event in events.drain(0.3) if event.kind == "notification" and event["endpoint"] == one.endpoint
    ]
    assert state(server.rest, one) == {}
    assert one.watches == [], "a notification of what nobody wants is rejected"


def test_wished_and_cancelled_while_it_sleeps(server, sleeper):
    path = server.rest.device_path(sleeper.endpoint, "observations")
    server.rest.request("POST", path, {"paths": [HEAT]})
    for entry in server.rest.observations(sleeper.endpoint):
        server.rest.cancel(sleeper.endpoint, entry["id"])
    sleeper.wake()
    sleeper.update()
    time.sleep(0.5)
    assert sleeper.requests == [] and sleeper.watches == []


def test_a_wish_that_sleeps_survives_death(daemon, endpoint):
    one = daemon(**QUICK, **SLEEPY)
    with Device12(one.coap, "nb:" + endpoint, query=["Q"]) as device:
        device.register()
        with one.rest.events() as events:
            device.sleep()
            events.next("asleep", device.endpoint)
        answer = one.rest.request(
            "POST", one.rest.device_path(device.endpoint, "observations"), {"paths": [HEAT, LEVEL]}
        )
        assert answer.status in (201, 202), answer
        one.kill()
        one.start()
        device.requests.clear()
        device.wake()
        device.update()
        device.seen("FETCH", "/")
        device.wait_until(lambda: len(device.watches) == 1)


def test_the_same_wish_twice_is_one(server, device12):
    one = device12()
    first, second = make(server.rest, one), make(server.rest, one)
    assert first["id"] == second["id"] and len(state(server.rest, one)) == 1
    third = make(server.rest, one, "attributes")
    assert third["id"] != first["id"] and len(state(server.rest, one)) == 2


def test_many_wishes_come_back_one_at_a_time(server, device12, events):
    one = device12()
    one.objects[3303] = {number: {5700: float(number)} for number in range(20)}
    one.update(links=True)
    identifiers = {server.rest.observe(one.endpoint, f"/3303/{number}/5700")["id"] for number in range(20)}
    one.reboot()
    one.requests.clear()
    one.register()
    wait_state(server.rest, one, dict.fromkeys(identifiers, "active"))
    assert len(one.requests) == 20 and len(one.watches) == 20
