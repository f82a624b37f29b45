"""LwM2M 1.2: every data format, their choice, composites, and attributes of one observation.

The peer is tests/support/device12.py: aiocoap, cbor2, json and codecs of the tests' own, stricter than ours.
"""

import base64
import time

import pytest
from support import formats, formats12, settings, wire
from support.background import Background
from support.formats import Link, Time, Unsigned
from support.formats12 import ETCH_CBOR, ETCH_JSON, LWM2M_CBOR, LWM2M_JSON

TEXT, OPAQUE, CBOR, TLV, JSON, SCBOR = 0, 42, 60, 11542, 110, 112
WIDE = {"lwm2m-cbor": LWM2M_CBOR, "senml-cbor": SCBOR, "senml-json": JSON, "tlv": TLV}


@pytest.fixture(scope="module", autouse=True)
def test_object(server):
    server.rest.put_model((settings.MODELS / "3442.xml").read_bytes())


@pytest.fixture
def events(server):
    with server.rest.events() as stream:
        yield stream


def b64(data):
    return base64.b64encode(data).decode()


def fetches(one):
    return [request for request in one.requests if request.method == "FETCH"]


# -- every type in every format --------------------------------------------------------------------------------

# resource of 3442: towards operators, on the device
SAMPLES = [
    (110, "Grüße \U0001f30d", "Grüße \U0001f30d"),
    (110, "", ""),
    (120, "9223372036854775807", 9223372036854775807),
    (120, "-9223372036854775808", -9223372036854775808),
    (120, -1, -1),
    (120, 0, 0),
    (125, "18446744073709551615", Unsigned(18446744073709551615)),
    (125, 2147483648, Unsigned(2147483648)),
    (130, -0.1, -0.1),
    (130, 1e300, 1e300),
    (130, 3, 3.0),
    (140, True, True),
    (140, False, False),
    (150, "", b""),
    (150, b64(bytes(range(256))), bytes(range(256))),
    (160, 4102444800, Time(4102444800)),
    (160, -1, Time(-1)),
    (170, "65535:65535", Link("65535:65535")),
    (170, "3:0", Link("3:0")),
    (180, "</3/0>,</1/0>", "</3/0>,</1/0>"),
]


@pytest.mark.parametrize("name", WIDE)
def test_every_type_there_and_back(server, device12, name):
    """Written, read alone, read within its instance: same value, same type, in the one format the device has."""
    one = device12(formats=[WIDE[name]], etch=False)
    for resource, shown, held in SAMPLES:
        path = f"/3442/0/{resource}"
        server.rest.write(one.endpoint, path, shown)
        assert one.seen("PUT", path).content_format in (WIDE[name], TEXT, OPAQUE), name
        assert (one.get(path), type(one.get(path))) == (held, type(held)), name
        for found in (
            server.rest.read(one.endpoint, path),
            next(v for v in server.rest.read(one.endpoint, "/3442/0")["values"] if v["path"] == path),
        ):
            assert (found["value"], type(found["value"])) in ((shown, type(shown)), (held, type(held))), name
        assert one.seen("GET", "/3442/0").accept == WIDE[name]


@pytest.mark.parametrize("name", WIDE)
def test_resource_instances(server, device12, name):
    """Read and written one by one, as a whole, and deleted."""
    one = device12(formats=[WIDE[name]], etch=False)
    one.objects[3442][0][1120] = {0: 1, 65534: -300}
    path = "/3442/0/1120"
    assert server.rest.values(one.endpoint, path) == {f"{path}/0": 1, f"{path}/65534": -300}
    assert server.rest.value(one.endpoint, f"{path}/65534") == -300
    server.rest.write(one.endpoint, f"{path}/0", 7)
    assert one.get(path) == {0: 7, 65534: -300}
    server.rest.write(one.endpoint, path, values=[{"path": f"{path}/4", "value": 4}])
    assert one.get(path) == {4: 4}
    server.rest.delete(one.endpoint, f"{path}/4")
    assert one.get(path) == {}


