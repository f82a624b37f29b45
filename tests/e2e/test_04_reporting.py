"""Observe, notifications, cancel, Send, and the event stream that carries them to operators."""

import json
import re
import time

import cbor2
import pytest
from support import formats, wire
from support.background import Background

LINKS = '</>;ct="110 112",</1/0>,</3/0>,</3303/0>'


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


def observe_raw(server, one, endpoint, path="/3303/0/5700", body=b"22.5"):
    """Observation of a raw peer; returns the REST answer and the request, whose token notifications carry."""
    call = Background(server.rest.observe, endpoint, path)
    request = one.expect_request(wire.GET, path)
    assert request.uint(wire.OBSERVE) == 0
    assert 4 <= len(request.token) <= 8
    one.answer(request, "2.05", body, observe=1, content_format=wire.TEXT)
    return call.result(), request


# -- observe ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "have", [formats.TLV, formats.SENML_JSON, formats.SENML_CBOR], ids=["tlv", "senml-json", "senml-cbor"]
)
def test_observe_and_notify(server, device, events, have):
    one = device(formats=[have], advertise=[have])
    observation = server.rest.observe(one.endpoint, "/3303/0/5700")
    assert observation["paths"] == ["/3303/0/5700"]
    assert observation["state"] == "active"
    assert observation["id"] and observation["since"]
    for value in (23.5, -4.25, 1000000.5):
        one.set("/3303/0/5700", value)
        event = events.next(
            "notification",
            one.endpoint,
            wanted=lambda event, value=value: event["values"][0]["value"] == value,
        )
        assert event["values"][0]["path"] == "/3303/0/5700"
        assert event["values"][0]["type"] == "float"
    assert [entry["id"] for entry in server.rest.observations(one.endpoint)] == [observation["id"]]


def test_observe_an_instance_reports_all_of_it(server, device, events):
    one = device()
    server.rest.observe(one.endpoint, "/3303/0")
    one.set("/3303/0/5700", 9.5)
    event = events.next(
        "notification",
        one.endpoint,
        wanted=lambda event: {"path": "/3303/0/5700"}.items() <= event["values"][0].items()
        or len(event["values"]) > 1,
    )
    found = {value["path"]: value["value"] for value in event["values"]}
    assert found["/3303/0/5750"] == "cellar" and found["/3303/0/5700"] in (9.5, 22.5)


def test_cancel_from_the_operator(server, device, events):
    one = device()
    observation = server.rest.observe(one.endpoint, "/3303/0/5700")
    server.rest.cancel(one.endpoint, observation["id"])
    assert server.rest.observations(one.endpoint) == []
    assert one.seen("GET", "/3303/0/5700", count=2).observe == 1, "GET with Observe=1 tells the device"
    one.set("/3303/0/5700", 99.0)
    assert 99.0 not in [
        event["values"][0]["value"] for event in events.drain(0.7) if event.kind == "notification"
    ]
    server.rest.problem(
        "DELETE", server.rest.device_path(one.endpoint, "observations", observation["id"]), 404
    )


