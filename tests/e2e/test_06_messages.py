"""The message layer of RFC 7252, by raw datagrams: deduplication, lost messages, options, malformed input."""

import os
import random
import time

import pytest
from support import wire
from support.background import Background
from support.wire import Message

LINKS = "</>;ct=110,</1/0>,</3/0>,</3303/0>"
ANSWER = b'[{"n":"/3/0/0","vs":"here"}]'


def register_message(one, endpoint, token=b"\x01\x02"):
    query = [f"ep={endpoint}", "lt=300", "lwm2m=1.1", "b=U"]
    return Message(
        wire.CON,
        wire.POST,
        one.mid(),
        token,
        wire.options("/rd", query, content_format=wire.LINK),
        LINKS.encode(),
    )


def start_read(server, endpoint, path="/3/0/0"):
    return Background(server.rest.value, endpoint, path)


# -- requests from devices ---------------------------------------------------------------------------------------


def test_the_same_message_twice_gets_the_same_answer(server, peer, endpoint):
    one = peer()
    with server.rest.events() as events:
        message = one.send(register_message(one, endpoint))
        first = one.response(message)
        for _ in range(3):
            one.send(message)
            again = one.response(message)
            assert (again.text, again.location, again.token) == (first.text, first.location, first.token)
        seen = [event.kind for event in events.drain(0.5) if event.get("endpoint") == endpoint]
    assert seen == ["registered"], "registered once, not replaced by itself"


def test_a_burst_of_the_same_message_registers_once(server, peer, endpoint):
    """Duplicates that arrive before the first one is durable get nothing, or the one answer."""
    one = peer()
    message = register_message(one, endpoint)
    for _ in range(10):
        one.send(message)
    first = one.response(message)
    assert first.text == "2.01"
    time.sleep(0.3)
    while True:
        try:
            other = one.receive(0.1)
        except AssertionError:
            break
        if other.is_response:
            assert other.location == first.location
    one.location = first.location
    assert one.update().text == "2.04"


def test_a_reused_message_id_with_another_token_is_a_new_request(server, peer, endpoint):
    """A rebooted client begins with the same message ids."""
    one = peer()
    first = one.send(register_message(one, endpoint, b"aa"))
    location = one.response(first).location
    second = register_message(one, endpoint, b"bb")
    second.mid = first.mid
    one.send(second)
    answer = one.response(second)
    assert answer.text == "2.01" and answer.location != location


def test_duplicate_deregister_is_answered_from_memory(server, peer, endpoint):
    one = peer()
    one.register(endpoint)
    message = Message(wire.CON, wire.DELETE, one.mid(), b"dd", wire.options(one.location))
    one.send(message)
    assert one.response(message).text == "2.02"
    one.send(message)
    assert one.response(message).text == "2.02"


def test_ping_is_answered_by_reset(server, peer):
    one = peer()
    answer = one.ping()
    assert (answer.type, answer.code, answer.token, answer.payload) == (wire.RST, wire.EMPTY, b"", b"")


def test_non_confirmable_request_gets_a_non_confirmable_response(server, peer, endpoint):
    one = peer()
    one.register(endpoint)
    answer = one.request(wire.POST, one.location, type=wire.NON)
    assert answer.text == "2.04" and answer.type == wire.NON


@pytest.mark.parametrize("length", [0, 1, 4, 8])
def test_tokens_of_every_length(server, peer, endpoint, length):
    one = peer()
    token = os.urandom(length)
    message = one.send(register_message(one, endpoint, token))
    assert one.response(message).token == token


@pytest.mark.parametrize("number", [9, 21, 65001, 2049])
def test_unknown_critical_option_gets_4_02(server, peer, endpoint, number):
    one = peer()
    answer = one.request(
        wire.POST, "/rd", [f"ep={endpoint}", "lwm2m=1.1", "lt=60"], b"</3/0>", extra=[(number, b"x")]
    )
    assert answer.text == "4.02"
    assert server.rest.device(endpoint) is None


def test_unknown_critical_option_in_a_non_confirmable_request_is_not_obeyed(server, peer, endpoint):
    one = peer()
    one.send(
        Message(
            wire.NON,
            wire.POST,
            one.mid(),
            b"n",
            wire.options("/rd", [f"ep={endpoint}", "lwm2m=1.1", "lt=60"]) + [(9, b"x")],
            b"</3/0>",
        )
    )
    time.sleep(0.3)
    assert server.rest.device(endpoint) is None


@pytest.mark.parametrize("number", [2, 30, 65002, 2050])
def test_unknown_elective_option_is_ignored(server, peer, endpoint, number):
    assert peer().register(endpoint, extra=[(number, b"whatever")]).text == "2.01"


