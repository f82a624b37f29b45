"""Read, Write, Execute, Create, Delete, Discover, Write-Attributes through REST, in every data format.

The peer is aiocoap with Python codecs of the tests' own; which format travels is decided by the version
and the ct list the device registers with (wire reference, data formats, section 10).
"""

import asyncio
import base64
import datetime

import pytest
from support import formats, settings, wire
from support.background import Background
from support.device import Device
from support.formats import Link, Time, Unsigned
from support.raw import RawPeer
from support.settings import limit

TLV, JSON, CBOR = formats.TLV, formats.SENML_JSON, formats.SENML_CBOR
LWM2M_CBOR = formats.LWM2M_CBOR
# version, formats of the device, ct it announces, the format we expect for more than one value
KINDS = {
    "1.0-tlv": ("1.0", [TLV, 0, 42], None, TLV),
    "1.1-tlv": ("1.1", [TLV, 0, 42], [TLV], TLV),
    "1.1-senml-json": ("1.1", [JSON, 0, 42], [JSON], JSON),
    "1.1-senml-cbor": ("1.1", [CBOR, 0, 42], [CBOR], CBOR),
    "1.2-senml-json": ("1.2", [JSON, 0, 42], [JSON], JSON),
    "1.2-senml-cbor": ("1.2", [CBOR, 0, 42], [CBOR], CBOR),
    "1.2-lwm2m-cbor": ("1.2", [LWM2M_CBOR, 0, 42], [LWM2M_CBOR], LWM2M_CBOR),
    "1.2-lwm2m-cbor-found": ("1.2", [LWM2M_CBOR], None, LWM2M_CBOR),
}


@pytest.fixture(scope="module", autouse=True)
def test_object(server):
    """The object with a resource of every type; not among the definitions the server brings along."""
    server.rest.put_model((settings.MODELS / "3442.xml").read_bytes())


@pytest.fixture(params=KINDS, scope="function")
def kind(request, device):
    version, have, advertise, wide = KINDS[request.param]
    one = device(version=version, formats=have, advertise=advertise)
    one.wide = wide
    return one


def b64(data):
    return base64.b64encode(data).decode()


# REST value -> what the device holds
SAMPLES = {
    110: ('Grüße, "quoted"\n', 'Grüße, "quoted"\n', "string"),
    120: (-9007199254740991, -9007199254740991, "integer"),
    125: (4294967296, Unsigned(4294967296), "unsigned"),
    130: (-0.125, -0.125, "float"),
    140: (False, False, "boolean"),
    150: (b64(bytes(range(256))), bytes(range(256)), "opaque"),
    160: (1500000000, Time(1500000000), "time"),
    170: ("3:0", Link("3:0"), "objlnk"),
}


# -- Read ---------------------------------------------------------------------------------------------------


def test_read_instance_in_every_format(server, kind):
    answer = server.rest.read(kind.endpoint, "/3442/0")
    assert kind.seen("GET", "/3442/0").accept in (kind.wide, None)
    assert answer["path"] == "/3442/0"
    paths = [value["path"] for value in answer["values"]]
    assert paths == sorted(paths, key=formats.parts), "flat and ordered by path"
    found = {value["path"]: (value["value"], value["type"]) for value in answer["values"]}
    assert found["/3442/0/110"] == ("text", "string")
    assert found["/3442/0/120"] == (-7, "integer")
    assert found["/3442/0/125"] == (4294967295, "unsigned")
    assert found["/3442/0/130"] == (3.25, "float")
    assert found["/3442/0/140"] == (True, "boolean")
    assert found["/3442/0/150"] == (b64(b"\x01\x02\xff"), "opaque")
    assert found["/3442/0/160"] == (1700000000, "time")
    assert found["/3442/0/170"] == ("3303:0", "objlnk")
    assert found["/3442/0/1110/7"] == ("b", "string")
    assert found["/3442/0/1120/1"] == (-300, "integer")
    assert found["/3442/0/1140/3"] == (False, "boolean")
    assert found["/3442/0/1150/1"] == (b64(b"\xff"), "opaque")


def test_read_every_type_as_a_single_value(server, kind):
    for resource, (shown, held, name) in SAMPLES.items():
        kind.objects[3442][0][resource] = held
        answer = server.rest.read(kind.endpoint, f"/3442/0/{resource}")
        assert (answer["value"], answer["type"]) == (shown, name)
        assert answer["path"] == f"/3442/0/{resource}" and answer["origin"] == "read"


