"""Update, De-register, expiry, registering again, and who may take a registration over."""

import time

import pytest
from support import wire
from support.background import Background
from support.daemon import Daemon
from support.raw import RawPeer
from support.settings import limit


def gone(device):
    return device is None or device["state"] == "offline"


def test_update_renews(server, peer, endpoint):
    one = peer()
    one.register(endpoint, lifetime=300)
    first = server.rest.device(endpoint)
    time.sleep(1.1)  # whole seconds are kept of a live device
    answer = one.update()
    assert answer.text == "2.04" and not answer.payload and not answer.all(wire.LOCATION_PATH)
    second = server.rest.wait_device(endpoint, lambda device: device["expiresAt"] > first["expiresAt"])
    assert second["registeredAt"] == first["registeredAt"]
    assert second["updatedAt"] > first["updatedAt"]
    assert second["registrationId"] == first["registrationId"]


def test_update_is_piggybacked(server, peer, endpoint):
    """Radios sleep after one response: a renewal is answered in the ACK itself."""
    one = peer()
    one.register(endpoint)
    assert one.update().type == wire.ACK


def test_update_changes_parameters(server, peer, endpoint):
    one = peer()
    one.register(endpoint, lifetime=300, binding="U")
    with server.rest.events() as events:
        assert one.update(["lt=90", "b=UT", "sms=123"]).text == "2.04"
        events.next("updated", endpoint)
    device = server.rest.device(endpoint)
    assert device["lifetime"] == 90 and sorted(device["binding"]) == ["T", "U"]


def test_update_replaces_the_object_list(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</1/0>,</3/0>,</3303/0>")
    assert one.update(links="</1/0>,</3/0>,</3311/4>").text == "2.04"
    assert [entry["path"] for entry in server.rest.device(endpoint)["objects"]] == ["/1/0", "/3/0", "/3311/4"]


def test_update_with_links_but_without_content_format(server, peer, endpoint):
    """Wakaama does that."""
    one = peer()
    one.register(endpoint)
    answer = one.request(wire.POST, one.location, payload=b"</1/0>,</3/0>,</6/0>")
    assert answer.text == "2.04"
    assert "/6/0" in [entry["path"] for entry in server.rest.device(endpoint)["objects"]]


def test_update_without_ct_keeps_the_formats(server, device):
    """Leshan repeats the links without ct; what it offered at Register still holds."""
    one = device(formats=[112], advertise=[112])
    one.advertise = []
    one.update(links=True)
    assert server.rest.value(one.endpoint, "/3/0/0") == "Test Works"
    assert one.seen("GET", "/3/0/0").accept == 112


@pytest.mark.parametrize("query", [["lt=x"], ["lt=1", "lt=2"], ["b=!"], ["lt="]], ids=str)
def test_malformed_update_gets_4_00_and_changes_nothing(server, peer, endpoint, query):
    one = peer()
    one.register(endpoint, lifetime=300)
    assert one.update(query).text == "4.00"
    device = server.rest.device(endpoint)
    assert device["lifetime"] == 300 and device["state"] == "registered"


def test_malformed_links_in_update_change_nothing(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</1/0>,</3/0>")
    assert one.update(links="</1/0>,</3").text == "4.00"
    assert [entry["path"] for entry in server.rest.device(endpoint)["objects"]] == ["/1/0", "/3/0"]


@pytest.mark.parametrize("location", ["/rd/0000000000000000", "/rd/x", "/rd/" + "f" * 40, "/rd/a/b"])
def test_unknown_registration_gets_4_04(server, peer, location):
    one = peer()
    one.location = location
    assert one.update().text == "4.04"
    assert one.deregister().text == "4.04"


def test_deregister(server, peer, endpoint):
    one = peer()
    one.register(endpoint)
    with server.rest.events() as events:
        assert one.deregister().text == "2.02"
        events.next("deregistered", endpoint)
    assert gone(server.rest.device(endpoint))
    assert one.update().text == "4.04"
    asked = server.rest.get(server.rest.device_path(endpoint, "resources/3/0/0?source=device"))
    assert asked.status == 202  # waits for the device to come back


def test_rest_delete_forgets_the_device(server, peer, endpoint):
    one = peer()
    one.register(endpoint)
    server.rest.ok("DELETE", server.rest.device_path(endpoint))
    assert server.rest.device(endpoint) is None
    assert one.update().text == "4.04"
    server.rest.problem("DELETE", server.rest.device_path(endpoint), 404)


def test_update_from_another_address_moves_the_device(server, peer, endpoint):
    """NAT rebinding. Wakaama stops for good after a 4.04, so the registration id decides, not the address."""
    one, other = peer("127.0.0.1"), peer("127.200.3.9")
    one.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
    other.location = one.location
    with server.rest.events() as events:
        assert other.update().text == "2.04"
        events.next("moved", endpoint)
    assert server.rest.device(endpoint)["address"] == "%s:%d" % other.address
    # and requests go there from now on
    read = Background(server.rest.value, endpoint, "/3/0/0")
    request = other.expect_request(wire.GET, "/3/0/0")
    other.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"moved"}]', content_format=wire.SENML_JSON)
    assert read.result() == "moved"