def test_the_json_of_lwm2m_1_0(server, device12):
    """11543: read when the device has nothing else or the operator wants it, written when he says so."""
    one = device12(version="1.0", formats=[LWM2M_JSON], advertise=None)
    assert server.rest.values(one.endpoint, "/3442/0")["/3442/0/1120/1"] == -300
    assert one.seen("GET", "/3442/0").accept in (LWM2M_JSON, None)
    path = server.rest.device_path(one.endpoint, "resources/3442/0") + "?format=lwm2m-json"
    body = [{"path": "/3442/0/120", "value": -5}, {"path": "/3442/0/1110/3", "value": "x"}]
    server.rest.ok("POST", path, {"values": body})
    assert one.seen("POST", "/3442/0").content_format == LWM2M_JSON
    assert one.get("/3442/0/120") == -5 and one.get("/3442/0/1110/3") == "x"


@pytest.mark.parametrize("body", [{(3303, 0): {5700: 22.5}}, {3303: {0: {5700: 22.5}}}, {(3303, 0, 5700): 22.5}])
def test_lwm2m_cbor_in_all_its_shapes(server, device12, body):
    one = device12()
    one.behaviours["/3303/0"] = lambda seen: ("2.05", formats12.cbor2.dumps(body), LWM2M_CBOR)
    assert server.rest.values(one.endpoint, "/3303/0") == {"/3303/0/5700": 22.5}


@pytest.mark.parametrize(
    "body",
    ["bf190ce7bf00bf1916447f6161ff", "a1190ce7a100a119164482", "a1190ce7a101a11916440a", "a0ff", "a163666f6f01"],
    ids=["cut", "cut-array", "other-instance", "trailing", "text-key"],
)
def test_lwm2m_cbor_that_makes_no_sense(server, device12, body):
    one = device12()
    one.behaviours["/3303/0"] = lambda seen: ("2.05", bytes.fromhex(body), LWM2M_CBOR)
    server.rest.problem("GET", server.rest.device_path(one.endpoint, "resources/3303/0?source=device"), 502)


def test_indefinite_maps_and_strings(server, device12):
    """Nested indefinite maps and a string in chunks: {3303:{0:{5750:"ab"}}}."""
    one = device12()
    body = bytes.fromhex("bf190ce7bf00bf1916767f61616162ffffffff")
    one.behaviours["/3303/0"] = lambda seen: ("2.05", body, LWM2M_CBOR)
    assert server.rest.values(one.endpoint, "/3303/0") == {"/3303/0/5750": "ab"}


# -- the choice of a format ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", ["4.06", "4.15"])
@pytest.mark.parametrize("have", [JSON, SCBOR, TLV], ids=["json", "cbor", "tlv"])
def test_read_finds_the_format_and_keeps_it(server, device12, have, refusal):
    one = device12(formats=[have], advertise=None)
    one.behaviours["/3303/0"] = lambda seen: refusal if seen.accept != have else None
    for _ in range(2):
        assert server.rest.values(one.endpoint, "/3303/0")["/3303/0/5700"] == 22.5
    accepts = [request.accept for request in one.requests if request.method == "GET"]
    assert accepts[-2:] == [have, have], accepts
    assert len(accepts) == len(set(accepts)) + 1, "none is tried twice"
    assert len(accepts) > 2 or have == SCBOR, "that is the first choice"


def test_write_finds_the_format_and_keeps_it(server, device12):
    one = device12(formats=[JSON], advertise=None)
    for number in (1, 2):
        values = [{"path": "/3442/0/120", "value": number}, {"path": "/3442/0/110", "value": "x"}]
        server.rest.write(one.endpoint, "/3442/0", values=values, method="POST")
        assert one.get("/3442/0/120") == number
    tried = [request.content_format for request in one.requests if request.method == "POST"]
    assert tried[-2:] == [JSON, JSON] and len(tried) > 2 and len(set(tried)) == len(tried) - 1, tried


def test_what_was_announced_comes_first(server, device12):
    for ct in ([JSON], [SCBOR], [LWM2M_CBOR]):
        one = device12(formats=ct)
        server.rest.values(one.endpoint, "/3303/0")
        assert [request.accept for request in one.requests] == ct


def test_no_format_at_all_is_the_answer_of_the_device(server, device12):
    one = device12(formats=[JSON])
    one.behaviours["/3303/0"] = lambda seen: "4.06"
    path = server.rest.device_path(one.endpoint, "resources/3303/0?source=device")
    assert server.rest.problem("GET", path, 502)["coapCode"] == "4.06"


# -- Read-Composite ------------------------------------------------------------------------------------------------

