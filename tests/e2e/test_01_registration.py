"""Register: parameters, versions, tolerance for what clients send, refusals. Reference: LwM2M 1.2 Core 6.2.1."""

import itertools
import re

import pytest
from support import wire
from support.background import Background
from support.raw import RawPeer


def objects(device):
    return [entry["path"] for entry in device["objects"]]


def test_location_and_every_field(server, peer, endpoint):
    with server.rest.events() as events:
        one = peer()
        answer = one.register(
            endpoint,
            '</>;ct="60 110",</1/0>,</3>;ver=1.2,</3/0>,</3303/0>',
            120,
            "1.1",
            "U",
            ["Q", "sms=491701234567"],
        )
        assert answer.text == "2.01"
        assert answer.type == wire.ACK or answer.type == wire.CON
        assert re.fullmatch(r"/rd/[0-9A-Za-z]{1,16}", answer.location), answer.location
        assert not answer.payload and answer.one(wire.LOCATION_QUERY) is None
        event = events.next("registered", endpoint)
    device = server.rest.device(endpoint)
    assert device["endpoint"] == endpoint
    assert device["registrationId"] == answer.location.split("/")[2]
    assert device["state"] == "registered"
    assert device["version"] == "1.1"
    assert device["lifetime"] == 120
    assert device["binding"] == "U"
    assert device["queueMode"] is True
    assert device["transport"] == "coap"
    assert device["address"] == "%s:%d" % one.address
    paths = {entry["path"]: entry.get("version") for entry in device["objects"]}
    assert {"/1/0", "/3/0", "/3303/0"} <= set(paths)
    stamp = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    for name in ("registeredAt", "updatedAt", "lastSeenAt", "expiresAt"):
        assert re.fullmatch(stamp, device[name]), (name, device[name])
    assert device["registeredAt"] < device["expiresAt"]
    assert re.fullmatch(stamp, event["time"])
    assert re.fullmatch(r"[^-]+-\d+", event.id)
    assert event["id"] == event.id and event["type"] == "registered"


def test_query_parameters_in_any_order(server, peer, endpoint):
    parameters = ["lwm2m=1.1", f"ep={endpoint}", "b=U", "lt=77"]
    one = peer()
    for order in itertools.islice(itertools.permutations(parameters), 0, 24, 5):
        answer = one.request(wire.POST, "/rd", order, b"</1/0>,</3/0>", content_format=wire.LINK)
        assert answer.text == "2.01", order
    assert server.rest.device(endpoint)["lifetime"] == 77


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.2.1"])
def test_every_minor_version_is_served(server, peer, endpoint, version):
    assert peer().register(endpoint, version=version).text == "2.01"
    assert server.rest.device(endpoint)["version"] == version[:3]


def test_newer_minor_version_is_served(server, device):
    """1.3 does not exist; a client that has it is served as 1.2."""
    one = device(version="1.3")
    assert server.rest.value(one.endpoint, "/3/0/0") == "Test Works"


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.1", "abc", "1", "1.x", ""])
def test_other_versions_get_4_12(server, peer, endpoint, version):
    """Clients step down on this code only, so what cannot be read gets it too."""
    assert peer().register(endpoint, version=version).text == "4.12"
    assert server.rest.device(endpoint) is None


def test_missing_version_is_taken_as_1_0(server, peer, endpoint):
    assert peer().register(endpoint, version=None, lifetime=60).text == "2.01"
    assert server.rest.device(endpoint)["version"] == "1.0"


def test_missing_binding_is_u(server, peer, endpoint):
    assert peer().register(endpoint, binding=None).text == "2.01"
    device = server.rest.device(endpoint)
    assert device["binding"] == "U" and device["queueMode"] is False


@pytest.mark.parametrize(
    "version, binding, shown, queue",
    [
        ("1.0", "UQ", "U", True),
        ("1.0", "UQS", "US", True),
        ("1.1", "UT", "UT", False),
        ("1.1", "UQ", "U", True),
        ("1.2", "UMN", "UMN", False),
    ],
)
def test_bindings(server, peer, endpoint, version, binding, shown, queue):
    assert peer().register(endpoint, version=version, binding=binding).text == "2.01"
    device = server.rest.device(endpoint)
    assert sorted(device["binding"]) == sorted(shown)
    assert device["queueMode"] is queue


def test_udp_is_accepted_though_the_binding_lacks_u(server, device):
    """A client may always assume that the server speaks UDP."""
    one = device(binding="T")
    assert server.rest.value(one.endpoint, "/3/0/1") == "Model T"


def test_lifetime_omitted_or_zero_never_expires_soon(server, peer, endpoint):
    one = peer()
    assert one.register(endpoint + "-omitted", lifetime=None, version="1.0").text == "2.01"
    assert one.register(endpoint + "-zero", lifetime=0).text == "2.01"
    device = server.rest.device(endpoint + "-zero")
    assert device["lifetime"] == 0
    assert device.get("expiresAt") is None
    assert server.rest.device(endpoint + "-omitted")["state"] == "registered"


