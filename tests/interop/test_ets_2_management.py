"""OMA Enabler Test Specification for LwM2M 1.2: device management (what is left out: test_ets_1_registration.py).

| id                       | test |
|--------------------------|------|
| 1.1-int-201              | test_int_201 Querying basic information in plain text |
| 1.1-int-203              | test_int_203 … in TLV |
| 1.1-int-204              | test_int_204 … in JSON |
| 1.1-int-205              | test_int_205 Setting basic information in plain text |
| 1.1-int-211, 212         | test_int_211, test_int_212 Querying, setting in CBOR |
| 1.1-int-215, 220         | test_int_215, test_int_220 Setting in TLV, JSON |
| 1.1-int-221              | test_int_221 Operations on Security |
| 1.1-int-222 … 225        | test_int_222 … test_int_225 Read of object, instance, resource, resource instance |
| 1.1-int-226, 227, 228    | test_int_226 … 228 Write: partial update, replace, resource instance |
| 1.1-int-230, 257         | test_int_230, test_int_257 Write-Composite, and one that fails |
| 1.1-int-233, 234         | test_int_233, test_int_234 Write of several instances in SenML |
| 1.1-int-235, 236         | test_int_235, test_int_236 Read-Composite on the root, of what is partly missing |
| 1.1-int-237              | test_int_237 Read without a Content-Format |
| 1.1-int-241              | test_int_241 Reboot |
| 1.1-int-256              | test_int_256 Write that must fail |
| 1.1-int-260, 261         | test_int_260, test_int_261 Discover, and with attributes |
| 1.2-int-264, 266         | test_int_264, test_int_266 Discover with depth |
| 1.1-int-280, 281         | test_int_280, test_int_281 Read-Composite, and with missing and executable resources |
| 1.1-int-680, 685         | test_int_680, test_int_685 Create of /3, Delete of /3/0 |
| 1.1-int-1200 … 1204, 1250, 1350, 1630, 1635, 1900 … 2001 | test_int_objects: the objects of those tests (10, 11, 13, 16, 19, 20), read, written, executed, created and deleted as a whole |
"""

import base64

import pytest
from support.daemon import Daemon
from support.ets import CLIENTS, Ours
from support.formats import Link, Time


@pytest.fixture(scope="module")
def server():
    with Daemon(shards=2, grace_s=1, ack_timeout_ms=500) as daemon:
        yield daemon


@pytest.fixture(scope="module", params=CLIENTS)
def client(request, server):
    one = CLIENTS[request.param](server.coap, f"ets-2-{request.param}")
    try:
        yield one.start()
    finally:
        one.close()


@pytest.fixture
def ours(server, endpoint):
    """What Leshan's client cannot do, or what changes the client."""
    one = Ours(server.coap, endpoint)
    try:
        yield one.start()
    finally:
        one.close()


def read(server, one, path, number):
    answer = server.rest.ok(
        "GET",
        server.rest.device_path(one.endpoint, "resources", path) + f"?source=device&format={number}",
        status=200,
    ).json
    return answer["value"] if "value" in answer else {v["path"]: v["value"] for v in answer["values"]}


def write(server, one, path, number, method="PUT", **body):
    target = server.rest.device_path(one.endpoint, "resources", path) + f"?format={number}"
    return server.rest.ok(method, target, body)


# -- formats -------------------------------------------------------------------------------------------------------


def basic(server, one, number):
    for resource in (0, 1, 2):
        value = read(server, one, f"/3/0/{resource}", number)
        assert isinstance(value, str) and value
    assert read(server, one, "/3/0/0", number) == one.manufacturer


def setting(server, one, number):
    for value in ("+05", "+02"):
        write(server, one, "/3/0/14", number, value=value)
        assert server.rest.value(one.endpoint, "/3/0/14") == value
    for value in (10, 0):
        write(server, one, "/1/0/2", number, value=value)
        assert server.rest.value(one.endpoint, "/1/0/2") == value


def test_int_201(server, client):
    basic(server, client, "text")


def test_int_203(server, client):
    found = read(server, client, "/3/0", "tlv")
    assert found["/3/0/0"] == client.manufacturer and found.items() >= client.power.items()


def test_int_204(server, client):
    found = read(server, client, "/3/0", "lwm2m-json")
    assert found["/3/0/0"] == client.manufacturer and found.items() >= client.power.items()


def test_int_205(server, client):
    setting(server, client, "text")


def test_int_211(server, client):
    basic(server, client, "cbor")


def test_int_212(server, client):
    setting(server, client, "cbor")


