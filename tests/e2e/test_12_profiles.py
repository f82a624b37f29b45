"""Profile IDs: what stands for an object list, who defines it, and that all shards and lives know it."""

import json
import time

import pytest
from support import wire
from support.background import Background
from support.raw import RawPeer
from support.settings import limit

ETS = "6:27354b9a"  # of the test specification: stands for /1/0 and /3/0
LINKS = '</>;ct="110 112",</1/0>;ver=1.2,</3/0>,</3303>;ver=1.1,</3303/0>'
ENTRIES = "</1/0>;ver=1.2,</3/0>,</3303>;ver=1.1,</3303/0>"


def objects(device):
    return [entry["path"] for entry in device["objects"]]


def register(one, endpoint, pid, links=""):
    named = {} if links else {"content_format": None}
    return one.register(endpoint, links, version="1.2", query=[f"pid={pid}"] if pid else [], **named).text


def teach(one, endpoint, pid, links):
    assert register(one, endpoint, pid) == "4.09"
    assert register(one, endpoint, pid, links) == "2.01"


def profile(rest, pid):
    answer = rest.get(f"/v1/profiles/{pid}")
    return answer.json if answer.status == 200 else None


@pytest.fixture
def pid(endpoint):
    """One that no other test uses."""
    return "6:" + endpoint.encode().hex()[-40:]


# -- devices ----------------------------------------------------------------------------------------------------


def test_the_vectors_of_the_test_specification(daemon, endpoint):
    """1.2-int-110 and int-111: an ID alone, and an ID with an addition."""
    one = daemon()
    with RawPeer(one.coap) as peer:
        teach(peer, endpoint, ETS, "</1/0>,</3/0>")
        assert register(peer, endpoint, ETS) == "2.01"
        assert objects(one.rest.device(endpoint)) == ["/1/0", "/3/0"]
        assert register(peer, endpoint, ETS, "</4/0>") == "2.01"
        device = one.rest.device(endpoint)
        assert objects(device) == ["/1/0", "/3/0", "/4/0"]
        assert device["profileIds"] == [ETS]


def test_refused_alone_then_told_is_learned_for_all(server, peer, endpoint, pid):
    with server.rest.events() as stream:
        teach(peer(), endpoint, pid, LINKS)
        refused = stream.next("refused", endpoint)
        assert pid in json.dumps(refused), refused
    assert profile(server.rest, pid)["links"] == ENTRIES
    assert profile(server.rest, pid)["source"] == "learned"
    assert register(peer(), endpoint + "-2", pid) == "2.01"
    assert objects(server.rest.device(endpoint + "-2")) == ["/1/0", "/3/0", "/3303", "/3303/0"]


def test_told_at_once_or_in_part_teaches_nothing(server, peer, endpoint, pid):
    one = peer()
    assert register(one, endpoint, pid, LINKS) == "2.01"
    assert profile(server.rest, pid) is None
    assert register(one, endpoint, pid, "</4/0>") == "4.09"
    assert register(one, endpoint, pid, LINKS) == "2.01"
    assert profile(server.rest, pid) is None


def test_malformed_gets_4_00(server, peer, endpoint):
    one = peer()
    for pid in ("6", "6:", "6:XYZ", "x:1", "oma:", '"6:1', "6:1,6:2", '"' + ",".join(f"6:{n}" for n in range(9)) + '"'):
        assert register(one, endpoint, pid, LINKS) == "4.00", pid
    assert server.rest.device(endpoint) is None


def test_update_with_a_profile(server, peer, endpoint, pid):
    server.rest.ok("PUT", f"/v1/profiles/{pid}", {"links": "</1/0>,</3/0>,</7/0>"})
    one = peer()
    assert one.register(endpoint, LINKS, version="1.2").text == "2.01"
    assert one.update([f"pid={pid}"]).text == "2.04"
    assert objects(server.rest.device(endpoint)) == ["/1/0", "/3/0", "/7/0"]
    assert one.update([f"pid={pid}"], "</8/0>").text == "2.04"
    assert objects(server.rest.device(endpoint)) == ["/1/0", "/3/0", "/7/0", "/8/0"]
    assert one.update(["pid=6:00000000"]).text == "4.09"