PATHS = ("/3/0/0", "/3303/0", "/3442/0/1110/7", "/1/0/1")
VALUES = {
    "/3/0/0": "Test Works",
    "/3303/0/5700": 22.5,
    "/3303/0/5601": 20.0,
    "/3303/0/5602": 25.0,
    "/3303/0/5701": "Cel",
    "/3303/0/5750": "cellar",
    "/3442/0/1110/7": "b",
    "/1/0/1": 300,
}

# what the device is; format of the request and of the answer, None: single Reads
READERS = {
    "1.0": (dict(version="1.0", formats=[TLV, TEXT]), None, TLV),
    "1.1-json": (dict(version="1.1", formats=[JSON], etch=False), JSON, JSON),
    "1.1-cbor": (dict(version="1.1", formats=[SCBOR], etch=False), SCBOR, SCBOR),
    "1.1-without": (dict(version="1.1", formats=[SCBOR], composites=False), None, SCBOR),
    "1.2": (dict(), ETCH_CBOR, LWM2M_CBOR),
    "1.2-json": (dict(formats=[JSON]), ETCH_JSON, JSON),
    "1.2-cbor": (dict(formats=[SCBOR]), ETCH_CBOR, SCBOR),
    "1.2-senml-alone": (dict(formats=[SCBOR], etch=False), SCBOR, SCBOR),
    "1.2-silent": (dict(formats=[JSON], advertise=None), JSON, JSON),
    "1.2-without": (dict(composites=False), None, LWM2M_CBOR),
}


@pytest.mark.parametrize("kind", READERS)
def test_read_composite(server, device12, kind):
    named, asked, answered = READERS[kind]
    one = device12(**named)
    for _ in range(2):
        assert server.rest.read_many(one.endpoint, *PATHS) == VALUES
    found = fetches(one)
    if asked is None:
        assert one.seen("GET", "/3/0/0", count=2) and one.seen("GET", "/3303/0").accept == answered
        assert len(found) <= 1, "what it lacks is remembered"
    else:
        last = found[-1]
        assert (last.path, last.query, last.content_format, last.accept) == ("/", [], asked, answered)
        assert not [request for request in one.requests if request.method == "GET"]
        assert formats12.fetch_paths(last.content_format, last.payload) == list(PATHS)


def test_composite_answers_are_flat_and_typed(server, device12):
    one = device12()
    answer = server.rest.ok(
        "POST",
        server.rest.device_path(one.endpoint, "resources:read") + "?source=device",
        {"paths": ["/3442/0", "/3/0/13"]},
    ).json
    found = {value["path"]: (value["value"], value["type"], value["origin"]) for value in answer["values"]}
    assert found["/3/0/13"] == (1700000000, "time", "read")
    assert found["/3442/0/170"] == ("3303:0", "objlnk", "read")
    assert found["/3442/0/150"] == (b64(b"\x01\x02\xff"), "opaque", "read")
    assert found["/3442/0/125"] == (4294967295, "unsigned", "read")


@pytest.mark.parametrize("composites", [True, False], ids=["composite", "single"])
def test_missing_and_executable_ones_are_left_out(server, device12, composites):
    one = device12(composites=composites)
    paths = ["/3/0/0", "/3/0/4", "/3/0/99", "/9999/0", "/3303/7/5700"]
    assert server.rest.read_many(one.endpoint, *paths) == {"/3/0/0": "Test Works"}


@pytest.mark.parametrize("composites", [True, False], ids=["composite", "single"])
def test_nothing_to_read_is_the_answer_of_the_device(server, device12, composites):
    one = device12(composites=composites)
    path = server.rest.device_path(one.endpoint, "resources:read") + "?source=device"
    problem = server.rest.problem("POST", path, 502, {"paths": ["/3303/8", "/3303/9"]})
    assert problem["coapCode"] == "4.04"


def test_the_root(server, device12):
    """Everything readable except objects 0, 21 and 23."""
    one = device12()
    one.objects[0] = {0: {0: "coap://nobody"}}
    found = server.rest.read_many(one.endpoint, "/")
    assert found["/3442/0/1120/1"] == -300 and found["/1/0/7"] == "U" and found["/3/0/11/0"] == 0
    assert not [path for path in found if path.startswith("/0/")]


