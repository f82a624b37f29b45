"""Block-wise transfer in both roles (RFC 7959), with every block size and bodies that are spooled to a file."""

import base64
import threading

import pytest
from support import formats, settings, wire
from support.background import Background

BIG = 200 * 1024  # well above the 64 KiB kept in memory


def body(size, seed=1):
    return bytes((index * 31 + seed + (index >> 8)) & 255 for index in range(size))


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module", autouse=True)
def test_object(server):
    server.rest.put_model((settings.MODELS / "3442.xml").read_bytes())


def opaque_value(answer):
    """The opaque resource of a read: base64 in JSON, or the bytes themselves."""
    if answer.type == "application/octet-stream":
        return answer.body
    return base64.b64decode(answer.json["value"])


def read_opaque(server, endpoint, path="/3442/0/150"):
    return opaque_value(
        server.rest.ok(
            "GET", server.rest.device_path(endpoint, "resources", path) + "?source=device", timeout=60
        )
    )


# -- we read from the device: Block2 as client ---------------------------------------------------------------------


@pytest.mark.parametrize("szx", range(7))
def test_read_in_blocks_of_the_device(server, device, szx):
    one = device(szx=szx, formats=[42, formats.SENML_CBOR])
    one.objects[3442][0][150] = body(3000 + szx)
    assert read_opaque(server, one.endpoint) == body(3000 + szx)


@pytest.mark.parametrize("size", [0, 15, 16, 511, 512, 513, 1024, 1025, 65535, 65536, 65537])
def test_read_at_the_edges(server, device, size):
    one = device(formats=[42, formats.SENML_CBOR])
    one.objects[3442][0][150] = body(size)
    assert read_opaque(server, one.endpoint) == body(size)


def test_read_a_spooled_body(server, device):
    one = device(formats=[42, formats.SENML_CBOR])
    one.objects[3442][0][150] = body(BIG)
    assert read_opaque(server, one.endpoint) == body(BIG)


def test_other_devices_are_served_during_a_large_read(server, device):
    """A shard never blocks: with one thread at a file, others answer at once."""
    one, others = device(formats=[42, formats.SENML_CBOR], szx=2), [device() for _ in range(4)]
    one.objects[3442][0][150] = body(BIG)
    large = Background(read_opaque, server, one.endpoint)
    rounds = 0
    while large.running and rounds < 200:
        for other in others:
            assert server.rest.value(other.endpoint, "/3/0/0") == "Test Works"
        rounds += 1
    assert large.result(60) == body(BIG)
    assert rounds >= 2


def test_hierarchical_read_in_blocks(server, device):
    one = device(formats=[formats.SENML_JSON], szx=4)
    for instance in range(60):
        one.objects[3303][instance] = {5700: instance + 0.5, 5701: "Cel"}
    values = server.rest.values(one.endpoint, "/3303")
    assert len(values) == 121 - 1 and values["/3303/59/5700"] == 59.5


def test_first_request_proposes_a_block_size(server, peer, endpoint):
    """Early negotiation: a device need not begin with 1024 bytes."""
    one = peer()
    one.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
    read = Background(server.rest.get, server.rest.device_path(endpoint, "resources/3/0?source=device"))
    request = one.expect_request(wire.GET)
    assert request.block(wire.BLOCK2) in ((0, False, 5), None)
    one.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"x"}]', content_format=wire.SENML_JSON)
    assert read.result().status == 200