def test_read_by_profile(server, device, endpoint, pid):
    """What an ID stands for can be read like what was listed."""
    server.rest.ok("PUT", f"/v1/profiles/{pid}", {"links": "</1/0>,</3/0>,</3303/0>"})
    with RawPeer(server.coap) as one:
        assert register(one, endpoint, pid) == "2.01"
        call = Background(server.rest.value, endpoint, "/3/0/0")
        request = one.expect_request(wire.GET, "/3/0/0")
        one.answer(request, "2.05", b"by profile", content_format=wire.TEXT)
        assert call.result() == "by profile"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_known_on_every_shard_and_after_a_restart(daemon, endpoint, pid, how):
    one = daemon(shards=2)
    with RawPeer(one.coap) as peer:
        teach(peer, endpoint, pid, LINKS)
        assert peer.update(["lt=301"]).text == "2.04"  # stored after the profile
    for life in range(2):
        for number in range(1, 17):
            with RawPeer(one.coap, source=f"127.77.0.{number}") as peer:
                assert register(peer, f"{endpoint}-{number}", pid) == "2.01"
        device = one.rest.device(f"{endpoint}-3")
        assert objects(device) == ["/1/0", "/3/0", "/3303", "/3303/0"]
        if life == 0:
            getattr(one, how)()
            one.start(shards=1)
            assert objects(one.rest.device(f"{endpoint}-5")) == ["/1/0", "/3/0", "/3303", "/3303/0"]


def test_learning_can_be_forbidden(daemon, endpoint):
    one = daemon(profiles_learn="no")
    with RawPeer(one.coap) as peer:
        teach(peer, endpoint, "6:abcd", LINKS)
        assert register(peer, endpoint, "6:abcd") == "4.09"


def test_the_oldest_goes_at_the_limit(daemon, endpoint):
    one = daemon(profiles_limit=2)
    with RawPeer(one.coap) as peer:
        for pid in ("6:aa", "6:bb", "6:cc"):
            teach(peer, endpoint, pid, LINKS)
            time.sleep(0.01)
        assert [profile(one.rest, pid) is None for pid in ("6:aa", "6:bb", "6:cc")] == [True, False, False]
        assert peer.update(["lt=301"]).text == "2.04"
        one.kill()
        one.start(profiles_limit=4096)
        assert [profile(one.rest, pid) is None for pid in ("6:aa", "6:bb", "6:cc")] == [True, False, False]


# -- the file ---------------------------------------------------------------------------------------------------


def test_names_come_from_the_file(daemon, endpoint, tmp_path):
    file = tmp_path / "profiles"
    file.write_text("# known to us\n\noma:Light-1 </1/0>;ver=1.2,</3/0>,</3311/0>\nv:acme </5/0>\n")
    one = daemon(profiles_file=file)
    with RawPeer(one.coap) as peer:
        assert register(peer, endpoint, '"oma:Light-1,v:acme"') == "2.01"
        assert objects(one.rest.device(endpoint)) == ["/1/0", "/3/0", "/5/0", "/3311/0"]
        assert one.rest.device(endpoint)["profileIds"] == ["oma:Light-1", "v:acme"]
        assert profile(one.rest, "oma:Light-1")["source"] == "file"
        one.rest.problem("PUT", "/v1/profiles/v:acme", 409, {"links": "</6/0>"})
        one.rest.problem("DELETE", "/v1/profiles/v:acme", 409)
        # A name that is not in it is flagged, and never learned.
        teach(peer, endpoint, "oma:Light-2", LINKS)
        assert register(peer, endpoint, "oma:Light-2") == "4.09"
        assert "oma:Light-2 is not a known profile" in one.log()
        file.write_text("oma:Light-2 </1/0>,</3/0>\n")
        one.ctl("reload")
        end = time.monotonic() + limit(5)
        while profile(one.rest, "oma:Light-2") is None and time.monotonic() < end:
            time.sleep(0.05)
        assert register(peer, endpoint, "oma:Light-2") == "2.01"
        assert register(peer, endpoint, "v:acme") == "4.09"
        # A file with a mistake changes nothing.
        file.write_text("oma:Light-3 </1/0>,</3/0>\nnonsense\n")
        one.ctl("reload")
        end = time.monotonic() + limit(5)
        while "the file of profile IDs was refused" not in one.log() and time.monotonic() < end:
            time.sleep(0.05)
        assert "line=2" in one.log()
        assert profile(one.rest, "oma:Light-2") and not profile(one.rest, "oma:Light-3")