def test_registering_again_replaces(server, peer, endpoint):
    one = peer()
    one.register(endpoint, lifetime=300)
    old = one.location
    assert one.register(endpoint, "</1/0>,</3/0>,</4/0>", lifetime=500).text == "2.01"
    assert one.location != old
    device = server.rest.device(endpoint)
    assert device["lifetime"] == 500 and device["registrationId"] == one.location.split("/")[2]
    assert [device["endpoint"] for device in server.rest.devices(q=endpoint)] == [endpoint]
    new, one.location = one.location, old
    assert one.update().text == "4.04"
    one.location = new
    assert one.update().text == "2.04"


def test_registering_again_from_another_shard_replaces(server, peer, endpoint):
    """Addresses spread over the shards; the endpoint is one."""
    locations = []
    for number in range(1, 9):
        one = peer(f"127.44.{number}.{number}")
        assert one.register(endpoint).text == "2.01"
        locations.append((one, one.location))
    assert len(server.rest.devices(q=endpoint)) == 1
    for one, location in locations[:-1]:
        one.location = location
        assert one.update().text == "4.04"
    assert locations[-1][0].update().text == "2.04"


def test_lifetimes_expire_after_the_grace_period(server, peer, endpoint):
    """lt=1 and a grace period of 1 s in this daemon."""
    one = peer()
    with server.rest.events() as events:
        one.register(endpoint, lifetime=1)
        registered = time.monotonic()
        events.next("expired", endpoint, seconds=10)
        assert time.monotonic() - registered >= 1.9
    assert gone(server.rest.device(endpoint))
    assert one.update().text == "4.04"


def test_updates_keep_a_short_lifetime_alive(server, peer, endpoint):
    one = peer()
    one.register(endpoint, lifetime=1)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        time.sleep(0.5)
        assert one.update().text == "2.04"
    assert server.rest.device(endpoint)["state"] == "registered"


def test_grace_period_admits_a_late_update(daemon, endpoint):
    one = daemon(grace_s=5)
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, lifetime=1)
        time.sleep(2)
        assert peer.update().text == "2.04"


def test_infinite_lifetime_does_not_expire(server, peer, endpoint):
    one = peer()
    one.register(endpoint, lifetime=0)
    time.sleep(2.5)
    assert one.update().text == "2.04"


# -- whose registration it is, without security --------------------------------------------------------------


def test_policy_replace(server, peer, endpoint):
    one, other = peer("127.0.0.1"), peer("127.0.0.9")
    one.register(endpoint)
    with server.rest.events() as events:
        assert other.register(endpoint).text == "2.01"
        events.next("replaced", endpoint)
    assert server.rest.device(endpoint)["address"] == "%s:%d" % other.address
    assert one.update().text == "4.04"


@pytest.fixture(scope="module")
def refusing():
    with Daemon(shards=2, grace_s=1, replace_policy="refuse") as daemon:
        yield daemon


def test_policy_refuse(refusing, peer, endpoint):
    one, other = peer("127.0.0.1", to=refusing.coap), peer("127.77.0.9", to=refusing.coap)
    one.register(endpoint, lifetime=300)
    with refusing.rest.events() as events:
        assert other.register(endpoint).text == "4.03"
        events.next("refused", endpoint)
    device = refusing.rest.device(endpoint)
    assert device["address"] == "%s:%d" % one.address
    assert one.update().text == "2.04"
    refusing.crash_check()


def test_policy_refuse_admits_the_same_address(refusing, peer, endpoint):
    one = peer(to=refusing.coap)
    one.register(endpoint)
    assert one.register(endpoint).text == "2.01"


def test_policy_refuse_admits_after_deregister(refusing, peer, endpoint):
    one, other = peer("127.0.0.1", to=refusing.coap), peer("127.0.0.9", to=refusing.coap)
    one.register(endpoint)
    one.deregister()
    assert other.register(endpoint).text == "2.01"


def test_policy_refuse_admits_after_expiry(refusing, peer, endpoint):
    one, other = peer("127.0.0.1", to=refusing.coap), peer("127.0.0.9", to=refusing.coap)
    one.register(endpoint, lifetime=1)
    assert other.register(endpoint).text == "4.03"
    end = time.monotonic() + limit(10)
    while other.register(endpoint).text != "2.01":
        assert time.monotonic() < end, "the expired registration still keeps the name"
        time.sleep(0.3)
    assert refusing.rest.device(endpoint)["address"] == "%s:%d" % other.address


def test_policy_refuse_holds_across_a_restart(daemon, endpoint):
    one = daemon(replace_policy="refuse")
    with RawPeer(one.coap, "127.0.0.1") as owner, RawPeer(one.coap, "127.0.0.9") as other:
        owner.register(endpoint)
        one.restart()
        assert other.register(endpoint).text == "4.03"
        assert owner.update().text == "2.04"
