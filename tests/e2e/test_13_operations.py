"""Durable operations: what a device is asked outlives the request, the connection, the device's absence and us.

The devices are scripted (tests/support/raw.py), so that every answer can be lost, late or wrong. A device without
queue mode that was silent is asked again when it is heard.
"""

import time

import pytest
from support import wire
from support.background import Background
from support.daemon import Daemon
from support.raw import RawPeer

LINKS = "</>;ct=112,</1/0>,</3/0>,</3303/0>,</3303/1>"
NAME, OTHER, REBOOT = "/3303/0/5750", "/3303/1/5750", "/3/0/4"
QUICK = dict(ack_timeout_ms=150, max_retransmit=1, grace_s=1)  # an attempt is over after half a second


@pytest.fixture(scope="module")
def server():
    with Daemon(shards=2, **QUICK) as daemon:
        yield daemon


@pytest.fixture
def one(peer, endpoint):
    device = peer()
    device.endpoint = endpoint
    device.register(endpoint, LINKS, version="1.2")
    return device


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


def url(rest, endpoint, path, query=""):
    return rest.device_path(endpoint, "resources", path) + query


def put(rest, endpoint, path=NAME, value="x", query="", **headers):
    """The answer to a Write, while the test plays the device."""
    named = {name.replace("_", "-"): str(text) for name, text in headers.items()}
    return Background(rest.request, "PUT", url(rest, endpoint, path, query), {"value": value}, headers=named)


def execute(rest, endpoint, path="/3303/0/5605", query="", **headers):
    named = {name.replace("_", "-"): str(text) for name, text in headers.items()}
    return Background(rest.request, "POST", url(rest, endpoint, path, query), headers=named)


def later(rest, endpoint, path=NAME, value="x", query="", key=None):
    """A Write that nobody waits for: its id."""
    headers = {"Prefer": "respond-async", **({"Idempotency-Key": key} if key else {})}
    return rest.accepted("PUT", url(rest, endpoint, path, query), {"value": value}, headers=headers)["id"]


def accepted(call):
    answer = call.result()
    assert answer.status == 202, answer
    return answer.json["operation"]["id"]


def silence(device, *, path=None):
    """The request, with its retransmissions over: the device says nothing."""
    request = device.expect_request(path=path)
    device.expect_request(path=path)
    time.sleep(0.7)
    return request