@pytest.mark.parametrize("number", [LWM2M_CBOR, SCBOR, JSON], ids=["lwm2m-cbor", "senml-cbor", "senml-json"])
def test_composites_below_an_alternate_path(server, device12, number):
    """SenML names carry it, keys of LwM2M CBOR do not, and the request goes to the root."""
    one = device12(alternate="/lwm2m", formats=[JSON] if number == JSON else [number, SCBOR])
    path = server.rest.device_path(one.endpoint, "resources:read") + "?source=device"
    answer = server.rest.ok("POST", path, {"paths": ["/3/0/0", "/1/0/1"]}, status=200).json
    assert {v["path"]: v["value"] for v in answer["values"]} == {"/3/0/0": "Test Works", "/1/0/1": 300}
    seen = one.seen("FETCH", "/")
    assert seen.accept == number
    assert formats12.fetch_paths(seen.content_format, seen.payload) == ["/lwm2m/3/0/0", "/lwm2m/1/0/1"]
    server.rest.write_many(one.endpoint, {"/3303/0/5750": "attic", "/3442/0/120": 3})
    assert one.get("/3303/0/5750") == "attic" and one.get("/3442/0/120") == 3


@pytest.mark.parametrize("szx", [0, 2, 6])
def test_composites_in_blocks(server, device12, szx):
    """A request of 64 paths and an answer of some kilobytes."""
    one = device12(szx=szx, formats=[SCBOR])
    one.objects[3442] = {number: {110: f"{number:03}" * 12, 120: number} for number in range(64)}
    paths = [f"/3442/{number}/110" for number in range(64)]
    assert server.rest.read_many(one.endpoint, *paths) == {path: one.get(path) for path in paths}
    values = {path: path * 9 for path in paths}
    server.rest.write_many(one.endpoint, values)
    assert {path: one.get(path) for path in paths} == values


@pytest.mark.parametrize(
    "paths", [[], ["3/0"], ["/3/0/0", "/3/0/0"], ["/1/2/3/4/5"], ["/70000"], [7], "x", None, ["/3"] * 65], ids=str
)
def test_paths_that_are_none(server, device12, paths):
    one = device12()
    answer = server.rest.request(
        "POST", server.rest.device_path(one.endpoint, "resources:read"), {"paths": paths}
    )
    assert answer.status in (400, 422) and answer.type == "application/problem+json", answer
    assert one.requests == []


# -- Write-Composite -------------------------------------------------------------------------------------------------