def test_unknown_parameters_are_ignored(server, peer, endpoint):
    assert peer().register(endpoint, query=["foo=bar", "et=x", "flag"]).text == "2.01"


@pytest.mark.parametrize(
    "sent, name",
    [
        ("dev%3A{}", "dev:{}"),
        ("50%-{}", "50%-{}"),
        ("a%zz{}", "a%zz{}"),
        ("plus+{}", "plus+{}"),
        ("a/b {}", "a/b {}"),
        ("ü€-{}", "ü€-{}"),
    ],
)
def test_endpoint_names_are_any_text(server, peer, endpoint, sent, name):
    unique = endpoint.rsplit(":", 1)[1]
    assert peer().register(sent.format(unique)).text == "2.01"
    device = server.rest.device(name.format(unique))
    assert device is not None and device["endpoint"] == name.format(unique)


@pytest.mark.parametrize(
    "query",
    [
        ["ep="],
        ["lt=60"],
        ["ep=a", "ep=b"],
        ["ep=x", "lt=1", "lt=2"],
        ["ep=x", "lt=abc"],
        ["ep=x", "lt=-5"],
        ["ep=x", "lt=99999999999"],
        ["ep=x", "lt="],
        ["ep=x", "lt=60", "lwm2m=1.1", "lwm2m=1.0"],
        ["ep=x", "lt=60", "lwm2m=1.1", "b=UXZ"],
        ["ep=x", "lt=60", "lwm2m=1.1", "b=UU"],
        [b"ep=\xff\xfe", "lt=60"],
    ],
    ids=str,
)
def test_malformed_parameters_get_4_00(server, peer, query):
    before = len(server.rest.devices())
    full = query if any(str(part).startswith("lwm2m") for part in query) else query + ["lwm2m=1.1"]
    answer = peer().request(wire.POST, "/rd", full, b"</1/0>,</3/0>", content_format=wire.LINK)
    assert answer.text == "4.00"
    assert len(server.rest.devices()) == before


@pytest.mark.parametrize("links", ["</3/0", "</3/0>x", "3/0", "\xff", '</>;ct="60 110'], ids=repr)
def test_malformed_object_list_is_refused(server, peer, endpoint, links):
    """4.00, or 4.09 when what is there can be skipped and no object remains."""
    one = peer()
    answer = one.request(
        wire.POST,
        "/rd",
        [f"ep={endpoint}", "lt=60", "lwm2m=1.1"],
        links.encode("latin-1"),
        content_format=wire.LINK,
    )
    assert answer.text in ("4.00", "4.09")
    assert server.rest.device(endpoint) is None


def test_object_list_in_a_wrong_format_gets_4_15(server, peer, endpoint):
    assert peer().register(endpoint, content_format=wire.SENML_JSON).text == "4.15"
    assert server.rest.device(endpoint) is None


@pytest.mark.parametrize(
    "links, expected",
    [
        ("</1/0>, </3/0>,  </3303/0>", ["/1/0", "/3/0", "/3303/0"]),
        ("</1/0/>,</3/0/>", ["/1/0", "/3/0"]),
        ("</3303/1>,</3/0>,</3303/0>,</1/0>", ["/1/0", "/3/0", "/3303/0", "/3303/1"]),
        ("</0/0>,</21/0>,</1/0>,</3/0>", ["/1/0", "/3/0"]),
        ("</1/0>,</3/0>,</5>", ["/1/0", "/3/0", "/5"]),
        ('</>;ct=11543;hb,</1/0>;ssid=101,</3/0>;foo="a,b;c"', ["/1/0", "/3/0"]),
        ("</1/0>,</3/0>,</32769/0>;ver=9.9", ["/1/0", "/3/0", "/32769/0"]),
        ("</>;rt=oma.lwm2m;ct=110,</1/0>,</3/0>", ["/1/0", "/3/0"]),
    ],
    ids=[
        "spaces",
        "slashes",
        "order",
        "security-and-oscore",
        "no-instance",
        "attributes",
        "unknown-object",
        "unquoted-rt",
    ],
)
def test_object_list_tolerance(server, peer, endpoint, links, expected):
    assert peer().register(endpoint, links).text == "2.01"
    assert objects(server.rest.device(endpoint)) == expected


def test_object_versions(server, peer, endpoint):
    links = '</1/0>,</3>;ver="1.1",</3/0>,</44/0>;ver=2.2,</3303>;ver=1.1,</3303/0>,</3303/1>'
    assert peer().register(endpoint, links, version="1.0").text == "2.01"
    versions = {entry["path"]: entry.get("version") for entry in server.rest.device(endpoint)["objects"]}
    found = {
        number: {version for path, version in versions.items() if path.split("/")[1] == number}
        for number in ("3", "44", "3303")
    }
    assert "1.1" in found["3"] and "2.2" in found["44"] and "1.1" in found["3303"]