def test_int_215(server, client):
    setting(server, client, "tlv")
    values = [{"path": "/3/0/14", "value": "+03"}, {"path": "/3/0/15", "value": "Asia/Tokyo"}]
    write(server, client, "/3/0", "tlv", "POST", values=values)
    assert server.rest.value(client.endpoint, "/3/0/15") == "Asia/Tokyo"


def test_int_220(server, client):
    setting(server, client, "lwm2m-json")


# -- reading ---------------------------------------------------------------------------------------------------------


def test_int_221(server, ours):
    """The client keeps its Security object to itself: 4.01 for every operation."""
    ours.device.behaviours.update({path: lambda seen: "4.01" for path in ("/0", "/0/0", "/0/0/0")})
    for method, path, body in (
        ("GET", "/0/0", None),
        ("PUT", "/0/0/0", {"value": "coap://elsewhere"}),
        ("POST", "/0", {"instance": 7, "values": [{"path": "/0/7/0", "value": "coap://x"}]}),
        ("DELETE", "/0/0", None),
    ):
        target = server.rest.device_path(ours.endpoint, "resources", path)
        answer = server.rest.request(method, target + "?source=device", body)
        refused = answer.status == 502 and answer.json["coapCode"] == "4.01"
        assert refused or answer.status in (403, 422), f"{method} {path}: {answer}"
    assert server.rest.value(ours.endpoint, "/3/0/0") == ours.manufacturer


def test_int_222(server, client):
    found = server.rest.values(client.endpoint, "/1")
    assert found["/1/0/1"] == 300 and found["/1/0/7"] == "U"
    assert not [path for path in found if path in ("/1/0/4", "/1/0/8")], "nothing that is only executable"


def test_int_223(server, client):
    found = server.rest.values(client.endpoint, "/3/0")
    assert found["/3/0/0"] == client.manufacturer and found["/3/0/11/0"] == 0
    assert server.rest.values(client.endpoint, "/1/0")["/1/0/1"] == 300


def test_int_224(server, client):
    assert server.rest.value(client.endpoint, "/3/0/0") == client.manufacturer
    assert server.rest.values(client.endpoint, "/3/0/6") == client.power
    assert server.rest.value(client.endpoint, "/1/0/1") == 300


def test_int_225(server, client):
    for path, value in client.power.items():
        assert server.rest.value(client.endpoint, path) == value


def test_int_237(server, ours):
    """Whatever the client likes best is understood."""
    for number in (0, 60, 110, 112, 11542, 11543, 11544):
        ours.device.formats = [number]
        ours.device.behaviours["/3/0/9"] = lambda seen: None if seen.accept is None else "4.06"
        assert server.rest.value(ours.endpoint, "/3/0/9") == 95
        assert ours.device.seen("GET", "/3/0/9").accept is None


# -- writing -----------------------------------------------------------------------------------------------------------


def test_int_226(server, client):
    """Only what is listed changes."""
    before = server.rest.values(client.endpoint, "/1/0")
    values = [{"path": "/1/0/2", "value": 101}, {"path": "/1/0/3", "value": 1010}]
    server.rest.write(client.endpoint, "/1/0", values=values, method="POST")
    after = server.rest.values(client.endpoint, "/1/0")
    assert after == {**before, "/1/0/2": 101, "/1/0/3": 1010}


def test_int_227(server, client):
    for value in (7, 0):
        server.rest.write(client.endpoint, "/1/0/2", value)
        assert server.rest.value(client.endpoint, "/1/0/2") == value


def test_int_228(server, ours):
    """One resource instance, and no other."""
    before = ours.device.get("/3442/0/1110")
    server.rest.write(ours.endpoint, "/3442/0/1110/7", "seventh")
    assert ours.device.get("/3442/0/1110") == {**before, 7: "seventh"}


@pytest.mark.parametrize("number", ["senml-json", "senml-cbor"])
def test_int_233(server, ours, number):
    """Partial update in SenML: what is there stays."""
    values = [{"path": "/3442/0/1120/1", "value": 11}, {"path": "/3442/0/1120/5", "value": 55}]
    write(server, ours, "/3442/0/1120", number, "POST", values=values)
    assert ours.device.get("/3442/0/1120") == {0: 1, 1: 11, 5: 55}


@pytest.mark.parametrize("number", ["senml-json", "senml-cbor"])
def test_int_234(server, ours, number):
    """Replace in SenML: nothing else stays."""
    values = [{"path": "/3442/0/1120/1", "value": 11}, {"path": "/3442/0/1120/5", "value": 55}]
    write(server, ours, "/3442/0/1120", number, "PUT", values=values)
    assert ours.device.get("/3442/0/1120") == {1: 11, 5: 55}