@pytest.mark.parametrize(
    "text", ["6:1\n", "six </1/0>\n", "6:1 </1/0\n", "6:1 </>;ct=110\n", "6:1 </1/0>\n6:1 </3/0>\n"]
)
def test_a_wrong_file_keeps_the_server_from_starting(daemon, tmp_path, text):
    file = tmp_path / "profiles"
    file.write_text(text)
    one = daemon(profiles_file=file, start=False)
    one.start(ready=False)
    assert one.process.wait(limit(20)) != 0
    assert "the file of profile IDs was refused" in one.log()
    one.process = None


# -- operators --------------------------------------------------------------------------------------------------


def test_define_show_and_forget(server, peer, endpoint, pid):
    path = f"/v1/profiles/{pid}"
    server.rest.problem("GET", path, 404)
    server.rest.problem("DELETE", path, 404)
    defined = server.rest.ok("PUT", path, {"links": "</>;ct=110, </3/0/>,</1/0>;ver=\"1.1\",</0/0>"}).json
    assert defined["id"] == pid and defined["source"] == "configured" and defined["since"]
    assert defined["links"] == "</1/0>;ver=1.1,</3/0>"
    assert register(peer(), endpoint, pid) == "2.01"
    server.rest.ok("DELETE", path, status=204)
    server.rest.problem("GET", path, 404)
    assert register(peer(), endpoint + "-2", pid) == "4.09"
    assert server.rest.device(endpoint), "registrations stay"


@pytest.mark.parametrize(
    "links", [None, 1, "", "</1/0", "</>;ct=110", "</0/0>", "no links", ",".join(f"</3303/{n}>" for n in range(900))]
)
def test_definitions_that_are_refused(server, pid, links):
    server.rest.problem("PUT", f"/v1/profiles/{pid}", 400, {"links": links})
    assert profile(server.rest, pid) is None


def test_names_that_are_none(server):
    for name in ("6", "x:1", "6:AB", "oma:a_b", "v:" + "a" * 200):
        server.rest.problem("PUT", f"/v1/profiles/{name}", 400, {"links": "</1/0>"})
        server.rest.problem("GET", f"/v1/profiles/{name}", 400)


def test_what_is_configured_survives_and_is_not_learned_over(daemon, endpoint):
    one = daemon()
    one.rest.ok("PUT", "/v1/profiles/v:mine", {"links": "</1/0>,</3/0>"})
    one.rest.ok("PUT", "/v1/profiles/v:gone", {"links": "</1/0>,</3/0>"})
    one.rest.ok("DELETE", "/v1/profiles/v:gone", status=204)
    one.kill()
    one.start()
    assert profile(one.rest, "v:mine")["source"] == "configured"
    assert profile(one.rest, "v:gone") is None


def test_pages(daemon):
    one = daemon()
    wanted = sorted(f"6:{n:04x}" for n in range(25))
    for pid in wanted:
        one.rest.ok("PUT", f"/v1/profiles/{pid}", {"links": "</1/0>,</3/0>"})
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = one.rest.ok("GET", f"/v1/profiles?limit=10&cursor={cursor}").json
        found += [entry["id"] for entry in page["profiles"]]
        cursor, pages = page["next"], pages + 1
    assert found == wanted and pages == 3
    one.rest.problem("GET", "/v1/profiles?cursor=%21", 400)