def test_object_list_without_content_format(server, peer, endpoint):
    one = peer()
    answer = one.request(wire.POST, "/rd", [f"ep={endpoint}", "lt=60", "lwm2m=1.1", "b=U"], b"</1/0>,</3/0>")
    assert answer.text == "2.01"
    assert objects(server.rest.device(endpoint)) == ["/1/0", "/3/0"]


def test_alternate_path(server, device):
    one = device(alternate="/lwm2m")
    assert server.rest.value(one.endpoint, "/3/0/0") == "Test Works"
    seen = one.seen("GET", "/3/0/0")  # below the alternate path, or it would have no path
    assert seen.path == "/3/0/0"
    assert objects(server.rest.device(one.endpoint))[0].startswith("/1/")


def test_alternate_path_announced_but_not_used_in_links(server, peer, endpoint):
    """Wakaama names its root, but lists objects without it; requests carry it all the same."""
    one = peer()
    assert one.register(endpoint, '</alt>;rt="oma.lwm2m";ct=110,</1/0>,</3/0>').text == "2.01"
    read = Background(server.rest.value, endpoint, "/3/0/0")
    request = one.expect_request(wire.GET, "/alt/3/0/0")
    one.answer(request, "2.05", b'[{"n":"/alt/3/0/0","vs":"wakaama"}]', content_format=wire.SENML_JSON)
    assert read.result() == "wakaama"


def test_profile_id_alone_gets_4_09(server, peer, endpoint):
    one = peer()
    answer = one.request(wire.POST, "/rd", [f"ep={endpoint}", "lt=60", "lwm2m=1.2", "b=U", "pid=6:1234abcd"])
    assert answer.text == "4.09"
    assert server.rest.device(endpoint) is None


def test_profile_id_with_a_list_is_taken_with_the_list(server, peer, endpoint):
    assert peer().register(endpoint, "</1/0>,</3/0>", version="1.2", query=["pid=6:1234abcd"]).text == "2.01"
    device = server.rest.device(endpoint)
    assert objects(device) == ["/1/0", "/3/0"]
    assert device["profileIds"] == ["6:1234abcd"]


@pytest.mark.parametrize("szx", [0, 2, 4, 6])
def test_large_object_list_in_blocks(server, device, szx):
    many = {3303: {instance: {5700: 1.0} for instance in range(300)}, 1: {0: {}}, 3: {0: {0: "x"}}}
    one = device(register=False, objects=many)
    one.register(szx=szx)
    listed = objects(server.rest.device(one.endpoint))
    assert len(listed) == 302 and "/3303/299" in listed


def test_object_list_beyond_the_limit_gets_4_13(server, peer, endpoint):
    """Block1 is refused as soon as the limit is passed, or by Size1 in the first block."""
    one = peer()
    chunk, number, answer = b"</3303/1>,</3303/2>," * 52, 0, None
    for number in range(200):
        answer = one.request(
            wire.POST,
            "/rd",
            [f"ep={endpoint}", "lt=60", "lwm2m=1.1", "b=U"],
            chunk[:1024],
            token=b"big",
            content_format=wire.LINK,
            block1=(number, True, 6),
        )
        if answer.text != "2.31":
            break
    assert answer.text == "4.13"
    assert number < 100
    assert server.rest.device(endpoint) is None


def test_two_endpoints_behind_one_address(server, peer, endpoint):
    """A gateway or a NAT that passes several clients through one port."""
    one = peer()
    assert one.register(endpoint + "-a").text == "2.01"
    first = one.location
    assert one.register(endpoint + "-b").text == "2.01"
    assert one.location != first
    assert server.rest.device(endpoint + "-a")["state"] == "registered"
    assert server.rest.device(endpoint + "-b")["state"] == "registered"


def test_ipv6_and_several_listeners(daemon, endpoint):
    """Answers and requests leave from the address that was addressed (the sockets of the peers are connected)."""
    one = daemon(shards=2)
    port = one.coap_port
    one.restart(coap_listen=f"0.0.0.0:{port},[::1]:{port}")
    with RawPeer(("::1", port)) as six, RawPeer(("127.0.0.77", port), "127.0.0.3") as four:
        for peer, name in ((six, f"{endpoint}-6"), (four, f"{endpoint}-4")):
            assert peer.register(name, "</>;ct=110,</1/0>,</3/0>").text == "2.01"
        address = one.rest.device(f"{endpoint}-6")["address"]
        assert address == f"[::1]:{six.address[1]}"
        for peer, name in ((six, f"{endpoint}-6"), (four, f"{endpoint}-4")):
            read = Background(one.rest.value, name, "/3/0/0")
            request = peer.expect_request(wire.GET, "/3/0/0")
            peer.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"here"}]', content_format=wire.SENML_JSON)
            assert read.result() == "here"
