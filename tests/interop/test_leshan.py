"""Eclipse Leshan's client, over UDP, driven through our REST API.

The process is made by tests/support/leshan.py from the published client libraries (version pinned in
leshan/pom.xml). Leshan is a 1.1 client whose formats are chosen here: TLV, SenML JSON or SenML CBOR only.
"""

import base64
import time

import pytest
from support import settings
from support.daemon import Daemon
from support.leshan import LeshanPeer
from support.settings import limit

FORMATS = {"tlv": "0,42,11542", "senml-json": "0,42,110", "senml-cbor": "0,42,112"}


@pytest.fixture(scope="module")
def server():
    with Daemon(shards=2, grace_s=1) as daemon:
        daemon.rest.put_model((settings.MODELS / "3442.xml").read_bytes())
        yield daemon


@pytest.fixture(scope="module", params=FORMATS)
def client(server, request):
    with LeshanPeer(server.coap, f"leshan-{request.param}", formats=FORMATS[request.param]) as peer:
        peer.location = peer.wait_registered()
        yield peer
        peer.stop()
        device = server.rest.device(peer.endpoint)
        assert device is None or device["state"] == "offline"


def test_registers(server, client):
    device = server.rest.device(client.endpoint)
    assert device["version"] == "1.1" and device["lifetime"] == 300 and device["binding"] == "U"
    assert client.location.endswith(device["registrationId"])
    paths = [entry["path"] for entry in device["objects"]]
    assert {"/1/0", "/3/0", "/6/0", "/3303/0", "/3442/0"} <= set(paths)
    assert not [path for path in paths if path.startswith(("/0/", "/21/"))]


def test_is_read(server, client):
    assert server.rest.value(client.endpoint, "/3/0/0") == "Leshan Peer"
    assert server.rest.value(client.endpoint, "/3/0/9") == 95
    assert server.rest.value(client.endpoint, "/6/0/0") == pytest.approx(52.5125)
    values = server.rest.values(client.endpoint, "/3/0")
    assert values["/3/0/6/0"] == 1 and values["/3/0/6/1"] == 5
    assert values["/3/0/15"] == "Europe/Berlin"
    values = server.rest.values(client.endpoint, "/3303")
    assert values["/3303/0/5700"] == 22.5


def test_every_type_is_read(server, client):
    """The library's own test object with its initial values, as far as the format can tell them."""
    found = {
        value["path"]: (value["value"], value["type"])
        for value in server.rest.read(client.endpoint, "/3442/0")["values"]
    }
    assert found["/3442/0/110"] == ("initial value", "string")
    assert found["/3442/0/120"] == (1024, "integer")
    assert found["/3442/0/125"] == ("9223372036854775808", "unsigned")
    assert found["/3442/0/130"] == (pytest.approx(3.14159), "float")
    assert found["/3442/0/140"] == (True, "boolean")
    assert found["/3442/0/150"] == (base64.b64encode(bytes.fromhex("0123456789abcdef")).decode(), "opaque")
    assert found["/3442/0/160"] == (946684800, "time")
    assert found["/3442/0/170"] == ("3:0", "objlnk")
    assert found["/3442/0/180"][0] == "</3442>"
    assert found["/3442/0/1110/0"] == ("initial value", "string")


SAMPLES = {
    110: "Grüße",
    120: -123456789,
    125: 4294967296,
    130: -2.5,
    140: False,
    150: base64.b64encode(bytes(range(256))).decode(),
    160: 1500000000,
    170: "6:0",
}


def test_is_written(server, client):
    for resource, value in SAMPLES.items():
        server.rest.write(client.endpoint, f"/3442/0/{resource}", value)
        assert server.rest.value(client.endpoint, f"/3442/0/{resource}") == value
    server.rest.write(client.endpoint, "/3303/0/5750", "cellar")
    client.wait("EVENT write /3303/0/5750 cellar")


def test_a_large_value_is_written_and_read(server, client):
    """Block1 and Block2 against Californium."""
    large = base64.b64encode(bytes(index & 255 for index in range(20000))).decode()
    server.rest.write(client.endpoint, "/3442/0/150", large, timeout=60)
    assert server.rest.value(client.endpoint, "/3442/0/150") == large


def test_instance_is_updated_partially(server, client):
    values = [{"path": "/3442/0/110", "value": "partial"}, {"path": "/3442/0/120", "value": 7}]
    server.rest.write(client.endpoint, "/3442/0", values=values, method="POST")
    found = server.rest.values(client.endpoint, "/3442/0")
    assert found["/3442/0/110"] == "partial" and found["/3442/0/120"] == 7
    assert "/3442/0/130" in found, "nothing else went"


def test_multiple_resource_is_replaced(server, client):
    path = "/3442/0/1120"
    server.rest.write(
        client.endpoint,
        path,
        values=[{"path": f"{path}/1", "value": 10}, {"path": f"{path}/300", "value": -20}],
    )
    assert server.rest.values(client.endpoint, path) == {f"{path}/1": 10, f"{path}/300": -20}


def test_is_executed(server, client):
    server.rest.execute(client.endpoint, "/3/0/4")
    client.wait("EVENT execute /3/0/4 -")
    server.rest.execute(client.endpoint, "/3442/0/0", "0='hello',1")
    assert client.wait(r"EVENT execute /3442/0/0 (.*)")[1] in ("0='hello',1", "1,0='hello'")


def test_is_observed(server, client):
    with server.rest.events() as events:
        observation = server.rest.observe(client.endpoint, "/3303/0/5700")
        assert observation["state"] == "active"
        for value in (30.5, -7.25):
            client.command(f"set /3303/0/5700 {value}")
            event = events.next(
                "notification",
                client.endpoint,
                wanted=lambda event, value=value: event["values"][0]["value"] == value,
            )
            assert event["values"][0]["path"] == "/3303/0/5700"
        server.rest.cancel(client.endpoint, observation["id"])
        client.command("set /3303/0/5700 22.5")
        assert not [event for event in events.drain(0.5) if event.kind == "notification"]