def test_profiles_in_the_shell(server, pid):
    ctl = server.ctl
    ctl("profile", "set", pid, "</3/0>,</1/0>")
    assert ctl("profiles", pid).json["links"] == "</1/0>,</3/0>"
    assert pid in [entry["id"] for entry in ctl("profiles").json["profiles"]]
    table = ctl.on_terminal("profiles").out
    assert "SOURCE" in table and pid in table
    ctl("profile", "delete", pid)
    assert ctl.fails("profiles", pid)
    assert ctl.fails("profile", "set", "nonsense", "</1/0>")


# -- Send: mute -------------------------------------------------------------------------------------------------


def known(server, endpoint, muted):
    """What was written is recorded a moment later."""
    path, end = server.rest.device_path(endpoint, "send"), time.monotonic() + limit(5)
    while True:
        shown = server.rest.ok("GET", path).json
        if shown["muted"] is muted or time.monotonic() > end:
            return shown
        time.sleep(0.05)


def mute(server, one, endpoint, muted, path="/1/0/23"):
    call = Background(
        server.rest.request, "PUT", server.rest.device_path(endpoint, "send"), {"muted": muted}
    )
    request = one.expect_request(wire.PUT, path)
    one.answer(request, "2.04")
    answer = call.result()
    assert answer.status == 200, answer
    assert answer.json["muted"] is muted and answer.json["path"] == path
    return request


def test_mute_writes_the_server_object_and_shows_what_is_known(server, peer, endpoint):
    one = peer()
    path = server.rest.device_path(endpoint, "send")
    server.rest.problem("GET", path, 404)
    one.register(endpoint, "</1/3>,</3/0>", version="1.2")
    assert server.rest.ok("GET", path).json == {"path": "/1/3/23", "muted": None}
    mute(server, one, endpoint, False, "/1/3/23")
    shown = known(server, endpoint, False)
    assert shown["muted"] is False and shown["time"]
    mute(server, one, endpoint, True, "/1/3/23")
    assert known(server, endpoint, True)["muted"] is True
    # To be silent is the duty of the client; what it sends is taken.
    answer = one.request(
        wire.POST, "/dp", payload=b'[{"n":"/3/0/9","v":5}]', content_format=wire.SENML_JSON
    )
    assert answer.text == "2.04"


def test_mute_needs_one_server_instance(server, peer, endpoint):
    path = server.rest.device_path(endpoint, "send")
    one = peer()
    one.register(endpoint, "</1/0>,</1/1>,</3/0>", version="1.2")
    server.rest.problem("PUT", path, 409, {"muted": True})
    server.rest.problem("GET", path, 409)
    one.register(endpoint, "</1>,</3/0>", version="1.2")
    server.rest.problem("PUT", path, 409, {"muted": True})
    server.rest.problem("PUT", path, 400, {"muted": "yes"})


def test_mute_refused_by_the_device(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</1/0>,</3/0>", version="1.2")
    path = server.rest.device_path(endpoint, "send")
    call = Background(server.rest.problem, "PUT", path, 502, {"muted": True})
    one.answer(one.expect_request(wire.PUT, "/1/0/23"), "4.05")
    assert call.result()["coapCode"] == "4.05"
    assert server.rest.ok("GET", path).json["muted"] is None


def test_many_devices_of_a_profile(daemon, endpoint):
    """Opt-002: a thousand small Registers."""
    one = daemon(shards=2)
    one.rest.ok("PUT", "/v1/profiles/6:c0ffee", {"links": ENTRIES})
    for number in range(1000):
        with RawPeer(one.coap, source=f"127.88.{number // 250}.{number % 250 + 1}") as peer:
            assert register(peer, f"{endpoint}-{number}", "6:c0ffee") == "2.01"
    assert len(one.rest.devices(limit=1000)) == 1000
    assert objects(one.rest.device(f"{endpoint}-999")) == ["/1/0", "/3/0", "/3303", "/3303/0"]
