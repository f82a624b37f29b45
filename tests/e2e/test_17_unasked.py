"""Nothing is asked of a device that no operator has asked for: batteries are not ours to spend."""

import time

import pytest
from support.device12 import Device12
from support.formats import TLV


@pytest.mark.parametrize("version, query", [("1.0", []), ("1.1", ["Q"]), ("1.2", []), ("1.2", ["Q"])])
def test_a_life_without_operators(daemon, endpoint, version, query):
    one = daemon(shards=2, grace_s=1)
    device = Device12(one.coap, endpoint, version=version, query=query, lifetime=60)
    try:
        device.register()
        device.update()
        device.update(["lt=70"], links=True)
        if version != "1.0":
            device.send_values({"/3303/0/5700": 20.5})
        one.kill()
        one.start()
        device.update()
        device.register()
        one.rest.get(one.rest.device_path(endpoint))
        one.rest.get(one.rest.device_path(endpoint, "history"))
        one.rest.get(one.rest.device_path(endpoint, "resources/3303/0/5700?source=cache"))
        device.deregister()
        time.sleep(0.5)
        assert device.requests == []
    finally:
        device.close()


def test_an_instance_without_values_keeps_its_id(server, endpoint):
    """Only TLV can say it."""
    with Device12(server.coap, endpoint) as device:
        device.register()
        device.behaviours["/3303"] = lambda seen: "2.01"
        answer = server.rest.request(
            "POST", server.rest.device_path(endpoint, "resources/3303"), {"instance": 7}
        )
        assert answer.status == 201, answer
        asked = device.seen("POST", "/3303")
        assert asked.content_format == TLV and asked.payload == bytes([0x00, 0x07])