def test_an_instance_is_observed(server, client):
    with server.rest.events() as events:
        observation = server.rest.observe(client.endpoint, "/3303/0")
        client.command("set /3303/0/5701 K")
        event = events.next(
            "notification",
            client.endpoint,
            wanted=lambda event: "K" in [value["value"] for value in event["values"]],
        )
        assert {value["path"] for value in event["values"]} >= {"/3303/0/5700", "/3303/0/5701"}
        server.rest.cancel(client.endpoint, observation["id"])
    client.command("set /3303/0/5701 Cel")


def test_attributes_hold(server, client):
    server.rest.set_attributes(client.endpoint, "/3303/0/5700", {"pmin": 1, "pmax": 2})
    assert server.rest.attributes(client.endpoint, "/3303/0/5700") == {"pmin": 1, "pmax": 2}
    with server.rest.events() as events:
        observation = server.rest.observe(client.endpoint, "/3303/0/5700")
        # pmax: without any change (and without counting up); the first one may be the answer to Observe itself
        for _ in range(3):
            events.next("notification", client.endpoint, seconds=6)
        server.rest.cancel(client.endpoint, observation["id"])
    server.rest.set_attributes(client.endpoint, "/3303/0/5700", {"pmin": None, "pmax": None})
    assert server.rest.attributes(client.endpoint, "/3303/0/5700") == {}


def test_is_discovered(server, client):
    links = server.rest.discover(client.endpoint, "/3303")
    assert {"/3303", "/3303/0", "/3303/0/5700"} <= set(links)
    assert links["/3303"].get("ver") in ("1.1", 1.1)
    assert "/3/0/9" in server.rest.discover(client.endpoint, "/3/0")


def test_creates_and_deletes(server, client):
    for number, resource, value in ((3303, 5750, "garden"), (3442, 110, "text")):
        server.rest.create(
            client.endpoint, f"/{number}", 7, [{"path": f"/{number}/7/{resource}", "value": value}]
        )
        client.wait(f"EVENT created {number} 7")
        assert server.rest.value(client.endpoint, f"/{number}/7/{resource}") == value
        server.rest.wait_device(
            client.endpoint,
            lambda device, path=f"/{number}/7": path in [entry["path"] for entry in device["objects"]],
        )
        server.rest.delete(client.endpoint, f"/{number}/7")
        client.wait(f"EVENT deleted {number} 7")
        server.rest.wait_device(
            client.endpoint,
            lambda device, path=f"/{number}/7": path not in [entry["path"] for entry in device["objects"]],
        )


def test_new_instances_of_the_client_are_seen(server, client):
    """It sends an Update with the whole list."""
    client.command("create 3303 9")
    server.rest.wait_device(
        client.endpoint, lambda device: "/3303/9" in [entry["path"] for entry in device["objects"]]
    )
    client.command("delete 3303 9")
    server.rest.wait_device(
        client.endpoint, lambda device: "/3303/9" not in [entry["path"] for entry in device["objects"]]
    )


def test_errors_carry_the_code(server, client):
    problem = server.rest.problem(
        "GET", server.rest.device_path(client.endpoint, "resources/3/0/17?source=device"), 502
    )
    assert problem["coapCode"] == "4.04"


@pytest.mark.parametrize("client", ["senml-json", "senml-cbor"], indirect=True)
def test_sends(server, client):
    """There is no Send in TLV."""
    number = {"leshan-senml-json": 110, "leshan-senml-cbor": 112}[client.endpoint]
    with server.rest.events() as events:
        client.command(f"send {number} /3303/0/5700 /3/0/9")
        event = events.next("send", client.endpoint)
        assert {value["path"]: value["value"] for value in event["values"]} == {
            "/3303/0/5700": 22.5,
            "/3/0/9": 95,
        }
        client.wait(r"EVENT sent CHANGED\(204\)")


def test_update_trigger(server, client):
    """/1/0/8 makes it send an Update."""
    before = server.rest.device(client.endpoint)["updatedAt"]
    time.sleep(1.1)  # whole seconds are kept of a live device
    server.rest.execute(client.endpoint, "/1/0/8")
    client.wait("EVENT updated")
    server.rest.wait_device(client.endpoint, lambda device: device["updatedAt"] > before)


def test_lifetime_written_by_the_server(server, client):
    server.rest.write(client.endpoint, "/1/0/1", 600)
    server.rest.wait_device(client.endpoint, lambda device: device["lifetime"] == 600)
    server.rest.write(client.endpoint, "/1/0/1", 300)
    server.rest.wait_device(client.endpoint, lambda device: device["lifetime"] == 300)


def test_survives_a_restart_of_the_server():
    """kill -9: the client does nothing, and is read and observed as before."""
    with Daemon(shards=1) as server:
        with LeshanPeer(server.coap, "leshan-restart", formats=FORMATS["tlv"]) as client:
            client.wait_registered()
            server.rest.observe(client.endpoint, "/3303/0/5700")
            server.kill()
            server.start(shards=2)
            assert server.rest.value(client.endpoint, "/3/0/0") == "Leshan Peer"
            with server.rest.events() as events:
                client.command("set /3303/0/5700 11.5")
                events.next(
                    "notification",
                    client.endpoint,
                    wanted=lambda event: event["values"][0]["value"] == 11.5,
                    seconds=limit(10),
                )
            client.stop()
            assert not [line for line in client.lines if "failed" in line or "timeout" in line]