def drain(device, seconds=0.3):
    """What else was sent is of no interest."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            device.receive_bytes(0.05)
        except AssertionError:
            pass


def value_of(request):
    return request.payload.decode(errors="replace")


# -- while the device is here --------------------------------------------------------------------------------------


def test_the_outcome_is_waited_for(server, one, events):
    call = put(server.rest, one.endpoint)
    request = one.expect_request(wire.PUT, NAME)
    (operation,) = server.rest.operations(endpoint=one.endpoint)
    assert operation["state"] == "sent" and operation["kind"] == "write" and operation["path"] == NAME
    assert operation["attempts"][0]["token"] == request.token.hex(), "stored before the datagram leaves"
    one.answer(request, "2.04")
    assert call.result().status == 204
    done = server.rest.operation(operation["id"])
    assert done["state"] == "done" and done["result"]["coapCode"] == "2.04"
    assert [attempt["code"] for attempt in done["attempts"]] == ["2.04"]
    assert done["attempts"][0]["sentAt"] <= done["attempts"][0]["answeredAt"] <= done["settledAt"]
    states = [
        event["operation"]["state"]
        for event in [events.next("operation", one.endpoint), *events.drain(0.3)]
        if event.kind == "operation" and event["endpoint"] == one.endpoint
    ]
    assert states[-1] == "done" and sorted(set(states), key=states.index) == states


def test_respond_async(server, one):
    identifier = later(server.rest, one.endpoint)
    one.answer(one.expect_request(wire.PUT, NAME), "2.04")
    assert server.rest.wait_operation(identifier)["state"] == "done"


def test_wait_so_long_and_no_longer(server, one):
    begun = time.monotonic()
    call = put(server.rest, one.endpoint, Prefer="wait=1")
    request = one.expect_request(wire.PUT, NAME)
    one.acknowledge(request)
    identifier = accepted(call)
    assert 0.8 < time.monotonic() - begun < 20
    assert server.rest.operation(identifier)["state"] == "sent"
    one.send(wire.Message(wire.CON, wire.code("2.04"), one.mid(), request.token))
    assert server.rest.wait_operation(identifier)["state"] == "done"


@pytest.mark.parametrize(
    "code, state", [("4.01", "rejected"), ("4.05", "rejected"), ("5.00", "device-error"), ("5.03", "device-error")]
)
def test_refusals(server, one, code, state):
    call = put(server.rest, one.endpoint)
    one.answer(one.expect_request(wire.PUT, NAME), code, b"because")
    answer = call.result()
    assert answer.status == 502 and answer.json["coapCode"] == code and answer.json["detail"] == "because"
    operation = server.rest.operation(answer.json["operation"])
    assert operation["state"] == state and operation["result"]["coapCode"] == code
    assert operation["result"]["detail"] == "because"


def test_reset_is_a_rejection(server, one):
    one.update()  # it has not just woken
    call = put(server.rest, one.endpoint)
    one.reset(one.expect_request(wire.PUT, NAME))
    assert call.result().status == 502
    (operation,) = server.rest.operations(endpoint=one.endpoint)
    assert operation["state"] == "rejected", operation


@pytest.mark.parametrize(
    "query, headers",
    [
        ("?ttl=x", {}),
        ("?ttl=99999999999", {}),
        ("?priority=urgent", {}),
        ("?retry=always", {}),
        ("", {"Idempotency-Key": "x" * 256}),
        ("", {"Idempotency-Key": ""}),
    ],
    ids=str,
)
def test_wishes_that_make_no_sense(server, one, query, headers):
    path = url(server.rest, one.endpoint, NAME, query)
    server.rest.problem("PUT", path, 400, {"value": "x"}, headers=headers)
    assert server.rest.operations(endpoint=one.endpoint) == []


def test_lists_and_pages(server, one):
    one.deregister()
    identifiers = [later(server.rest, one.endpoint, value=str(number)) for number in range(7)]
    assert [o["id"] for o in server.rest.operations(endpoint=one.endpoint, limit=3)] == identifiers[::-1]
    server.rest.ok("DELETE", f"/v1/operations/{identifiers[2]}")
    open_ones = server.rest.operations(endpoint=one.endpoint, state="open", limit=2)
    assert identifiers[2] not in [o["id"] for o in open_ones] and len(open_ones) == 6
    (cancelled,) = server.rest.operations(endpoint=one.endpoint, state="cancelled,done")
    assert cancelled["id"] == identifiers[2]
    server.rest.problem("GET", "/v1/operations?state=asleep", 400)
    server.rest.problem("GET", "/v1/operations?cursor=xyz", 400)
    server.rest.problem("GET", "/v1/operations/01234567-89ab-7def-8123-456789abcdef", 404)
    server.rest.problem("GET", "/v1/operations/nonsense", 404)


# -- order, priority, cancelling, time --------------------------------------------------------------------------------


def answered_in_order(one, count, method=None):
    """Answers `count` requests, each only when nothing else was sent meanwhile; their payloads."""
    found = []
    for _ in range(count):
        request = one.expect_request(method)
        found.append(value_of(request))
        one.answer(request, "2.04")
    return found


def test_one_at_a_time_and_in_order(server, one):
    for number in range(5):
        later(server.rest, one.endpoint, value=f"v{number}")
    first = one.expect_request(wire.PUT)
    one.acknowledge(first)
    one.assert_silent(0.4)
    one.answer_separately(first, "2.04")
    assert [payload[-2:] for payload in answered_in_order(one, 4)] == ["v1", "v2", "v3", "v4"]


def test_priority(server, one):
    later(server.rest, one.endpoint, value="first")
    first = one.expect_request(wire.PUT)
    one.acknowledge(first)
    for number, priority in enumerate(("low", "normal", "high", "low", "high")):
        later(server.rest, one.endpoint, OTHER, f"{priority}{number}", f"?priority={priority}")
    one.answer_separately(first, "2.04")
    wanted = ["high2", "high4", "normal1", "low0", "low3"]
    found = answered_in_order(one, 5)
    assert all(payload.endswith(value) for payload, value in zip(found, wanted)), found


def test_cancel_before_it_was_sent(server, one):
    later(server.rest, one.endpoint, value="first")
    first = one.expect_request(wire.PUT)
    one.acknowledge(first)
    second, third = later(server.rest, one.endpoint, value="second"), later(server.rest, one.endpoint, value="third")
    answer = server.rest.ok("DELETE", f"/v1/operations/{second}").json
    assert answer["id"] == second and answer["state"] == "cancelled"
    server.rest.problem("DELETE", f"/v1/operations/{second}", 409)
    one.answer_separately(first, "2.04")
    assert "third" in answered_in_order(one, 1)[0]
    assert server.rest.wait_operation(third)["state"] == "done"
    assert server.rest.operation(second)["attempts"] == []
    one.assert_silent(0.3)


def test_what_is_under_way_cannot_be_cancelled(server, one):
    identifier = later(server.rest, one.endpoint)
    request = one.expect_request(wire.PUT)
    one.acknowledge(request)
    problem = server.rest.problem("DELETE", f"/v1/operations/{identifier}", 409)
    assert "under way" in problem["detail"]
    one.answer_separately(request, "2.04")
    assert server.rest.wait_operation(identifier)["state"] == "done"
    server.rest.problem("DELETE", f"/v1/operations/{identifier}", 409)


@pytest.mark.parametrize("where", ["behind another", "away"])
def test_time_to_live(server, one, where):
    if where == "away":
        one.deregister()
    else:
        later(server.rest, one.endpoint, value="first")
        first = one.expect_request(wire.PUT)
        one.acknowledge(first)
    identifier = later(server.rest, one.endpoint, value="second", query="?ttl=1")
    assert server.rest.operation(identifier)["state"] == "queued"
    if where == "away":
        time.sleep(1.2)
        one.register(one.endpoint, LINKS, version="1.2")
    expired = server.rest.wait_operation(identifier)
    assert expired["state"] == "expired" and expired["attempts"] == [], expired
    if where != "away":
        one.answer_separately(first, "2.04")
    one.assert_silent(0.4)


@pytest.mark.parametrize("query", ["?ttl=0", ""], ids=["for ever", "as long as the rest"])
def test_equal_writes_that_wait_are_one(server, one, query):
    """Not across another write of the same path, which would change what comes last."""
    later(server.rest, one.endpoint, value="before", path=OTHER)
    before = one.expect_request(wire.PUT)
    one.acknowledge(before)
    first = later(server.rest, one.endpoint, value="same", query=query)
    time.sleep(0.05)
    assert later(server.rest, one.endpoint, value="same", query=query) == first
    between = later(server.rest, one.endpoint, value="between", query=query)
    last = later(server.rest, one.endpoint, value="same", query=query)
    assert len({first, between, last}) == 3
    one.answer_separately(before, "2.04")
    found = answered_in_order(one, 3)
    assert [name for payload in found for name in ("same", "between") if name in payload] == [
        "same",
        "between",
        "same",
    ]
    one.assert_silent(0.3)


def test_too_many(daemon, endpoint):
    """A full queue of the device is 429, whoever is here or away."""
    one = daemon(device_operations=4, **QUICK)
    with RawPeer(one.coap) as device:
        device.register(endpoint, LINKS, version="1.2")
        for number in range(4):
            later(one.rest, endpoint, value=str(number))
        device.acknowledge(device.expect_request(wire.PUT))
        answer = put(one.rest, endpoint, value="too much").result()
        assert answer.status == 429 and answer.type == "application/problem+json"


# -- the same request twice ----------------------------------------------------------------------------------------------


def test_idempotency_key(server, one):
    call = put(server.rest, one.endpoint, Idempotency_Key="k1")
    request = one.expect_request(wire.PUT)
    again = put(server.rest, one.endpoint, Idempotency_Key="k1").result()
    one.answer(request, "2.04")
    assert call.result().status == 204
    assert again.status in (202, 409), again
    (operation,) = server.rest.operations(endpoint=one.endpoint)
    assert operation["idempotencyKey"] == "k1"
    answer = put(server.rest, one.endpoint, Idempotency_Key="k1").result()
    assert answer.status == 200 and answer.json["operation"]["id"] == operation["id"]
    assert answer.json["operation"]["state"] == "done"
    one.assert_silent(0.3)


@pytest.mark.parametrize("changed", ["body", "path", "query"])
def test_a_key_is_for_one_request(server, one, changed):
    one.deregister()
    later(server.rest, one.endpoint, key="k2-" + one.endpoint)
    other = {"body": dict(value="y"), "path": dict(path=OTHER), "query": dict(query="?priority=high")}[changed]
    answer = put(
        server.rest, one.endpoint, Idempotency_Key="k2-" + one.endpoint, Prefer="respond-async", **other
    ).result()
    assert answer.status == 422 and answer.type == "application/problem+json", answer


def test_two_clients_with_one_key(server, one):
    """Whichever comes first: one operation, one datagram."""
    calls = [
        put(server.rest, one.endpoint, Idempotency_Key="k3-" + one.endpoint, Prefer="respond-async")
        for _ in range(8)
    ]
    one.answer(one.expect_request(wire.PUT), "2.04")
    found = {call.result().json["operation"]["id"] for call in calls}
    assert len(found) == 1 == len(server.rest.operations(endpoint=one.endpoint))
    one.assert_silent(0.4)


# -- silence ------------------------------------------------------------------------------------------------------------------


def test_a_write_is_repeated_when_the_device_is_heard(server, one):
    identifier = later(server.rest, one.endpoint)
    first = silence(one)
    assert server.rest.operation(identifier)["state"] == "sent"
    one.assert_silent(0.5)
    one.update()
    second = one.expect_request(wire.PUT)
    assert second.token != first.token and second.payload == first.payload
    one.answer(second, "2.04")
    done = server.rest.wait_operation(identifier)
    assert done["state"] == "done"
    assert [attempt["token"] for attempt in done["attempts"]] == [first.token.hex(), second.token.hex()]
    assert done["attempts"][0].get("code") is None and done["attempts"][0]["retransmissions"] == 1


def test_who_is_silent_is_not_asked_for_ever(server, one):
    identifier = later(server.rest, one.endpoint)
    for number in range(4):
        silence(one)
        one.update()
    state = server.rest.wait_operation(identifier)
    assert state["state"] == "unknown" and len(state["attempts"]) == 4
    one.assert_silent(0.4)


def test_an_execute_is_not_repeated(server, one, events):
    call = execute(server.rest, one.endpoint)
    request = silence(one)
    answer = call.result()
    assert answer.status == 504 and answer.type == "application/problem+json"
    (operation,) = server.rest.operations(endpoint=one.endpoint)
    assert operation["state"] == "unknown"
    one.update()
    one.assert_silent(0.5)
    one.send(wire.Message(wire.CON, wire.code("2.04"), one.mid(), request.token))
    done = server.rest.wait_operation(operation["id"], "done")
    assert done["late"] is True and done["result"]["coapCode"] == "2.04"
    event = events.next("operation", one.endpoint, wanted=lambda event: event["operation"]["state"] == "done")
    assert event["operation"]["late"] is True


def test_an_execute_is_repeated_when_that_is_allowed(server, one):
    call = execute(server.rest, one.endpoint, query="?retry=idempotent", Prefer="respond-async")
    identifier = accepted(call)
    first = silence(one)
    one.update()
    second = one.expect_request(wire.POST)
    assert second.token != first.token
    one.answer(second, "2.04")
    assert server.rest.wait_operation(identifier)["state"] == "done"


@pytest.mark.parametrize("code, state", [("2.04", "done"), ("4.05", "rejected"), ("5.00", "device-error")])
def test_late_answers(server, one, code, state):
    identifier = accepted(execute(server.rest, one.endpoint, Prefer="respond-async"))
    request = silence(one)
    assert server.rest.wait_operation(identifier)["state"] == "unknown"
    one.send(wire.Message(wire.NON, wire.code(code), one.mid(), request.token))
    assert server.rest.wait_operation(identifier, state)["late"] is True


def test_late_answers_of_others_do_not_count(server, one, peer):
    identifier = accepted(execute(server.rest, one.endpoint, Prefer="respond-async"))
    request = silence(one)
    assert server.rest.wait_operation(identifier)["state"] == "unknown"
    stranger = peer("127.77.1.1")
    stranger.send(wire.Message(wire.NON, wire.code("2.04"), 7, request.token))
    one.send(wire.Message(wire.NON, wire.code("2.04"), one.mid(), request.token[:-1] + b"!"))
    time.sleep(0.4)
    assert server.rest.operation(identifier)["state"] == "unknown"


def test_the_answer_to_an_attempt_that_was_given_up(server, one):
    """The first attempt was carried out after all, and says so while the second is under way."""
    identifier = later(server.rest, one.endpoint)
    first = silence(one)
    one.update()
    second = one.expect_request(wire.PUT)
    one.acknowledge(second)
    one.send(wire.Message(wire.CON, wire.code("2.04"), one.mid(), first.token))
    state = server.rest.wait_operation(identifier, "done")
    assert state["attempts"][0]["code"] == "2.04"
    assert first.token != second.token


def test_a_delete_that_was_carried_out_unseen(server, one):
    path = url(server.rest, one.endpoint, "/3303/1")
    identifier = server.rest.accepted("DELETE", path, headers={"Prefer": "respond-async"})["id"]
    silence(one)
    one.update()
    one.answer(one.expect_request(wire.DELETE, "/3303/1"), "4.04")
    assert server.rest.wait_operation(identifier)["state"] == "done"
    assert "/3303/1" not in [entry["path"] for entry in server.rest.device(one.endpoint)["objects"]]


@pytest.mark.parametrize("exists", [True, False])
def test_a_create_is_asked_after(server, one, exists):
    body = {"instance": 5, "values": [{"path": "/3303/5/5750", "value": "new"}]}
    path = url(server.rest, one.endpoint, "/3303")
    identifier = server.rest.accepted("POST", path, body, headers={"Prefer": "respond-async"})["id"]
    silence(one)
    one.update()
    probe = one.expect_request(wire.GET)
    assert probe.path == "/3303/5"
    if exists:
        one.answer(probe, "2.05", b"</3303/5>", content_format=wire.LINK)
    else:
        one.answer(probe, "4.04")
        again = one.expect_request(wire.POST, "/3303")
        one.answer(again, "2.01", options=[(wire.LOCATION_PATH, b"3303"), (wire.LOCATION_PATH, b"5")])
    done = server.rest.wait_operation(identifier)
    assert done["state"] == "done" and done["result"]["location"] == "/3303/5"
    assert len(done["attempts"]) == (1 if exists else 2)


def test_a_reboot_shows_by_the_next_register(server, one):
    identifier = accepted(execute(server.rest, one.endpoint, REBOOT, Prefer="respond-async"))
    silence(one)
    assert server.rest.operation(identifier)["state"] == "sent"
    one.register(one.endpoint, LINKS, version="1.2")
    assert server.rest.wait_operation(identifier)["state"] == "done"
    one.assert_silent(0.3)


def test_an_update_trigger_shows_by_the_update(server, one):
    identifier = accepted(execute(server.rest, one.endpoint, "/1/0/8", Prefer="respond-async"))
    one.expect_request(wire.POST, "/1/0/8")
    one.update()
    assert server.rest.wait_operation(identifier)["state"] == "done"


def test_a_newer_write_is_read_back(server, one):
    """Networks deliver an old Write after a newer one: when the old value has won, the new one is written again."""
    old = later(server.rest, one.endpoint, value="old")
    silence(one)
    new = later(server.rest, one.endpoint, value="new", query="?priority=high")
    one.update()
    requests = []
    state = "old"  # what the device has by now
    for _ in range(6):
        try:
            request = one.expect_request(timeout=1.5)
        except AssertionError:
            break
        requests.append(request)
        if request.code == wire.PUT:
            one.answer(request, "2.04")
            state = "new" if "new" in value_of(request) and len(requests) > 1 else "old"
        else:
            body = b"\x81\xa2\x00\x6c/3303/0/5750\x03\x63" + state.encode()
            one.answer(request, "2.05", body, content_format=wire.SENML_CBOR)
    assert "new" in value_of(requests[0]) and requests[1].code == wire.GET, [str(r) for r in requests]
    assert "new" in value_of([request for request in requests if request.code == wire.PUT][-1])
    assert server.rest.wait_operation(new)["state"] == "done"
    assert server.rest.wait_operation(old)["state"] in ("unknown", "done")


# -- a device that is away ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["de-registered", "with one under way", "expired"])
def test_operations_wait_for_the_next_register(server, one, events, way):
    if way == "expired":
        one.register(one.endpoint, LINKS, 1, version="1.2")
        events.next("expired", one.endpoint)
    elif way == "de-registered":
        one.deregister()
    else:
        later(server.rest, one.endpoint, value="0", key="away" + one.endpoint)  # unanswered, and moved on
        one.acknowledge(one.expect_request(wire.PUT))
        one.deregister()
    identifiers = [
        accepted(put(server.rest, one.endpoint, value=f"v{number}")) for number in range(1, 4)
    ]
    assert {server.rest.operation(identifier)["state"] for identifier in identifiers} == {"queued"}
    one.assert_silent(0.2)
    one.register(one.endpoint, LINKS, version="1.2")
    found = []
    while len(found) < 3:
        request = one.expect_request(wire.PUT)
        one.answer(request, "2.04")
        if value_of(request)[-2] == "v":
            found.append(value_of(request)[-2:])
    assert found == ["v1", "v2", "v3"]
    for identifier in identifiers:
        assert server.rest.wait_operation(identifier)["state"] == "done"


def test_nobody_of_that_name(server, endpoint):
    answer = put(server.rest, endpoint + "-unheard-of").result()
    assert answer.status == 404 and answer.type == "application/problem+json"


def test_cancel_while_it_is_away(server, one):
    one.deregister()
    identifier = later(server.rest, one.endpoint)
    assert server.rest.ok("DELETE", f"/v1/operations/{identifier}").json["state"] == "cancelled"
    one.register(one.endpoint, LINKS, version="1.2")
    one.assert_silent(0.4)


def test_another_address(server, one, peer):
    """It registers from elsewhere: what waited goes there."""
    later(server.rest, one.endpoint, value="first")
    silence(one)
    other = peer("127.55.1.1")
    other.register(one.endpoint, LINKS, version="1.2")
    request = other.expect_request(wire.PUT)
    other.answer(request, "2.04")
    assert "first" in value_of(request)
    drain(one)


# -- kill -9 between every step ----------------------------------------------------------------------------------------------


@pytest.fixture
def mortal(daemon, endpoint):
    """A daemon, and a device of it."""
    one = daemon(**QUICK)
    with RawPeer(one.coap) as device:
        device.endpoint = endpoint
        device.register(endpoint, LINKS, version="1.2")
        yield one, device


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_restart_before_it_was_sent(mortal, how):
    one, device = mortal
    device.deregister()
    identifiers = [later(one.rest, device.endpoint, value=f"v{number}") for number in range(5)]
    getattr(one, how)()
    one.start(shards=2)
    assert [o["id"] for o in one.rest.operations(endpoint=device.endpoint, state="open")] == identifiers[::-1]
    device.register(device.endpoint, LINKS, version="1.2")
    assert [payload[-2:] for payload in answered_in_order(device, 5)] == ["v0", "v1", "v2", "v3", "v4"]
    for identifier in identifiers:
        assert one.rest.wait_operation(identifier)["state"] == "done"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_restart_while_it_is_under_way(mortal, how):
    """The Write is sent again, the Execute is not, and what came behind stays behind."""
    one, device = mortal
    first = later(one.rest, device.endpoint, value="first")
    request = device.expect_request(wire.PUT)
    second = later(one.rest, device.endpoint, value="second")
    getattr(one, how)()
    drain(device)
    one.start()
    device.update()
    again = device.expect_request(wire.PUT, timeout=15)
    assert again.token != request.token and again.payload == request.payload
    device.answer(again, "2.04")
    assert "second" in answered_in_order(device, 1)[0]
    for identifier in (first, second):
        assert one.rest.wait_operation(identifier)["state"] == "done"
    assert len(one.rest.operation(first)["attempts"]) == 2


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_restart_while_an_execute_is_under_way(mortal, how):
    one, device = mortal
    identifier = accepted(execute(one.rest, device.endpoint, Prefer="respond-async"))
    request = device.expect_request(wire.POST)
    getattr(one, how)()
    drain(device)
    one.start()
    assert one.rest.wait_operation(identifier)["state"] == "unknown"
    device.update()
    device.assert_silent(0.5)
    device.send(wire.Message(wire.CON, wire.code("2.04"), device.mid(), request.token))
    assert one.rest.wait_operation(identifier, "done")["late"] is True


def test_kill_after_the_answer(mortal):
    """What an operator was told stays so."""
    one, device = mortal
    call = put(one.rest, device.endpoint, Idempotency_Key="once")
    device.answer(device.expect_request(wire.PUT), "2.04")
    assert call.result().status == 204
    one.kill()
    one.start()
    answer = put(one.rest, device.endpoint, Idempotency_Key="once").result()
    assert answer.status == 200 and answer.json["operation"]["state"] == "done"
    assert put(one.rest, device.endpoint, value="other", Idempotency_Key="once").result().status == 422
    device.update()
    device.assert_silent(0.5)


def test_kill_after_unknown_then_the_answer(mortal):
    one, device = mortal
    identifier = accepted(execute(one.rest, device.endpoint, Prefer="respond-async"))
    request = silence(device)
    assert one.rest.wait_operation(identifier)["state"] == "unknown"
    one.kill()
    one.start()
    device.send(wire.Message(wire.CON, wire.code("4.01"), device.mid(), request.token))
    done = one.rest.wait_operation(identifier, "rejected")
    assert done["late"] is True and done["result"]["coapCode"] == "4.01"


def test_kill_of_what_was_cancelled_or_expired(mortal):
    one, device = mortal
    device.deregister()
    cancelled = later(one.rest, device.endpoint, value="a")
    short = later(one.rest, device.endpoint, value="b", query="?ttl=1")
    stays = later(one.rest, device.endpoint, value="c")
    one.rest.ok("DELETE", f"/v1/operations/{cancelled}")
    one.kill()
    time.sleep(1.2)
    one.start()
    device.register(device.endpoint, LINKS, version="1.2")
    assert value_of(device.expect_request(wire.PUT))[-1] == "c"
    device.update()
    assert one.rest.operation(cancelled)["state"] == "cancelled"
    assert one.rest.wait_operation(short)["state"] == "expired"
    assert one.rest.operation(stays)["state"] in ("sent", "done")


@pytest.mark.storm
def test_kill_at_any_time(daemon, endpoint):
    """Operators hand in, a device answers, the server dies again and again: no 202 is lost, none is sent after it
    was done, and each device sees its writes in order."""
    one = daemon(shards=2, **QUICK)
    with RawPeer(one.coap) as device:
        device.register(endpoint, LINKS, version="1.2")
        promised, seen = [], []
        for life in range(6):
            for number in range(4):
                promised.append(later(one.rest, endpoint, value=f"w{life}{number}"))
            for _ in range(2):
                try:
                    request = device.expect_request(wire.PUT, timeout=12)
                except AssertionError:
                    break
                seen.append(value_of(request)[-3:])
                device.answer(request, "2.04")
            one.kill()
            drain(device, 0.2)
            one.start(shards=1 + life % 3)
            device.update()
        while one.rest.operations(endpoint=endpoint, state="open"):
            try:
                request = device.expect_request(wire.PUT, timeout=3)
            except AssertionError:
                device.update()
                continue
            seen.append(value_of(request)[-3:])
            device.answer(request, "2.04")
        states = {identifier: one.rest.operation(identifier)["state"] for identifier in promised}
        assert set(states.values()) == {"done"}, states
        order = sorted(seen, key=lambda name: name)
        assert seen == order, "repeated perhaps, but never out of order"
        assert set(seen) == {f"w{life}{number}" for life in range(6) for number in range(4)}