def test_cancel_uses_the_token_of_the_observation(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    observation, request = observe_raw(server, one, endpoint)
    call = Background(server.rest.cancel, endpoint, observation["id"])
    cancel = one.expect_request(wire.GET, "/3303/0/5700")
    assert cancel.uint(wire.OBSERVE) == 1 and cancel.token == request.token
    assert cancel.one(wire.ACCEPT) == request.one(wire.ACCEPT)
    one.answer(cancel, "2.05", b"22.5", content_format=wire.TEXT)
    call.result()


def test_observe_what_is_refused(server, device):
    one = device()
    one.behaviours["/3303/0/5700"] = lambda seen: "4.05"
    problem = server.rest.problem(
        "POST", server.rest.device_path(one.endpoint, "observations"), 502, {"paths": ["/3303/0/5700"]}
    )
    assert problem["coapCode"] == "4.05"
    assert not [entry for entry in server.rest.observations(one.endpoint) if entry["state"] == "active"]


def test_observe_answered_without_the_option_is_no_observation(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    call = Background(
        server.rest.request,
        "POST",
        server.rest.device_path(endpoint, "observations"),
        {"paths": ["/3303/0/5700"]},
    )
    one.answer(one.expect_request(wire.GET), "2.05", b"1", content_format=wire.TEXT)
    answer = call.result()
    assert answer.status >= 400 or answer.json["state"] == "refused", answer
    assert not [entry for entry in server.rest.observations(endpoint) if entry["state"] == "active"]


def test_attributes_in_the_observe_request(server, device):
    """1.2: valid for this observation only, as a query of the GET."""
    one = device(version="1.2", formats=[formats.SENML_JSON])
    server.rest.observe(one.endpoint, "/3303/0/5700", attributes={"pmin": 5, "pmax": 10})
    seen = one.seen("GET", "/3303/0/5700")
    assert seen.observe == 0 and sorted(seen.query) == ["pmax=10", "pmin=5"]


def test_attributes_for_an_older_client_are_written_first(server, device):
    """1.1 has no attributes in Observe: Write-Attributes, then a plain Observe."""
    one = device(version="1.1")
    server.rest.observe(one.endpoint, "/3303/0/5700", attributes={"pmin": 5, "pmax": 10})
    assert [(request.method, sorted(request.query)) for request in one.requests] == [
        ("PUT", ["pmax=10", "pmin=5"]),
        ("GET", []),
    ]


def test_observations_are_void_after_a_new_register(server, device, events):
    """The server redoes every wanted observation after each Register."""
    one = device()
    server.rest.observe(one.endpoint, "/3303/0/5700")
    one.register()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        observations = server.rest.observations(one.endpoint)
        again = [request for request in one.requests if request.method == "GET" and request.observe == 0]
        if len(again) >= 2 and observations and observations[0]["state"] == "active":
            break
        time.sleep(0.05)
    else:
        raise AssertionError(f"not observed again: {observations}")
    one.set("/3303/0/5700", 77.5)
    events.next("notification", one.endpoint, wanted=lambda event: event["values"][0]["value"] == 77.5)


# -- notifications, seen closely ----------------------------------------------------------------------------------


def test_confirmable_notification_is_acknowledged(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    sent = one.notify(request.token, 2, b"31.5", type=wire.CON)
    answer = one.receive()
    assert (answer.type, answer.code, answer.mid) == (wire.ACK, wire.EMPTY, sent.mid)
    events.next("notification", endpoint, wanted=lambda event: event["values"][0]["value"] == 31.5)


def test_non_confirmable_notification_is_not_answered(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    one.notify(request.token, 2, b"31.5")
    events.next("notification", endpoint, wanted=lambda event: event["values"][0]["value"] == 31.5)
    one.assert_silent(0.2)


@pytest.mark.parametrize("kind", [wire.CON, wire.NON], ids=["con", "non"])
def test_notification_with_an_unknown_token_is_reset(server, peer, endpoint, kind):
    one = peer()
    one.register(endpoint, LINKS)
    sent = one.notify(b"\x00unknown", 5, b"1", type=kind)
    answer = one.receive()
    assert (answer.type, answer.code, answer.mid) == (wire.RST, wire.EMPTY, sent.mid)


def test_stale_notifications_are_dropped(server, peer, endpoint, events):
    """RFC 7641 section 3.4: 24 bit sequence numbers that wrap; the older one arrives later."""
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    values = []
    for sequence, body in [
        (10, b"10"),
        (9, b"9"),
        (11, b"11"),
        (0xFFFFF0, b"-1"),
        (12, b"12"),
        ((1 << 23) + 5, b"13"),
        (0xFFFFFF, b"14"),
        (3, b"15"),
    ]:
        one.notify(request.token, sequence, body)
        time.sleep(0.02)
    end = time.monotonic() + 3
    while time.monotonic() < end and (not values or values[-1] != 15):
        values += [
            event["values"][0]["value"]
            for event in events.drain(0.1)
            if event.kind == "notification" and event["endpoint"] == endpoint
        ]
    # 0xFFFFF0 is not newer than 11; 2^23+5 is newer than 12, and so on around the circle
    assert values[values.index(10) :] == [10, 11, 12, 13, 14, 15]


def test_notification_that_repeats_the_sequence_number_is_taken(server, peer, endpoint, events):
    """Leshan does not count up when pmax alone makes it notify. Another message id tells it from a duplicate."""
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    for body in (b"50.5", b"51.5", b"52.5"):
        one.notify(request.token, 1, body, type=wire.CON)
        assert one.receive().type == wire.ACK
        events.next(
            "notification",
            endpoint,
            wanted=lambda event, body=body: event["values"][0]["value"] == float(body),
        )


def test_duplicated_notification_is_one_event(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    sent = one.notify(request.token, 4, b"41.5", type=wire.CON)
    for _ in range(3):
        one.send(sent)
    answers = [one.receive() for _ in range(4)]
    assert {(answer.type, answer.mid) for answer in answers} == {(wire.ACK, sent.mid)}
    found = [
        event
        for event in events.drain(1.0)
        if event.kind == "notification" and event["values"][0]["value"] == 41.5
    ]
    assert len(found) == 1


def test_error_notification_ends_the_observation(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    one.send(wire.Message(wire.NON, wire.code("4.04"), one.mid(), request.token))
    end = time.monotonic() + 5
    while [entry for entry in server.rest.observations(endpoint) if entry["state"] == "active"]:
        assert time.monotonic() < end, "still active"
        time.sleep(0.05)
    sent = one.notify(request.token, 7, b"1")
    answer = one.receive()
    assert (answer.type, answer.mid) == (wire.RST, sent.mid)


def test_notification_in_another_format_than_asked(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    one.notify(request.token, 2, formats.tlv_encode("/3303/0/5700", 5.25), content_format=wire.TLV)
    events.next("notification", endpoint, wanted=lambda event: event["values"][0]["value"] == 5.25)


def test_stored_notifications_carry_their_times(server, peer, endpoint, events):
    """SenML with base time: several values of one name, some of them old."""
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    pack = [{"bn": "/3303/0/5700", "bt": 1700000000, "v": 22.5}, {"v": 22.0, "t": -60}]
    one.notify(request.token, 2, json.dumps(pack).encode(), content_format=wire.SENML_JSON)
    event = events.next("notification", endpoint, wanted=lambda event: len(event["values"]) == 2)
    assert {(value["value"], value["time"][:19]) for value in event["values"]} == {
        (22.5, "2023-11-14T22:13:20"),
        (22.0, "2023-11-14T22:12:20"),
    }


def test_large_notification_is_fetched_in_blocks(server, peer, endpoint, events):
    """The first block comes in the notification, the rest by GET without Observe."""
    one = peer()
    one.register(endpoint, LINKS)
    _, request = observe_raw(
        server, one, endpoint, "/3303/0", formats.senml_json_encode("/3303/0", {5700: 1.5})
    )
    body = formats.senml_json_encode("/3303/0", {5700: 2.5, 5701: "x" * 900, 5750: "y" * 900})
    one.notify(
        request.token, 2, body[:512], content_format=wire.SENML_JSON, type=wire.CON, block2=(0, True, 5)
    )
    got, number = 512, 1
    while got < len(body):
        ask = one.expect_request(wire.GET, "/3303/0")
        assert ask.one(wire.OBSERVE) is None
        number, _, szx = ask.block(wire.BLOCK2)
        size = 16 << szx
        part = body[number * size : (number + 1) * size]
        got = number * size + len(part)
        one.answer(ask, "2.05", part, content_format=wire.SENML_JSON, block2=(number, got < len(body), szx))
    event = events.next("notification", endpoint, wanted=lambda event: len(event["values"]) == 3)
    assert {value["path"]: value["value"] for value in event["values"]}["/3303/0/5750"] == "y" * 900


def test_observation_survives_an_update_from_a_new_address(server, peer, endpoint, events):
    one, other = peer("127.0.0.1"), peer("127.201.7.7")
    one.register(endpoint, LINKS)
    _, request = observe_raw(server, one, endpoint)
    other.location = one.location
    assert other.update().text == "2.04"
    other.notify(request.token, 2, b"63.5", type=wire.CON)
    events.next("notification", endpoint, wanted=lambda event: event["values"][0]["value"] == 63.5)


# -- Send -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [formats.SENML_JSON, formats.SENML_CBOR], ids=["json", "cbor"])
def test_send(server, device, events, number):
    one = device()
    records = [
        {"bn": "/3303/0/", "n": "5700", "v": 22.5, "bt": 1700000000},
        {"n": "5700", "v": 22.0, "t": -60},
    ]
    if number == formats.SENML_JSON:
        payload = json.dumps(records).encode()
    else:
        payload = cbor2.dumps(
            [{-2: "/3303/0/", 0: "5700", 2: 22.5, -3: 1700000000}, {0: "5700", 2: 22.0, 6: -60}]
        )
    one.send(payload, number)
    event = events.next("send", one.endpoint)
    assert [(value["path"], value["value"], value["time"][:19]) for value in event["values"]] in (
        [("/3303/0/5700", 22.5, "2023-11-14T22:13:20"), ("/3303/0/5700", 22.0, "2023-11-14T22:12:20")],
        [("/3303/0/5700", 22.0, "2023-11-14T22:12:20"), ("/3303/0/5700", 22.5, "2023-11-14T22:13:20")],
    )


def test_send_without_times_is_now(server, device, events):
    one = device()
    one.send(b'[{"n":"/3/0/9","v":80}]')
    event = events.next("send", one.endpoint)
    assert event["values"][0]["value"] == 80
    assert event["values"][0].get("time", event["time"])[:4] >= "2024"


@pytest.mark.parametrize("szx", [0, 6])
def test_send_in_blocks(server, device, events, szx):
    one = device()
    records = [{"bn": "/3303/0/5700", "v": i, "t": -i} for i in range(120)]
    one.send(json.dumps(records).encode(), szx=szx)
    event = events.next("send", one.endpoint)
    assert sorted(value["value"] for value in event["values"]) == list(range(120))


def test_send_with_an_empty_token(server, peer, endpoint, events):
    """Wakaama does that."""
    one = peer()
    one.register(endpoint, LINKS)
    answer = one.request(
        wire.POST, "/dp", payload=b'[{"n":"/3/0/9","v":70}]', token=b"", content_format=wire.SENML_JSON
    )
    assert answer.text == "2.04" and answer.token == b""
    assert events.next("send", endpoint)["values"][0]["value"] == 70


def test_send_as_non_confirmable(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint, LINKS)
    one.request(
        wire.POST, "/dp", payload=b'[{"n":"/3/0/9","v":71}]', type=wire.NON, content_format=wire.SENML_JSON
    )
    assert events.next("send", endpoint)["values"][0]["value"] == 71


def test_send_refusals(server, peer, endpoint):
    stranger = peer("127.66.1.1")
    body = b'[{"n":"/3/0/9","v":70}]'
    answer = stranger.request(wire.POST, "/dp", payload=body, content_format=wire.SENML_JSON)
    assert answer.code >= wire.code("4.00"), "not registered"
    one = peer()
    one.register(endpoint, LINKS)
    for code, payload, number in [
        ("4.00", b"[{", wire.SENML_JSON),
        ("4.00", b"\x81", wire.SENML_CBOR),
        ("4.00", b"", wire.SENML_JSON),
        ("4.04", b'[{"n":"/3304/0/5700","v":1}]', wire.SENML_JSON),
    ]:
        answer = one.request(wire.POST, "/dp", payload=payload, content_format=number)
        assert answer.text == code, (payload, answer.text)
    for named in ({}, {"content_format": wire.LINK}, {"content_format": wire.TEXT}):
        answer = one.request(wire.POST, "/dp", payload=body, **named)
        assert answer.text in ("4.00", "4.15"), named


# -- the event stream -----------------------------------------------------------------------------------------------


def test_ids_rise_and_the_stream_resumes(server, peer, endpoint):
    one = peer()
    with server.rest.events() as events:
        one.register(endpoint)
        first = events.next("registered", endpoint)
    one.update(["lt=111"])
    one.update(["lt=112"])
    one.deregister()
    with server.rest.events(last_id=first.id) as events:
        seen = [events.next(endpoint=endpoint) for _ in range(3)]
    assert [event.kind for event in seen] == ["updated", "updated", "deregistered"]
    boots = {event.id.rsplit("-", 1)[0] for event in [first, *seen]}
    numbers = [int(event.id.rsplit("-", 1)[1]) for event in [first, *seen]]
    assert len(boots) == 1 and numbers == sorted(set(numbers))


def test_a_new_reader_sees_only_what_is_new(server, peer, endpoint):
    one = peer()
    one.register(endpoint)
    with server.rest.events() as events:
        one.update(["lt=99"])
        assert events.next(endpoint=endpoint).kind == "updated"


def test_ids_of_another_boot_get_a_gap(server, peer, endpoint):
    with server.rest.events(last_id="00000000-17") as events:
        assert events.next(seconds=5).kind == "gap"
        peer().register(endpoint)
        events.next("registered", endpoint)


def test_after_parameter_is_the_same_as_last_event_id(server, peer, endpoint):
    one = peer()
    with server.rest.events() as events:
        one.register(endpoint)
        first = events.next("registered", endpoint)
    one.update(["lt=111"])
    with server.rest.events(path=f"/v1/events?after={first.id}") as events:
        assert events.next(endpoint=endpoint).kind == "updated"


def test_many_readers_see_the_same(server, peer, endpoint):
    streams = [server.rest.events() for _ in range(20)]
    try:
        peer().register(endpoint)
        assert len({stream.next("registered", endpoint).id for stream in streams}) == 1
    finally:
        for stream in streams:
            stream.close()


def test_every_event_has_its_fields(server, peer, endpoint, events):
    one = peer()
    one.register(endpoint)
    one.update(["lt=100"])
    one.deregister()
    for kind in ("registered", "updated", "deregistered"):
        event = events.next(kind, endpoint)
        assert event["type"] == kind and event["id"] == event.id
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