def test_int_256(server, client):
    """/1/x/0 cannot be written. We know that from the definition and do not even ask; a device that knows better
    answers 4.05."""
    target = server.rest.device_path(client.endpoint, "resources", "/1/0/0")
    server.rest.problem("PUT", target, 422, {"value": 1})
    if client.kind == "ours":
        client.device.behaviours["/1/0/2"] = lambda seen: "4.05"
        problem = server.rest.problem(
            "PUT", server.rest.device_path(client.endpoint, "resources", "/1/0/2"), 502, {"value": 1}
        )
        assert problem["coapCode"] == "4.05"
        del client.device.behaviours["/1/0/2"]


# -- composites -----------------------------------------------------------------------------------------------------------


def test_int_230(server, client):
    values = {"/3/0/14": "+02", "/1/0/2": 0}
    server.rest.write_many(client.endpoint, {"/3/0/14": "+08", "/1/0/2": 3})
    assert server.rest.value(client.endpoint, "/3/0/14") == "+08"
    assert server.rest.value(client.endpoint, "/1/0/2") == 3
    server.rest.write_many(client.endpoint, values)
    assert server.rest.read_many(client.endpoint, *values) == values


def test_int_257(server, ours):
    """One of them cannot be written, and none is."""
    ours.device.objects[3303][0].pop(5750)
    target = server.rest.device_path(ours.endpoint, "resources:write")
    body = {"values": [{"path": "/3/0/14", "value": "+09"}, {"path": "/3303/9/5750", "value": "nowhere"}]}
    assert server.rest.problem("POST", target, 502, body)["coapCode"] in ("4.04", "4.05")
    assert ours.device.get("/3/0/14") == "+01"


def test_int_235(server, client):
    found = server.rest.read_many(client.endpoint, "/")
    assert found["/3/0/0"] == client.manufacturer and found["/1/0/1"] == 300
    assert not [path for path in found if path.startswith(("/0/", "/21/"))]


def test_int_236(server, client):
    """What is not there is left out."""
    assert server.rest.read_many(client.endpoint, "/3/0/0", "/3303/77/5700") == {"/3/0/0": client.manufacturer}


def test_int_280(server, client):
    found = server.rest.read_many(client.endpoint, "/3/0/0", "/3/0/6", "/1/0/1", "/3303/0/5700")
    assert found == {"/3/0/0": client.manufacturer, **client.power, "/1/0/1": 300, "/3303/0/5700": 22.5}


def test_int_281(server, client):
    """Executable resources and missing ones are left out."""
    paths = ("/1/0/1", "/1/0/8", "/3/0/4", "/3/0/0", "/3303/99")
    assert server.rest.read_many(client.endpoint, *paths) == {"/1/0/1": 300, "/3/0/0": client.manufacturer}


# -- execute, discover, create, delete ---------------------------------------------------------------------------------------


def test_int_241(server, ours):
    """Reboot; the new registration takes the place of the old one."""
    before = server.rest.device(ours.endpoint)["registrationId"]
    server.rest.execute(ours.endpoint, "/3/0/4")
    ours.executed("/3/0/4")
    ours.device.reboot("127.66.6.6")
    ours.start()
    device = server.rest.device(ours.endpoint)
    assert device["registrationId"] != before and device["address"].startswith("127.66.6.6:")
    assert len(server.rest.devices(q=ours.endpoint)) == 1
    assert server.rest.value(ours.endpoint, "/3/0/0") == ours.manufacturer


def test_int_260(server, client):
    found = server.rest.discover(client.endpoint, "/3")
    assert {"/3", "/3/0", "/3/0/0", "/3/0/9"} <= set(found)
    assert "/3/0/4" in found or client.kind == "ours", "ours lists what has a value"
    found = server.rest.discover(client.endpoint, "/3/0")
    assert {"/3/0", "/3/0/0"} <= set(found) and "/3" not in found
    assert list(server.rest.discover(client.endpoint, "/3/0/0")) == ["/3/0/0"]


def test_int_261(server, client):
    """Attributes at several levels are there again in Discover; dim of several instances."""
    attached = {"/3": {"pmin": 10, "pmax": 200}, "/3/0/7": {"lt": 1, "gt": 6, "st": 1}}
    if client.kind == "leshan":
        attached["/3/0/6"] = attached.pop("/3/0/7")
    for path, attributes in attached.items():
        server.rest.set_attributes(client.endpoint, path, attributes)
        shown = server.rest.discover(client.endpoint, path)[path]
        assert attributes.items() <= shown.items()
    assert server.rest.discover(client.endpoint, "/3/0")["/3/0/6"].get("dim") == 2
    for path, attributes in attached.items():
        server.rest.set_attributes(client.endpoint, path, dict.fromkeys(attributes))
        assert not attributes.keys() & server.rest.attributes(client.endpoint, path).keys()