def serve_blocks(one, path, content, szx, content_format, etag=None, count=None, etags=None):
    """Answers GETs block by block until the last one was asked for; returns the requests."""
    seen = []
    while count is None or len(seen) < count:
        request = one.expect_request(wire.GET, path)
        number, _, asked = request.block(wire.BLOCK2) or (0, False, szx)
        size, at = 16 << min(szx, asked), number * (16 << asked)
        more = at + size < len(content)
        tag = etags[min(len(seen), len(etags) - 1)] if etags else etag
        options = [(wire.ETAG, tag)] if tag else []
        one.answer(
            request,
            "2.05",
            content[at : at + size],
            options,
            content_format=content_format,
            block2=(at // size, more, min(szx, asked)),
        )
        seen.append(request)
        if not more:
            return seen
    return seen


def test_block_requests_repeat_the_options(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
    content = formats.senml_json_encode("/3/0", {0: "m" * 700, 1: "n" * 700})
    read = Background(server.rest.values, endpoint, "/3/0")
    seen = serve_blocks(one, "/3/0", content, 5, wire.SENML_JSON, etag=b"\x01")
    assert read.result()["/3/0/1"] == "n" * 700
    assert [request.block(wire.BLOCK2)[0] for request in seen[1:]] == [1, 2]
    assert {request.one(wire.ACCEPT) for request in seen} == {seen[0].one(wire.ACCEPT)}
    assert len({request.mid for request in seen}) == len(seen)


def test_body_that_changes_under_way_is_not_mixed(server, peer, endpoint):
    """Another ETag: begun anew, or an error; never a mixture."""
    one = peer()
    one.register(endpoint, "</>;ct=42,</1/0>,</3/0>,</3442/0>")
    old, new = b"o" * 1500, b"n" * 1500
    read = Background(
        server.rest.get, server.rest.device_path(endpoint, "resources/3442/0/150?source=device"), timeout=30
    )
    serve_blocks(one, "/3442/0/150", old, 5, wire.OPAQUE, etag=b"\x01", count=1)
    stop = threading.Event()

    def changed():
        try:
            while not stop.is_set():
                serve_blocks(one, "/3442/0/150", new, 5, wire.OPAQUE, etag=b"\x02")
        except AssertionError:
            pass  # no more requests

    thread = threading.Thread(target=changed, daemon=True)
    thread.start()
    answer = read.result(30)
    stop.set()
    thread.join(10)
    assert answer.status == 502 or opaque_value(answer) == new, answer


def test_blocks_without_end_are_stopped(server, peer, endpoint):
    """A device that always says 'more' meets the limit of an answer (16 MiB) or is found out earlier."""
    one = peer()
    one.register(endpoint, "</>;ct=42,</1/0>,</3/0>,</3442/0>")
    read = Background(
        server.rest.get, server.rest.device_path(endpoint, "resources/3442/0/150?source=device"), timeout=60
    )
    request = one.expect_request(wire.GET)
    one.answer(request, "2.05", b"z" * 1024, content_format=wire.OPAQUE, block2=(0, True, 6), size2=64 << 20)
    answer = read.result(60)
    assert answer.status in (413, 502), answer


# -- we write to the device: Block1 as client -------------------------------------------------------------------------


@pytest.mark.parametrize("szx", range(7))
def test_write_in_blocks_of_the_device(server, device, szx):
    one = device(szx=szx, formats=[42, formats.SENML_CBOR])
    server.rest.write(one.endpoint, "/3442/0/150", encoded(body(3000 + szx)))
    assert one.get("/3442/0/150") == body(3000 + szx)
    assert one.seen("PUT").block1[2] <= max(szx, 0)


@pytest.mark.parametrize("size", [15, 511, 512, 513, 1024, 1025])
def test_write_at_the_edges(server, device, size):
    one = device(formats=[42, formats.SENML_CBOR])
    server.rest.write(one.endpoint, "/3442/0/150", encoded(body(size)))
    assert one.get("/3442/0/150") == body(size)


def test_write_a_large_body(server, device):
    one = device(formats=[42, formats.SENML_CBOR])
    server.rest.write(one.endpoint, "/3442/0/150", encoded(body(BIG)), timeout=60)
    assert one.get("/3442/0/150") == body(BIG)


def test_write_refused_in_the_middle(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</>;ct=42,</1/0>,</3/0>,</3442/0>")
    call = Background(
        server.rest.request,
        "PUT",
        server.rest.device_path(endpoint, "resources/3442/0/150"),
        {"value": encoded(body(3000))},
    )
    first = one.expect_request(wire.PUT)
    number, more, szx = first.block(wire.BLOCK1)
    assert number == 0 and more
    one.answer(first, "2.31", block1=(0, True, szx))
    one.answer(one.expect_request(wire.PUT), "4.13", size1=1000)
    answer = call.result()
    assert answer.status == 502 and answer.json["coapCode"] == "4.13"
    one.assert_silent(0.3)


def test_a_device_without_block1_gets_an_error_not_half_a_body(server, peer, endpoint):
    """It answers 2.04 to the first block as if that were all."""
    one = peer()
    one.register(endpoint, "</>;ct=42,</1/0>,</3/0>,</3442/0>")
    call = Background(
        server.rest.request,
        "PUT",
        server.rest.device_path(endpoint, "resources/3442/0/150"),
        {"value": encoded(body(3000))},
    )
    one.answer(one.expect_request(wire.PUT), "2.04")
    assert call.result().status == 502


# -- the device sends to us: Block1 as server ----------------------------------------------------------------------------


def test_block1_out_of_order_gets_4_08(server, peer, endpoint):
    one = peer()
    query = [f"ep={endpoint}", "lt=60", "lwm2m=1.1", "b=U"]
    answer = one.request(
        wire.POST,
        "/rd",
        query,
        b"</1/0>,</3/0>,</4/0>,".ljust(64, b" "),
        content_format=wire.LINK,
        block1=(0, True, 2),
    )
    assert answer.text == "2.31" and answer.block(wire.BLOCK1)[:2] == (0, True)
    answer = one.request(wire.POST, "/rd", query, b"</6/0>", content_format=wire.LINK, block1=(2, False, 2))
    assert answer.text == "4.08"
    assert server.rest.device(endpoint) is None


def test_block1_without_beginning_gets_4_08(server, peer, endpoint):
    answer = peer().request(
        wire.POST,
        "/rd",
        [f"ep={endpoint}", "lt=60", "lwm2m=1.1"],
        b"</6/0>",
        content_format=wire.LINK,
        block1=(1, False, 2),
    )
    assert answer.text == "4.08"


def test_block1_begins_anew_with_block_zero(server, peer, endpoint):
    """A device that was restarted in the middle of its Register."""
    one = peer()
    query = [f"ep={endpoint}", "lt=60", "lwm2m=1.1", "b=U"]
    part = b"</1/0>,</3/0>".ljust(32, b" ")
    links = b"</1/0>,</3/0>,</3303/0>,</3303/1>"
    one.request(wire.POST, "/rd", query, part, content_format=wire.LINK, block1=(0, True, 1))
    for number, at in enumerate(range(0, len(links), 32)):
        answer = one.request(
            wire.POST,
            "/rd",
            query,
            links[at : at + 32],
            content_format=wire.LINK,
            block1=(number, at + 32 < len(links), 1),
        )
    assert answer.text == "2.01" and answer.block(wire.BLOCK1)[0] == 1
    assert [entry["path"] for entry in server.rest.device(endpoint)["objects"]] == [
        "/1/0",
        "/3/0",
        "/3303/0",
        "/3303/1",
    ]


def test_repeated_block_is_not_counted_twice(server, peer, endpoint):
    """The 2.31 is lost: the same message comes again and gets the same answer."""
    one = peer()
    query = [f"ep={endpoint}", "lt=60", "lwm2m=1.1", "b=U"]
    links = b"</1/0>,</3/0>,</3303/0>,</3303/1>"
    first = wire.Message(
        wire.CON,
        wire.POST,
        one.mid(),
        b"tk",
        wire.options("/rd", query, content_format=40, block1=(0, True, 1)),
        links[:32],
    )
    one.send(first)
    one.send(first)
    assert one.receive() == one.receive()
    answer = one.request(wire.POST, "/rd", query, links[32:], content_format=wire.LINK, block1=(1, False, 1))
    assert answer.text == "2.01"
    assert len(server.rest.device(endpoint)["objects"]) == 4


def test_two_devices_in_blocks_at_once_are_not_mixed(server, peer, endpoint):
    left, right = peer("127.0.0.1"), peer("127.0.0.1")
    lists = {left: b"</1/0>,</3/0>,</3303/0>,</3303/1>", right: b"</1/0>,</3/0>,</3304/0>,</3304/1>"}
    for number in range(3):
        for one, links in lists.items():
            query = [f"ep={endpoint}-{one is left}", "lt=60", "lwm2m=1.1", "b=U"]
            answer = one.request(
                wire.POST,
                "/rd",
                query,
                links[number * 16 : number * 16 + 16],
                content_format=wire.LINK,
                block1=(number, number < 2, 0),
            )
    assert answer.text == "2.01"
    for one, number in ((True, "3303"), (False, "3304")):
        listed = [entry["path"] for entry in server.rest.device(f"{endpoint}-{one}")["objects"]]
        assert listed == ["/1/0", "/3/0", f"/{number}/0", f"/{number}/1"]
