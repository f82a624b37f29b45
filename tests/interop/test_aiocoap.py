"""aiocoap as a peer in both roles, for what the end-to-end tests do not use it for already."""

import asyncio

import aiocoap
import pytest
from support.device import Device, world


def test_many_devices_at_once(server, endpoint):
    """Thirty stacks register, are read and written concurrently, and leave."""
    devices = [
        Device(server.coap, f"{endpoint}-{number}", source=f"127.30.{number}.1") for number in range(30)
    ]
    try:

        async def everyone(call):
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*[loop.run_in_executor(None, call, one) for one in devices])

        def life(one):
            one.register()
            assert server.rest.value(one.endpoint, "/3/0/1") == "Model T"
            server.rest.write(one.endpoint, "/3303/0/5750", one.endpoint)
            assert one.get("/3303/0/5750") == one.endpoint
            one.update(["lt=500"])
            assert server.rest.device(one.endpoint)["lifetime"] == 500
            one.deregister()

        asyncio.run(everyone(life))
        assert server.rest.devices(q=endpoint, state="registered") == []
    finally:
        for one in devices:
            one.close()


def test_site_discovery_is_answered(device):
    """aiocoap asks for the same things any CoAP client asks for."""
    one = device(register=False)
    answer = one.request("GET", "/.well-known/core")
    assert answer.code.dotted in ("2.05", "4.04")


def test_responses_match_in_parallel(device):
    """Several requests of one client under way at once; tokens keep them apart."""
    one = device()

    async def several():
        pending = []
        for number in range(8):
            message = aiocoap.Message(code=aiocoap.POST, uri=f"coap://127.0.0.1:{one.server[1]}")
            message.opt.uri_host = None
            message.opt.uri_port = None
            message.opt.uri_path = (
                one.location.strip("/").split("/") if number % 2 else ["nowhere", str(number)]
            )
            pending.append(one.context.request(message).response)
        return [answer.code.dotted for answer in await asyncio.gather(*pending)]

    assert world().run(several()) == ["4.04", "2.04"] * 4


@pytest.mark.parametrize("family", ["127.0.0.1", "127.99.1.2"])
def test_source_addresses(server, device, family):
    one = device(source=family)
    assert server.rest.device(one.endpoint)["address"].startswith(family + ":")
    assert server.rest.value(one.endpoint, "/3/0/0") == "Test Works"