def test_int_264(server, ours):
    """Depth 1 of an object: its instances; of an instance: its resources."""
    server.rest.set_attributes(ours.endpoint, "/3", {"pmin": 1, "pmax": 10})
    found = server.rest.discover(ours.endpoint, "/3", depth=1)
    assert list(found) == ["/3", "/3/0"] and found["/3"] == {"pmin": 1, "pmax": 10}
    found = server.rest.discover(ours.endpoint, "/3/0", depth=1)
    assert {"/3/0", "/3/0/6", "/3/0/0"} <= set(found) and "/3/0/6/0" not in found
    assert ours.device.seen("GET", "/3/0").query == ["depth=1"]


def test_int_266(server, ours):
    found = server.rest.discover(ours.endpoint, "/3", depth=3)
    assert {"/3", "/3/0", "/3/0/6", "/3/0/6/0", "/3/0/6/1"} <= set(found) and found["/3/0/6"]["dim"] == 2


def test_int_680(server, ours):
    """There is one Device object: Create is refused."""
    ours.device.behaviours["/3"] = lambda seen: "4.05" if seen.method == "POST" else None
    target = server.rest.device_path(ours.endpoint, "resources", "/3")
    problem = server.rest.problem("POST", target, 502, {"instance": 1, "values": [{"path": "/3/1/15", "value": "x"}]})
    assert problem["coapCode"] == "4.05"
    assert "/3/1" not in [entry["path"] for entry in server.rest.device(ours.endpoint)["objects"]]


def test_int_685(server, ours):
    ours.device.behaviours["/3/0"] = lambda seen: "4.05" if seen.method == "DELETE" else None
    target = server.rest.device_path(ours.endpoint, "resources", "/3/0")
    assert server.rest.problem("DELETE", target, 502)["coapCode"] == "4.05"
    assert "/3/0" in [entry["path"] for entry in server.rest.device(ours.endpoint)["objects"]]


# object: what an instance has, what is written of it, what is executed, whether it is created and deleted
OTHERS = {
    10: ({0: "+491", 1: 20, 11: {0: Link("11:0")}}, {1: 30}, None, False),
    11: ({0: "apn", 1: "internet", 2: True, 4: 2, 8: {0: "262,01"}, 13: 77}, {0: "other", 2: False}, None, True),
    13: ({0: {0: 1, 1: 2}, 1: -70, 7: True}, {1: -80, 7: False}, None, False),
    16: ({0: {0: "host", 1: "maker"}, 2: {0: b"\x01"}, 3: 1}, {}, 1, True),
    19: ({0: {0: b"\x00\xff"}, 1: 3, 2: Time(1700000000), 3: "meter"}, {1: 4, 3: "other"}, None, True),
    20: ({4010: 1, 4013: 0, 4014: b"log", 4015: 2}, {4010: 3}, 4011, False),
}


def shown(value):
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("number", OTHERS)
def test_int_objects(server, endpoint, number):
    held, changes, executable, several = OTHERS[number]
    one = Ours(server.coap, endpoint, objects={1: {0: {1: 300}}, 3: {0: {0: "x"}}, number: {0: dict(held)}})
    try:
        one.start()
        expected = {}
        for resource, value in held.items():
            for instance, inner in value.items() if isinstance(value, dict) else [(None, value)]:
                path = f"/{number}/0/{resource}" + ("" if instance is None else f"/{instance}")
                expected[path] = shown(inner)
        assert server.rest.values(endpoint, f"/{number}/0") == expected
        assert server.rest.values(endpoint, f"/{number}") == expected
        for resource, value in changes.items():
            server.rest.write(endpoint, f"/{number}/0/{resource}", value)
            assert one.device.get(f"/{number}/0/{resource}") == value
        if executable is not None:
            server.rest.execute(endpoint, f"/{number}/0/{executable}")
            one.executed(f"/{number}/0/{executable}")
        if several:
            values = [
                {"path": path.replace(f"/{number}/0/", f"/{number}/1/"), "value": value}
                for path, value in expected.items()
            ]
            server.rest.create(endpoint, f"/{number}", 1, values)
            assert f"/{number}/1" in [entry["path"] for entry in server.rest.device(endpoint)["objects"]]
            assert 1 in one.device.objects[number]
            server.rest.delete(endpoint, f"/{number}/1")
            assert 1 not in one.device.objects[number]
    finally:
        one.close()