WRITERS = {
    "1.0": (dict(version="1.0", formats=[TLV, TEXT]), None),
    "1.1-json": (dict(version="1.1", formats=[JSON], etch=False), [JSON]),
    "1.1-without": (dict(version="1.1", formats=[SCBOR], composites=False), None),
    "1.2": (dict(), [LWM2M_CBOR, ETCH_CBOR, SCBOR]),
    "1.2-json": (dict(formats=[JSON]), [ETCH_JSON, JSON]),
    "1.2-without": (dict(composites=False), None),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_write_composite(server, device12, kind):
    named, numbers = WRITERS[kind]
    one = device12(**named)
    before = dict(one.objects[3442][0])
    server.rest.write_many(
        one.endpoint, {"/3442/0/120": 5, "/3303/0/5750": "roof", "/3442/0/140": False, "/3442/0/1110/3": "new"}
    )
    after = {**before, 120: 5, 140: False, 1110: {0: "a", 3: "new", 7: "b"}}
    assert one.objects[3442][0] == after and one.get("/3303/0/5750") == "roof"
    if numbers is None:
        assert one.seen("POST", "/3442/0").content_format in one.formats
    else:
        assert one.seen("iPATCH", "/").content_format in numbers
        assert [request.method for request in one.requests] == ["iPATCH"]


@pytest.mark.parametrize("kind", ["1.1-json", "1.1-without", "1.2", "1.2-json", "1.2-without"])
def test_null_removes_a_resource_instance(server, device12, kind):
    one = device12(**WRITERS[kind][0])
    server.rest.write_many(one.endpoint, {"/3442/0/1110/7": None, "/3442/0/120": 6})
    assert one.get("/3442/0/1110") == {0: "a"} and one.get("/3442/0/120") == 6


def test_a_composite_write_is_all_or_nothing(server, device12):
    one = device12()
    path = server.rest.device_path(one.endpoint, "resources:write")
    body = {"values": [{"path": "/3442/0/120", "value": 5}, {"path": "/3303/9/5750", "value": "x"}]}
    assert server.rest.problem("POST", path, 502, body)["coapCode"] == "4.04"
    assert one.get("/3442/0/120") == -7


def test_single_writes_say_how_far_they_came(server, device12):
    """Without composites it is not all or nothing: the operator hears it."""
    one = device12(composites=False)
    one.behaviours["/3442/0"] = lambda seen: "4.01" if seen.method == "POST" else None
    path = server.rest.device_path(one.endpoint, "resources:write")
    body = {"values": [{"path": "/3442/0/120", "value": 5}, {"path": "/3303/0/5750", "value": "x"}]}
    problem = server.rest.problem("POST", path, 502, body)
    assert problem["coapCode"] == "4.01" and "1 single operation" in problem["detail"], problem
    assert one.get("/3303/0/5750") == "x" and one.get("/3442/0/120") == -7


def test_single_reads_survive_one_that_fails(server, device12):
    one = device12(composites=False)
    one.behaviours["/3303/0/5700"] = lambda seen: "5.00"
    assert server.rest.read_many(one.endpoint, "/3303/0/5700", "/3/0/0") == {"/3/0/0": "Test Works"}


@pytest.mark.parametrize(
    "values, status",
    [
        ({"/3442/0/120": "seven"}, (400, 422)),
        ({"/3303/0/5700": 1.5}, 422),
        ({"/3442/0": 1}, (400, 422)),
        ({}, 400),
        ({"/3442/0/120": None}, (400, 422)),
    ],
    ids=str,
)
def test_composite_writes_that_never_reach_the_device(server, device12, values, status):
    one = device12()
    body = {"values": [{"path": path, "value": value} for path, value in values.items()]}
    answer = server.rest.request("POST", server.rest.device_path(one.endpoint, "resources:write"), body)
    assert answer.status in (status if isinstance(status, tuple) else (status,)), answer
    assert one.requests == []


# -- Write of the Server object applies here too ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["write", "composite", "instance"])
def test_the_lifetime_counts_as_soon_as_it_is_written(server, device12, way):
    """Some clients never send the Update that should follow; a restart remembers it too (test_11)."""
    one = device12()
    if way == "write":
        server.rest.write(one.endpoint, "/1/0/1", 4000)
    elif way == "composite":
        server.rest.write_many(one.endpoint, {"/1/0/1": 4000, "/3442/0/120": 1})
    else:
        server.rest.write(one.endpoint, "/1/0", values=[{"path": "/1/0/1", "value": 4000}], method="POST")
    assert one.get("/1/0/1") == 4000
    server.rest.wait_device(one.endpoint, lambda device: device["lifetime"] == 4000)


def test_a_refused_lifetime_does_not_count(server, device12):
    one = device12()
    one.behaviours["/1/0/1"] = lambda seen: "4.01"
    server.rest.problem(
        "PUT", server.rest.device_path(one.endpoint, "resources/1/0/1"), 502, {"value": 4000}
    )
    assert server.rest.device(one.endpoint)["lifetime"] == 300


# -- attributes of one observation ---------------------------------------------------------------------------------------


def observe(server, events, endpoint, *paths, **named):
    """The observation, after the notification that its first answer is."""
    observation = server.rest.observe(endpoint, *paths, **named)
    told(events, endpoint)
    return observation


def told(events, endpoint, seconds=10):
    event = events.next("notification", endpoint, seconds=seconds)
    return {value["path"]: value["value"] for value in event["values"]}


def nothing_told(events, endpoint, seconds):
    found = [e for e in events.drain(seconds) if e.kind == "notification" and e["endpoint"] == endpoint]
    assert not found, found


# attributes; steps: (value, told at once?)
CONDITIONS = {
    "gt": ("/3303/0/5601", dict(gt=30), [(25.0, False), (31.0, True), (35.0, False), (29.0, True)]),
    "lt": ("/3303/0/5601", dict(lt=10), [(15.0, False), (9.0, True), (11.0, True)]),
    "st": ("/3303/0/5601", dict(st=5), [(22.0, False), (26.0, True), (24.0, False), (20.0, True)]),
    "gt-lt-st": ("/3303/0/5601", dict(lt=10, gt=30, st=9), [(25.0, False), (31.0, True), (29.5, True)]),
    "edge-1": ("/3442/0/140", dict(edge=1), [(False, False), (True, True), (False, False), (True, True)]),
    "edge-0": ("/3442/0/140", dict(edge=0), [(False, True), (True, False), (False, True)]),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_of_one_observation(server, device12, events, name):
    """INFO-1, INFO-3: in the query of the Observe, not in Discover, and only what fulfils them is told."""
    path, attributes, steps = CONDITIONS[name]
    one = device12()
    observation = observe(server, events, one.endpoint, path, attributes=attributes)
    seen = one.seen("GET", path)
    assert sorted(seen.query) == sorted(f"{key}={value}" for key, value in attributes.items())
    assert seen.observe == 0 and observation["state"] == "active"
    assert observation["attributes"] == attributes
    assert not [request for request in one.requests if request.method == "PUT"]
    assert server.rest.discover(one.endpoint, path)[path] == {}
    for value, expected in steps:
        one.set(path, value)
        if expected:
            assert told(events, one.endpoint) == {path: value}
        else:
            nothing_told(events, one.endpoint, 0.3)


def test_pmin_and_pmax_of_one_observation(server, device12, events):
    """They override what is attached; two observations of one resource go by their own."""
    one = device12()
    path = "/3303/0/5700"
    server.rest.set_attributes(one.endpoint, path, {"pmax": 1})
    observe(server, events, one.endpoint, path, attributes={"pmin": 1, "pmax": 4})
    one.set(path, 30.0)
    begun = time.monotonic()
    assert told(events, one.endpoint) == {path: 30.0}
    assert time.monotonic() - begun > 0.6, "pmin holds it back"
    nothing_told(events, one.endpoint, 1.6)
    assert told(events, one.endpoint, 6) == {path: 30.0}, "pmax, though nothing changed"


@pytest.mark.parametrize("con", [0, 1])
def test_con_of_one_observation(server, peer, endpoint, con):
    """What the server asks for; whether the device obeys is its own affair."""
    one = peer()
    one.register(endpoint, "</>;ct=112,</1/0>,</3/0>,</3303/0>", version="1.2")
    call = Background(server.rest.observe, endpoint, "/3303/0/5700", attributes={"con": con})
    request = one.expect_request(wire.GET, "/3303/0/5700")
    assert request.query == [f"con={con}"] and request.uint(wire.OBSERVE) == 0
    one.answer(request, "2.05", b"1", content_format=TEXT, observe=1)
    assert call.result()["attributes"] == {"con": con}


def test_confirmable_notifications(server, device12, events):
    one = device12()
    observe(server, events, one.endpoint, "/3303/0/5700", attributes={"con": 1})
    for value in (1.5, 2.5, 3.5):
        one.set("/3303/0/5700", value)
        assert told(events, one.endpoint) == {"/3303/0/5700": value}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_older_devices_get_their_attributes_attached(server, device12, events, version):
    one = device12(version=version, formats=[TLV], advertise=None)
    observe(server, events, one.endpoint, "/3303/0/5601", attributes={"gt": 30})
    methods = [(request.method, request.query) for request in one.requests]
    assert methods[0] == ("PUT", ["gt=30"]) and set(request[0] for request in methods[1:]) == {"GET"}
    assert not [query for method, query in methods if query and method == "GET"]
    one.set("/3303/0/5601", 26.0)
    nothing_told(events, one.endpoint, 0.3)
    one.set("/3303/0/5601", 31.0)
    assert told(events, one.endpoint) == {"/3303/0/5601": 31.0}


def test_a_1_2_device_that_rejects_the_query(server, device12, events):
    one = device12(queries=False)
    observe(server, events, one.endpoint, "/3303/0/5601", attributes={"st": 5})
    assert one.seen("PUT", "/3303/0/5601").query == ["st=5"]
    one.set("/3303/0/5601", 21.0)
    nothing_told(events, one.endpoint, 0.3)
    one.set("/3303/0/5601", 27.0)
    assert told(events, one.endpoint) == {"/3303/0/5601": 27.0}


@pytest.mark.parametrize(
    "attributes, status",
    [({"gt": 1, "lt": 5}, 422), ({"lt": 1, "gt": 5, "st": 3}, 422), ({"band": 1}, 422), ({"edge": 7}, 422)],
    ids=str,
)
def test_attributes_that_contradict_each_other(server, device12, attributes, status):
    one = device12()
    path = server.rest.device_path(one.endpoint, "observations")
    answer = server.rest.request(
        "POST", path, {"paths": ["/3303/0/5700"], "attributes": attributes}
    )
    assert answer.status in (400, status), answer
    assert one.requests == []


# -- Observe-Composite -------------------------------------------------------------------------------------------------------


def test_observe_composite(server, device12, events):
    """INFO-2: every notification has all paths; the attributes are in the query."""
    one = device12()
    paths = ["/3303/0/5700", "/3/0/9"]
    observation = observe(server, events, one.endpoint, *paths, attributes={"pmin": 1, "pmax": 60})
    seen = one.seen("FETCH", "/")
    assert seen.observe == 0 and sorted(seen.query) == ["pmax=60", "pmin=1"]
    assert formats12.fetch_paths(seen.content_format, seen.payload) == paths
    assert observation["paths"] == paths and observation["state"] == "active"
    assert {v["path"]: v["value"] for v in observation["current"]["values"]} == {"/3303/0/5700": 22.5, "/3/0/9": 95}
    begun = time.monotonic()
    one.set("/3303/0/5700", 30.5)
    assert told(events, one.endpoint) == {"/3303/0/5700": 30.5, "/3/0/9": 95}
    assert time.monotonic() - begun > 0.5, "pmin"
    one.set("/3/0/9", 94)
    assert told(events, one.endpoint) == {"/3303/0/5700": 30.5, "/3/0/9": 94}
    server.rest.cancel(one.endpoint, observation["id"])
    cancel = one.seen("FETCH", "/", count=2)
    assert cancel.observe == 1 and cancel.payload == seen.payload and cancel.content_format == seen.content_format
    one.set("/3/0/9", 93)
    nothing_told(events, one.endpoint, 0.4)
    assert one.watches == [] and server.rest.observations(one.endpoint) == []


@pytest.mark.parametrize("number", [LWM2M_CBOR, SCBOR, JSON], ids=["lwm2m-cbor", "senml-cbor", "senml-json"])
def test_instances_come_and_go(server, device12, events, number):
    one = device12(formats=[number, SCBOR])
    observe(server, events, one.endpoint, "/3303", "/3/0/9")
    one.set("/3303/4", {5700: 1.5})
    assert told(events, one.endpoint)["/3303/4/5700"] == 1.5

    one.remove("/3303/4")
    assert "/3303/4/5700" not in told(events, one.endpoint)


def test_observe_composite_without_query(server, device12, events):
    """The device takes no attributes with it: they are attached to each path first."""
    one = device12(queries=False)
    observation = observe(server, events, one.endpoint, "/3303/0/5700", "/3/0/9", attributes={"pmin": 1})
    assert observation["state"] == "active" and observation["attributes"] == {"pmin": 1}
    assert one.seen("PUT", "/3303/0/5700").query == one.seen("PUT", "/3/0/9").query == ["pmin=1"]
    assert one.seen("FETCH", "/", count=2).query == []
    one.set("/3/0/9", 50)
    assert told(events, one.endpoint) == {"/3303/0/5700": 22.5, "/3/0/9": 50}


def test_observe_composite_of_a_device_without_it(server, device12):
    """Several observations would not be one: refused, and nothing is left behind."""
    one = device12(composites=False)
    path = server.rest.device_path(one.endpoint, "observations")
    answer = server.rest.request("POST", path, {"paths": ["/3303/0/5700", "/3/0/9"]})
    assert answer.status in (501, 502) and answer.type == "application/problem+json", answer
    assert server.rest.observations(one.endpoint) == []


def test_large_composite_notifications(server, device12, events):
    """The first block is pushed, the rest fetched."""
    one = device12(szx=4, formats=[SCBOR])
    one.objects[3442][0] = {110: "x" * 900, 120: 1}
    observe(server, events, one.endpoint, "/3442/0", "/3/0/9")
    one.set("/3442/0/110", "y" * 1200)
    assert told(events, one.endpoint) == {"/3442/0/110": "y" * 1200, "/3442/0/120": 1, "/3/0/9": 95}


# -- Send --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [LWM2M_CBOR, SCBOR, JSON], ids=["lwm2m-cbor", "senml-cbor", "senml-json"])
def test_send_in_every_format(server, device12, events, number):
    one = device12()
    one.send_values({"/3303/0/5700": 22.5, "/3442/0": one.objects[3442][0]}, number)
    event = events.next("send", one.endpoint)
    found = {value["path"]: value["value"] for value in event["values"]}
    assert found["/3303/0/5700"] == 22.5 and found["/3442/0/1120/1"] == -300
    assert found["/3442/0/150"] == b64(b"\x01\x02\xff") and found["/3442/0/170"] == "3303:0"