@pytest.mark.parametrize(
    "method, path, code",
    [
        (wire.GET, "/rd", "4.05"),
        (wire.PUT, "/rd", "4.05"),
        (wire.FETCH, "/rd", "4.05"),
        (wire.DELETE, "/rd", "4.05"),
        (wire.GET, "/dp", "4.05"),
        (wire.GET, "/rd/0123456789abcdef", "4.05"),
        (wire.PUT, "/rd/0123456789abcdef", "4.05"),
        (wire.POST, "/nothing/here", "4.04"),
        (wire.GET, "/nothing", "4.04"),
        (wire.POST, "/bs", "4.04"),
        (wire.POST, "/RD", "4.04"),
    ],
)
def test_wrong_methods_and_paths(server, peer, method, path, code):
    """(/bs is another milestone; until it is there, it is a path like any other.)"""
    answer = peer().request(method, path)
    assert answer.text == code or (path == "/bs" and answer.code >= 0x80), answer


def test_unknown_method_code(server, peer):
    answer = peer().request(31, "/rd")
    assert answer.text == "4.05"


@pytest.mark.parametrize(
    "data, reset",
    [
        (b"", False),
        (b"\x40", False),
        (b"\x40\x01\x12", False),
        (b"\x80\x01\x12\x34", False),
        (b"\x00\x01\x12\x34", False),
        (b"\x49\x01\x12\x34123456789", True),
        (b"\x44\x01\x12\x34ab", True),
        (b"\x40\x01\x12\x34\xf0", True),
        (b"\x40\x01\x12\x34\x0f", True),
        (b"\x40\x01\x12\x34\xb5rd", True),
        (b"\x40\x01\x12\x34\xb2rd\xff", True),
        (b"\x41\x00\x12\x34a", True),
        (b"\x40\x00\x12\x34\xb2rd", True),
        (b"\x50\x01\x12\x34\xf0", False),
        (b"\x60\x45\x12\x34", False),
        (b"\x70\x00\x12\x34", False),
        (b"\x40\xe0\x12\x34", True),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else None,
)
def test_malformed_messages(server, peer, data, reset):
    """A Confirmable one is rejected by RST with its message id, everything else is ignored."""
    one = peer()
    one.send_bytes(data)
    if reset:
        answer = one.receive()
        assert (answer.type, answer.code, answer.mid) == (wire.RST, wire.EMPTY, 0x1234)
    else:
        one.assert_silent(0.15)
    assert one.ping().type == wire.RST, "the server lives"


def test_noise_does_not_hurt(server, peer, endpoint):
    """Seeded; every datagram either is ignored or gets a well-formed answer."""
    source = random.Random(20)
    one, probe = peer(), peer()
    seeds = [
        register_message(one, endpoint).encode(),
        Message(wire.CON, wire.GET, 5, b"t", wire.options("/rd")).encode(),
    ]
    for _ in range(3000):
        data = bytearray(source.choice(seeds))
        for _ in range(source.randrange(1, 6)):
            action = source.randrange(3)
            at = source.randrange(len(data)) if data else 0
            if action == 0 and data:
                data[at] = source.randrange(256)
            elif action == 1 and data:
                del data[at:]
            else:
                data[at:at] = bytes(source.randrange(256) for _ in range(source.randrange(1, 9)))
        one.send_bytes(bytes(data))
    while True:
        try:
            one.receive(0.2)  # decodes strictly
        except AssertionError:
            break
    assert probe.register(endpoint + "-after", LINKS).text == "2.01"


def test_an_oversized_datagram_is_dropped(server, peer):
    one = peer()
    before = dropped(server)
    one.send(Message(wire.CON, wire.POST, 7, b"t", wire.options("/rd", ["ep=x", "lwm2m=1.1"]), b"x" * 4000))
    one.assert_silent(0.3)
    assert dropped(server) > before


def dropped(server):
    return sum(
        value for (name, _), value in server.metrics().items() if name == "lwm2m_datagrams_truncated_total"
    )


# -- requests to devices ----------------------------------------------------------------------------------------------


def test_retransmission_until_answered(server, peer, endpoint):
    """The first datagrams are lost; the copies are the same bytes, ever further apart."""
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    times, copies = [], []
    for _ in range(3):
        copies.append(one.expect_request(wire.GET))
        times.append(time.monotonic())
    one.answer(copies[-1], "2.05", ANSWER, content_format=wire.SENML_JSON)
    assert read.result() == "here"
    assert copies[0].encode() == copies[1].encode() == copies[2].encode()
    assert 0.4 <= times[1] - times[0] <= 1.5
    assert times[2] - times[1] > (times[1] - times[0]) * 1.5
    one.assert_silent(0.3)


def test_our_lost_answer_is_repeated(server, peer, endpoint):
    """The device answered, the answer was lost, the request comes again: the device repeats itself."""
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    one.expect_request(wire.GET)  # the answer to this one is lost
    again = one.expect_request(wire.GET)
    for _ in range(3):
        one.answer(again, "2.05", ANSWER, content_format=wire.SENML_JSON)
    assert read.result() == "here"
    one.assert_silent(0.3)


def test_separate_response_after_an_empty_ack(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    request = one.expect_request(wire.GET)
    one.acknowledge(request)
    one.assert_silent(1.6)  # acknowledged: no retransmission
    assert one.answer_separately(request, "2.05", ANSWER, content_format=wire.SENML_JSON).type == wire.ACK
    assert read.result() == "here"


def test_separate_response_before_the_ack(server, peer, endpoint):
    """The ACK is late, or lost."""
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    request = one.expect_request(wire.GET)
    assert one.answer_separately(request, "2.05", ANSWER, content_format=wire.SENML_JSON).type == wire.ACK
    assert read.result() == "here"
    one.acknowledge(request)
    one.assert_silent(0.8)  # the response stopped the retransmissions too


def test_separate_response_twice_is_acknowledged_twice(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    request = one.expect_request(wire.GET)
    one.acknowledge(request)
    response = Message(
        wire.CON,
        wire.code("2.05"),
        one.mid(),
        request.token,
        wire.options(content_format=wire.SENML_JSON),
        ANSWER,
    )
    for _ in range(2):
        one.send(response)
        answer = one.receive()
        assert (answer.type, answer.mid) == (wire.ACK, response.mid)
    assert read.result() == "here"


def test_separate_response_as_non(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    request = one.expect_request(wire.GET)
    one.acknowledge(request)
    one.answer_separately(request, "2.05", ANSWER, type=wire.NON, content_format=wire.SENML_JSON)
    assert read.result() == "here"


def test_answer_with_a_wrong_token_is_not_taken(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    request = one.expect_request(wire.GET)
    false = Message(
        wire.ACK,
        wire.code("2.05"),
        request.mid,
        b"wrong",
        wire.options(content_format=110),
        b'[{"n":"/3/0/0","vs":"false"}]',
    )
    one.send(false)
    one.answer(request, "2.05", ANSWER, content_format=wire.SENML_JSON)
    again = None
    if read.running:
        try:
            again = one.expect_request(wire.GET, timeout=2)
            one.answer(again, "2.05", ANSWER, content_format=wire.SENML_JSON)
        except AssertionError:
            pass
    assert read.result() == "here"


def test_answer_from_a_stranger_is_not_taken(server, peer, endpoint):
    one, stranger = peer("127.0.0.1"), peer("127.99.0.1")
    one.register(endpoint, LINKS)
    read = start_read(server, endpoint)
    request = one.expect_request(wire.GET)
    stranger.send(
        Message(
            wire.ACK,
            wire.code("2.05"),
            request.mid,
            request.token,
            wire.options(content_format=110),
            b'[{"n":"/3/0/0","vs":"theft"}]',
        )
    )
    stranger.send(
        Message(
            wire.NON,
            wire.code("2.05"),
            99,
            request.token,
            wire.options(content_format=110),
            b'[{"n":"/3/0/0","vs":"theft"}]',
        )
    )
    time.sleep(0.1)
    assert read.running
    one.answer(request, "2.05", ANSWER, content_format=wire.SENML_JSON)
    assert read.result() == "here"


def test_one_request_at_a_time_to_a_device(server, peer, endpoint):
    """NSTART 1: the second waits for the answer of the first."""
    one = peer()
    one.register(endpoint, LINKS)
    reads = [start_read(server, endpoint, path) for path in ("/3/0/0", "/3/0/1", "/3/0/2")]
    for left in (2, 1, 0):
        request = one.expect_request(wire.GET)
        if left:
            one.assert_silent(0.15)
        body = b'[{"n":"%s","vs":"here"}]' % request.path.encode()
        one.answer(request, "2.05", body, content_format=wire.SENML_JSON)
    assert [read.result() for read in reads] == ["here"] * 3


def test_tokens_and_message_ids_do_not_repeat(server, peer, endpoint):
    one = peer()
    one.register(endpoint, LINKS)
    seen = []
    for _ in range(30):
        read = start_read(server, endpoint)
        request = one.expect_request(wire.GET)
        seen.append(request)
        one.answer(request, "2.05", ANSWER, content_format=wire.SENML_JSON)
        read.result()
    assert len({request.token for request in seen}) == len({request.mid for request in seen}) == 30
    assert all(4 <= len(request.token) <= 8 for request in seen)
    assert all(request.type == wire.CON for request in seen)


def test_register_is_answered_quickly(server, peer, endpoint):
    """An answer to a Register is durable and still quick: well below the ACK timeout of a client."""
    one = peer()
    started = time.monotonic()
    assert one.register(endpoint).text == "2.01"
    assert time.monotonic() - started < 1.5