def test_a_value_says_when_it_was_read(server, device):
    one = device()
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
    answer = server.rest.read(one.endpoint, "/3/0/0")
    when = datetime.datetime.strptime(answer["time"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert before <= when <= before + datetime.timedelta(seconds=limit(10))


def test_read_object_and_resource_instance(server, kind):
    kind.objects[3303][4] = {5700: -40.5}
    values = server.rest.values(kind.endpoint, "/3303")
    assert values["/3303/0/5700"] == 22.5 and values["/3303/4/5700"] == -40.5
    if kind.version != "1.0":
        answer = server.rest.read(kind.endpoint, "/3442/0/1110/7")
        assert answer.get("value", answer.get("values", [{}])[0].get("value")) == "b"


def test_read_multiple_resource(server, kind):
    assert server.rest.values(kind.endpoint, "/3442/0/1120") == {"/3442/0/1120/0": 1, "/3442/0/1120/1": -300}


def test_read_object_without_instances(server, device):
    one = device(objects={1: {0: {1: 60}}, 3: {0: {0: "x"}}, 3303: {}}, formats=[JSON])
    assert server.rest.read(one.endpoint, "/3303")["values"] == []


@pytest.mark.parametrize("number", [9007199254740993, -9223372036854775808, 9223372036854775807])
def test_integers_beyond_2_53_are_exact_strings(server, device, number):
    for have in ([JSON], [CBOR], [TLV]):
        one = device(formats=have)
        one.objects[3442][0][120] = number
        answer = server.rest.read(one.endpoint, "/3442/0/120")
        assert (answer["value"], answer["type"]) == (str(number), "integer")
        server.rest.write(one.endpoint, "/3442/0/120", str(number - 1 if number > 0 else number + 1))
        assert one.get("/3442/0/120") == (number - 1 if number > 0 else number + 1)


def test_unsigned_64_bit(server, device):
    one = device(formats=[CBOR])
    one.objects[3442][0][125] = Unsigned(18446744073709551615)
    assert server.rest.value(one.endpoint, "/3442/0/125") == "18446744073709551615"


@pytest.mark.parametrize(
    "name, number",
    [("cbor", formats.CBOR), ("lwm2m-cbor", LWM2M_CBOR), ("11544", LWM2M_CBOR), ("1542", TLV), ("tlv", TLV)],
)
def test_format_by_name_or_number(server, device, name, number):
    """Numbers of drafts stand for those that IANA gave."""
    one = device(formats=[number])
    path = server.rest.device_path(one.endpoint, "resources", "/3442/0/120") + f"?source=device&format={name}"
    assert server.rest.ok("GET", path).json["value"] == -7
    assert one.seen("GET", "/3442/0/120").accept == number


@pytest.mark.parametrize("name", ["320", "senml-etch-cbor", "40", "65536"])
def test_format_that_is_not_of_values(server, device, name):
    one = device()
    path = server.rest.device_path(one.endpoint, "resources", "/3/0/0") + f"?source=device&format={name}"
    server.rest.problem("GET", path, 400)


def test_the_format_of_the_answer_decides(server, device):
    """Whatever was asked for in Accept."""
    one = device(advertise=[JSON])
    tlv = formats.tlv_encode("/3/0", {0: "tlv", 9: 50})
    one.behaviours["/3/0"] = lambda seen: ("2.05", tlv, TLV)
    assert server.rest.values(one.endpoint, "/3/0") == {"/3/0/0": "tlv", "/3/0/9": 50}
    cbor = formats.senml_cbor_encode("/3/0", {0: "cbor"})
    one.behaviours["/3/0"] = lambda seen: ("2.05", cbor, CBOR)
    assert server.rest.values(one.endpoint, "/3/0") == {"/3/0/0": "cbor"}
    one.behaviours["/3/0/9"] = lambda seen: ("2.05", b"61", 0)
    assert server.rest.value(one.endpoint, "/3/0/9") == 61


@pytest.mark.parametrize(
    "number, body", [(1541, b"77"), (1542, formats.tlv_encode("/3/0/9", 77))], ids=["1541", "1542"]
)
def test_numbers_of_the_drafts_are_understood(server, device, number, body):
    one = device(version="1.0")
    one.behaviours["/3/0/9"] = lambda seen: ("2.05", body, number)
    assert server.rest.value(one.endpoint, "/3/0/9") == 77


def test_formats_are_tried_when_a_1_2_client_says_nothing(server, device):
    """No ct: SenML first, then older formats on 4.06."""
    one = device(version="1.2", formats=[TLV], advertise=None)
    assert server.rest.values(one.endpoint, "/3/0")["/3/0/0"] == "Test Works"
    accepts = [request.accept for request in one.requests if request.method == "GET"]
    assert accepts[0] != TLV and accepts[-1] == TLV


def test_senml_forms_that_clients_send(server, device):
    """Base name in the first record only; a name from bn alone; integral floats for integers."""
    one = device(formats=[JSON])
    one.behaviours["/3/0"] = lambda seen: (
        "2.05",
        b'[{"bn":"/3/0/","n":"0","vs":"a"},{"n":"9","v":33.0},{"n":"11/0","v":0}]',
        JSON,
    )
    assert server.rest.values(one.endpoint, "/3/0") == {"/3/0/0": "a", "/3/0/9": 33, "/3/0/11/0": 0}
    one.behaviours["/3/0/0"] = lambda seen: ("2.05", b'[{"bn":"/3/0/0","vs":"x"}]', JSON)
    assert server.rest.value(one.endpoint, "/3/0/0") == "x"
    one.behaviours["/3303/0/5700"] = lambda seen: ("2.05", b'[{"bn":"/3303/0/5700","v":23}]', JSON)
    assert server.rest.value(one.endpoint, "/3303/0/5700") == 23


@pytest.mark.parametrize(
    "body, number",
    [
        (b"\xc8\x00\x14short", TLV),
        (b"\xff\xff\xff", TLV),
        (b"[{", JSON),
        (b'{"n":"/3/0"}', JSON),
        (b"\x9f", CBOR),
        (b"\x81\xa2\x00\x65/3/0/9", CBOR),
        (b"x", 11999),
    ],
    ids=[
        "tlv-length",
        "tlv-noise",
        "json-cut",
        "json-not-array",
        "cbor-cut",
        "cbor-map-cut",
        "unknown-format",
    ],
)
def test_answers_that_make_no_sense_are_502(server, device, body, number):
    one = device()
    one.behaviours["/3/0"] = lambda seen: ("2.05", body, number)
    problem = server.rest.problem(
        "GET", server.rest.device_path(one.endpoint, "resources/3/0?source=device"), 502
    )
    assert problem["endpoint"] == one.endpoint and problem["path"] == "/3/0"


@pytest.mark.parametrize("text", [b"inf", b"nan", b"1e", b"", b"x"])
def test_text_that_is_no_number_is_502(server, device, text):
    one = device()
    one.behaviours["/3303/0/5700"] = lambda seen: ("2.05", text, 0)
    server.rest.problem(
        "GET", server.rest.device_path(one.endpoint, "resources/3303/0/5700?source=device"), 502
    )


@pytest.mark.parametrize("code", ["4.00", "4.01", "4.04", "4.05", "5.00", "5.03", "4.29"])
def test_errors_of_the_device_are_502_with_the_code(server, device, code):
    one = device()
    one.behaviours["/3/0/0"] = lambda seen: code
    problem = server.rest.problem(
        "GET", server.rest.device_path(one.endpoint, "resources/3/0/0?source=device"), 502
    )
    assert problem["coapCode"] == code
    assert problem["endpoint"] == one.endpoint and problem["path"] == "/3/0/0"
    assert code in problem["title"] or code in problem.get("detail", "")


def test_separate_response(server, device):
    """A device that needs a second acknowledges first."""

    async def slow(seen):
        await asyncio.sleep(1.2)

    one = device()
    one.behaviours["/3/0/0"] = slow
    assert server.rest.value(one.endpoint, "/3/0/0") == "Test Works"
    assert len([request for request in one.requests if request.path == "/3/0/0"]) == 1


# -- Write --------------------------------------------------------------------------------------------------


def test_write_every_type(server, kind):
    for resource, (shown, held, _) in SAMPLES.items():
        server.rest.write(kind.endpoint, f"/3442/0/{resource}", shown)
        assert kind.get(f"/3442/0/{resource}") == held
        assert type(kind.get(f"/3442/0/{resource}")) is type(held)
        seen = kind.seen("PUT", f"/3442/0/{resource}")
        assert seen.content_format is not None and not seen.query


def test_write_replaces_an_instance(server, kind):
    values = [{"path": "/3303/0/5750", "value": "attic"}]
    server.rest.write(kind.endpoint, "/3303/0", values=values)
    assert kind.seen("PUT", "/3303/0").content_format == kind.wide
    assert kind.get("/3303/0/5750") == "attic"
    kind.objects[3442][0][110] = "to go"
    server.rest.write(kind.endpoint, "/3442/0", values=[{"path": "/3442/0/120", "value": 8}])
    assert kind.objects[3442][0] == {120: 8}


def test_partial_update_of_an_instance(server, kind):
    before = dict(kind.objects[3442][0])
    server.rest.write(
        kind.endpoint,
        "/3442/0",
        values=[{"path": "/3442/0/120", "value": 8}, {"path": "/3442/0/140", "value": False}],
        method="POST",
    )
    assert kind.seen("POST", "/3442/0").content_format == kind.wide
    assert kind.objects[3442][0] == {**before, 120: 8, 140: False}


def test_write_multiple_resource_replace_and_update(server, kind):
    path = "/3442/0/1110"
    values = [{"path": f"{path}/1", "value": "Yellow"}, {"path": f"{path}/3", "value": "Blue"}]
    kind.objects[3442][0][1110] = {0: "Red", 1: "Green"}
    server.rest.write(kind.endpoint, path, values=values, method="POST")
    assert kind.get(path) == {0: "Red", 1: "Yellow", 3: "Blue"}
    kind.objects[3442][0][1110] = {0: "Red", 1: "Green"}
    server.rest.write(kind.endpoint, path, values=values)
    assert kind.get(path) == {1: "Yellow", 3: "Blue"}


def test_write_a_resource_the_model_does_not_know(server, device):
    """The JSON type decides then."""
    one = device(objects={1: {0: {1: 60}}, 3: {0: {0: "x"}}, 32770: {0: {1: "a"}}})
    server.rest.write(one.endpoint, "/32770/0/1", "b")
    assert one.get("/32770/0/1") == "b"


@pytest.mark.parametrize(
    "path, body",
    [
        ("/3442/0/120", {"value": "seven"}),
        ("/3442/0/120", {"value": 1.5}),
        ("/3442/0/140", {"value": 7}),
        ("/3442/0/150", {"value": "not base64!"}),
        ("/3442/0/170", {"value": "66"}),
        ("/3442/0/130", {"value": None}),
        ("/3442/0", {"values": [{"path": "/3/0/15", "value": "outside"}]}),
        ("/3442/0", {"values": [{"path": "/3442/0/120"}]}),
        ("/3442/0", {"values": {}}),
        ("/3442/0/120", {}),
        ("/3442/0/120", []),
        ("/3442/0/120", "text"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_never_reach_the_device(server, device, path, body):
    one = device()
    answer = server.rest.request("PUT", server.rest.device_path(one.endpoint, "resources", path), body)
    assert answer.status in (400, 422) and answer.type == "application/problem+json", answer
    assert one.requests == []


def test_write_to_what_the_model_makes_read_only_is_422(server, device):
    one = device()
    server.rest.problem(
        "PUT", server.rest.device_path(one.endpoint, "resources/3303/0/5700"), 422, {"value": 1.0}
    )
    server.rest.problem("PUT", server.rest.device_path(one.endpoint, "resources/3/0/4"), 422, {"value": 1})
    assert one.requests == []


def test_write_refused_by_the_device(server, device):
    one = device()
    one.behaviours["/3303/0/5750"] = lambda seen: "4.01"
    problem = server.rest.problem(
        "PUT", server.rest.device_path(one.endpoint, "resources/3303/0/5750"), 502, {"value": "x"}
    )
    assert problem["coapCode"] == "4.01"


def test_write_falls_back_to_another_format(server, device):
    one = device(version="1.2", formats=[TLV, 0, 42], advertise=None)
    server.rest.write(
        one.endpoint, "/3303/0", values=[{"path": "/3303/0/5750", "value": "roof"}], method="POST"
    )
    assert one.get("/3303/0/5750") == "roof"


def test_lifetime_written_to_the_server_object_holds(server, device):
    """Wakaama never sends the Update: the new lifetime counts once the Write succeeded."""
    one = device(lifetime=300)
    server.rest.write(one.endpoint, "/1/0/1", 900)
    assert server.rest.wait_device(one.endpoint, lambda device: device["lifetime"] == 900)


# -- Execute ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [None, "5", "2='10.3'", "0,1,2,3,4", "0='U'"])
def test_execute(server, device, arguments):
    one = device()
    server.rest.execute(one.endpoint, "/3/0/4", arguments)
    assert one.executed == [("/3/0/4", arguments or "")]
    seen = one.seen("POST", "/3/0/4")
    assert seen.content_format == (0 if arguments else None)
    assert not seen.query


@pytest.mark.parametrize("arguments", ["x", "10", "0='a b'", '0="a"', "0,0", "0='", ",", "0='a'b"])
def test_execute_with_bad_arguments_never_reaches_the_device(server, device, arguments):
    one = device()
    answer = server.rest.request(
        "POST", server.rest.device_path(one.endpoint, "resources/3/0/4"), {"arguments": arguments}
    )
    assert answer.status in (400, 422) and answer.type == "application/problem+json", answer
    assert one.requests == []


def test_execute_what_is_not_executable_is_422(server, device):
    one = device()
    server.rest.problem("POST", server.rest.device_path(one.endpoint, "resources/3/0/9"), 422)
    assert one.requests == []


# -- Create and Delete ----------------------------------------------------------------------------------------


def test_create_and_delete(server, kind):
    answer = server.rest.create(kind.endpoint, "/3303", 7, [{"path": "/3303/7/5750", "value": "new"}])
    assert answer.headers["Location"].endswith("/resources/3303/7")
    assert kind.get("/3303/7") == {5750: "new"}
    assert kind.seen("POST", "/3303").content_format == kind.wide
    # several clients send no Update: the list is kept in step without one
    assert "/3303/7" in [entry["path"] for entry in server.rest.device(kind.endpoint)["objects"]]
    server.rest.delete(kind.endpoint, "/3303/7")
    assert 7 not in kind.objects[3303]
    assert "/3303/7" not in [entry["path"] for entry in server.rest.device(kind.endpoint)["objects"]]


def test_locations_can_be_followed(server, device, endpoint):
    """Also for a name that is not fit for a path as it is."""
    name = f"a/b c?d#{endpoint}"
    one = device(name=name)
    location = server.rest.create(name, "/3303", 7, [{"path": "/3303/7/5750", "value": "new"}]).headers[
        "Location"
    ]
    assert server.rest.ok("GET", location + "/5750?source=device").json["value"] == "new"
    location = server.rest.ok(
        "POST", server.rest.device_path(name, "observations"), {"paths": ["/3303/0/5700"]}, status=201
    ).headers["Location"]
    server.rest.ok("DELETE", location)
    assert one.seen("GET", "/3303/0/5700", count=2).observe == 1


def test_create_lets_the_device_choose(server, device):
    """Possible with TLV: no instance header, the id comes back in Location-Path."""
    one = device(formats=[TLV, 0, 42], advertise=[TLV])
    body = {"values": [{"path": "/5750", "value": "any"}]}
    answer = server.rest.request("POST", server.rest.device_path(one.endpoint, "resources/3303"), body)
    if answer.status == 201:
        assert answer.headers["Location"].endswith("/resources/3303/1")
        assert one.get("/3303/1") == {5750: "any"}
    else:  # the API may ask for the instance, as some clients send no Location-Path
        assert answer.status in (400, 422) and one.requests == []


def test_create_existing_instance_is_refused(server, device):
    one = device()
    body = {"instance": 0, "values": [{"path": "/3303/0/5750", "value": "x"}]}
    answer = server.rest.request("POST", server.rest.device_path(one.endpoint, "resources/3303"), body)
    assert answer.status in (409, 502), answer
    assert one.get("/3303/0/5750") == "cellar"


def test_delete_device_object_is_refused(server, device):
    one = device()
    one.behaviours["/3/0"] = lambda seen: "4.05"
    answer = server.rest.request("DELETE", server.rest.device_path(one.endpoint, "resources/3/0"))
    assert answer.status in (422, 502), answer
    assert 0 in one.objects[3]


def test_delete_unknown_instance(server, device):
    one = device()
    answer = server.rest.request("DELETE", server.rest.device_path(one.endpoint, "resources/3303/99"))
    assert answer.status in (404, 502), answer


# -- Discover and attributes -------------------------------------------------------------------------------------


def test_discover(server, device):
    one = device()
    one.attributes = {"/3303/0": {"pmin": 10}, "/3303/0/5700": {"gt": 30.5, "st": 1}}
    links = server.rest.discover(one.endpoint, "/3303")
    assert one.seen("GET", "/3303").accept == 40
    assert list(links) == [
        "/3303",
        "/3303/0",
        "/3303/0/5601",
        "/3303/0/5602",
        "/3303/0/5700",
        "/3303/0/5701",
        "/3303/0/5750",
    ]
    assert links["/3303/0"] == {"pmin": 10}
    assert links["/3303/0/5700"] == {"gt": 30.5, "st": 1}
    assert links["/3303/0/5750"] == {}


def test_discover_depth(server, device):
    one = device(version="1.2")
    assert list(server.rest.discover(one.endpoint, "/3303", depth=0)) == ["/3303"]
    assert list(server.rest.discover(one.endpoint, "/3303", depth=1)) == ["/3303", "/3303/0"]
    assert one.seen("GET", "/3303", count=2).query == ["depth=1"]
    links = server.rest.discover(one.endpoint, "/3442/0/1110", depth=1)
    assert links["/3442/0/1110"]["dim"] == 2 and "/3442/0/1110/7" in links
    answer = server.rest.get(server.rest.device_path(one.endpoint, "discover/3303?depth=9"))
    assert answer.status == 400


def test_discover_below_an_alternate_path(server, device):
    """Links carry the alternate path on the wire, not towards the operator."""
    one = device(alternate="/lwm2m")
    assert "/3303/0/5700" in server.rest.discover(one.endpoint, "/3303/0")


def test_write_attributes(server, device):
    one = device()
    server.rest.set_attributes(
        one.endpoint, "/3303/0/5700", {"pmin": 10, "pmax": 300, "gt": 30.5, "lt": 10, "st": 0.5}
    )
    seen = one.seen("PUT", "/3303/0/5700")
    assert sorted(seen.query) == ["gt=30.5", "lt=10", "pmax=300", "pmin=10", "st=0.5"]
    assert seen.payload == b"" and seen.content_format is None
    assert server.rest.attributes(one.endpoint, "/3303/0/5700") == {
        "pmin": 10,
        "pmax": 300,
        "gt": 30.5,
        "lt": 10,
        "st": 0.5,
    }
    server.rest.set_attributes(one.endpoint, "/3303/0/5700", {"pmin": None})
    assert one.seen("PUT", "/3303/0/5700", count=2).query == ["pmin"]
    assert "pmin" not in server.rest.attributes(one.endpoint, "/3303/0/5700")


@pytest.mark.parametrize(
    "attributes",
    [
        {"gt": 10, "lt": 20},
        {"gt": 10, "lt": 5, "st": 3},
        {"pmin": -1},
        {"pmin": "x"},
        {"nope": 1},
        {"epmin": 10, "epmax": 5},
        {},
    ],
    ids=str,
)
def test_attributes_that_contradict_never_reach_the_device(server, device, attributes):
    one = device()
    answer = server.rest.request(
        "PUT", server.rest.device_path(one.endpoint, "attributes/3303/0/5700"), attributes
    )
    assert answer.status in (400, 422) and answer.type == "application/problem+json", answer
    assert one.requests == []


# -- no answer ------------------------------------------------------------------------------------------------------


def test_no_answer_is_504(daemon, endpoint):
    one = daemon(ack_timeout_ms=50)
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
        read = Background(
            one.rest.problem, "GET", one.rest.device_path(endpoint, "resources/3/0/0?source=device"), 504
        )
        first = peer.expect_request(wire.GET, "/3/0/0")
        copies = [first] + [peer.expect_request(wire.GET, "/3/0/0") for _ in range(4)]
        assert all(copy.encode() == first.encode() for copy in copies), "retransmissions are the same message"
        problem = read.result()
        assert problem["endpoint"] == endpoint
        # and the device is not thrown out for it
        assert one.rest.device(endpoint)["state"] == "registered"


def test_reset_by_the_device_is_502(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
    read = Background(
        server.rest.problem, "GET", server.rest.device_path(endpoint, "resources/3/0/0?source=device"), 502
    )
    one.reset(one.expect_request(wire.GET))
    read.result()


def test_device_that_is_gone_is_no_endless_wait(daemon, endpoint):
    """The port is closed: ICMP tells, or the retransmissions end."""
    one = daemon(ack_timeout_ms=50)
    with Device(one.coap, endpoint) as device:
        device.register()
    answer = one.rest.get(one.rest.device_path(endpoint, "resources/3/0/0?source=device"), timeout=20)
    assert answer.status == 504, answer
