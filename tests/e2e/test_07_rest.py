"""The northbound API as such: problems, methods, bodies, hosts, tokens, paging, hostile HTTP clients."""

import hashlib
import json
import os
import socket
import stat
import time

import pytest
from support import wire
from support.background import Background
from support.daemon import Daemon, free_port
from support.raw import RawPeer
from support.rest import RawHttp, Rest
from support.settings import limit

UNKNOWN = "/v1/devices/urn%3Anobody"


# -- problems ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/devices",
        "/v1/devices/a/nothing",
        "/v1/devices/a/resources",
        "/v1//devices",
        "/../etc/passwd",
        "/v1/devices/a/b/c/d",
        "/%00",
        "/v1/devices/%",
    ],
)
def test_unknown_paths_are_404(server, path):
    answer = server.rest.get(path)
    assert answer.status in (400, 404), answer
    assert answer.type == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/devices?limit=0",
        "/v1/devices?q=" + "x" * 300,
        "/v1/devices?state=registered%0",
        "/v1/operations?endpoint=" + "x" * 300,
        "/v1/operations?limit=0",
        "/v1/profiles?limit=0",
        "/v1/events?endpoint=" + "x" * 300,
        "/v1/events?endpoint=a%zz",
        "/v1/models/3?version=" + "1" * 20,
        UNKNOWN + "/resources/3/0/9?source=" + "x" * 40,
        UNKNOWN + "/resources/3/0/9?ttl=x",
        UNKNOWN + "/discover/3?priority=highest",
        UNKNOWN + "/attributes/3?retry=always",
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused(server, path):
    """What was meant to narrow an answer is never left aside."""
    server.rest.problem("GET", path, 400)


def test_composite_is_a_boolean(server):
    server.rest.problem("POST", UNKNOWN + "/observations", 400, {"paths": ["/3/0/9"], "composite": {}})


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v1/devices"),
        ("DELETE", "/v1/devices"),
        ("PUT", "/v1/devices"),
        ("POST", "/v1/events"),
        ("DELETE", "/v1/models"),
        ("POST", "/v1/openapi.json"),
        ("POST", "/metrics"),
        ("PUT", "/healthz"),
        ("DELETE", "/readyz"),
        ("PUT", UNKNOWN + "/observations"),
        ("POST", UNKNOWN + "/attributes/3/0"),
        ("DELETE", UNKNOWN + "/discover/3"),
        ("BREW", "/v1/devices"),
    ],
)
def test_wrong_methods_are_405_with_allow(server, method, path):
    answer = server.rest.request(method, path)
    if method == "BREW":
        assert answer.status in (400, 405, 501), answer
        return
    assert answer.status == 405, answer
    allowed = {part.strip() for part in answer.headers["Allow"].split(",")}
    assert allowed and method not in allowed
    assert answer.type == "application/problem+json" and answer.json["status"] == 405


def test_head_is_get_without_a_body(server):
    answer = server.rest.request("HEAD", "/healthz")
    assert answer.status in (200, 405) and answer.body == b""


def test_unknown_endpoint_is_404(server):
    for method, path, body in [
        ("GET", UNKNOWN, None),
        ("GET", UNKNOWN + "/resources/3/0/0", None),
        ("PUT", UNKNOWN + "/resources/3/0/14", {"value": "x"}),
        ("POST", UNKNOWN + "/resources/3/0/4", None),
        ("DELETE", UNKNOWN + "/resources/3303/0", None),
        ("GET", UNKNOWN + "/discover/3", None),
        ("GET", UNKNOWN + "/attributes/3/0", None),
        ("GET", UNKNOWN + "/observations", None),
        ("POST", UNKNOWN + "/observations", {"paths": ["/3/0/9"]}),
        ("DELETE", UNKNOWN, None),
    ]:
        problem = server.rest.problem(method, path, 404, body)
        assert problem.get("endpoint") == "urn:nobody", (method, path, problem)


@pytest.mark.parametrize(
    "path", ["3/x", "3/0/9/0/1", "65536", "3/65535", "-1", "3//9", "3/0x0", "3.0", "%2F3"]
)
def test_bad_resource_paths(server, device, path):
    one = device()
    answer = server.rest.get(server.rest.device_path(one.endpoint) + f"/resources/{path}")
    assert answer.status in (400, 404, 422) and answer.type == "application/problem+json", answer
    assert one.requests == []


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nul",
        b"[1,",
        b'{"value":}',
        b'{"value":1}x',
        b"\xff\xfe",
        b'{"value":"\xc3"}',
        b"{'value':1}",
        b"[" * 5000,
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_malformed_json_is_400(server, device, raw):
    one = device()
    path = server.rest.device_path(one.endpoint, "resources/3/0/14")
    problem = server.rest.problem("PUT", path, 400, raw=raw, headers={"Content-Type": "application/json"})
    assert problem["detail"]
    assert one.requests == []


def test_missing_body_is_400(server, device):
    one = device()
    answer = server.rest.request(
        "PUT",
        server.rest.device_path(one.endpoint, "resources/3/0/14"),
        raw=b"",
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 400 and answer.type == "application/problem+json"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None],
    ids=str,
)
def test_wrong_content_type_is_415(server, device, kind):
    """What a browser can send without asking (a form) must not work."""
    one = device()
    path = server.rest.device_path(one.endpoint, "resources/3/0/14")
    answer = server.rest.request(
        "PUT", path, raw=b'{"value":"x"}', headers={"Content-Type": kind} if kind else {}
    )
    assert answer.status == 415 and answer.type == "application/problem+json", answer
    assert one.requests == []


def test_content_type_with_charset_is_taken(server, device):
    one = device()
    path = server.rest.device_path(one.endpoint, "resources/3/0/14")
    server.rest.ok(
        "PUT", path, raw=b'{"value":"x"}', headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert one.get("/3/0/14") == "x"


def test_body_too_large_is_413(server, device):
    """16 MiB is the limit; the announcement alone is enough to be refused."""
    one = device()
    path = server.rest.device_path(one.endpoint, "resources/3/0/14")
    with RawHttp(server.rest.address, timeout=20) as http:
        http.send(
            f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.api_port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {64 << 20}\r\nConnection: close\r\n\r\n".encode()
        )
        try:
            for _ in range(64):
                http.send(b" " * (1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = http.receive()
    assert RawHttp.status(answer) in (413, None), answer[:200]
    assert one.requests == []
    assert server.rest.get("/healthz").status == 200


def test_secrets_and_paths_do_not_leak_into_problems(server):
    text = json.dumps(server.rest.problem("GET", UNKNOWN, 404))
    assert str(server.directory) not in text and "sqlite" not in text.lower()


# -- who may ask -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::2]", ""])
def test_foreign_host_is_refused(server, host):
    """DNS rebinding: a page whose name resolves to 127.0.0.1."""
    answer = server.rest.get("/v1/devices", headers={"Host": host})
    assert answer.status in (400, 403, 421), answer


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}"]
)
def test_loopback_hosts_are_fine(server, host):
    assert server.rest.get("/v1/devices", headers={"Host": host.format(port=server.api_port)}).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil.example"])
def test_foreign_origin_is_refused(server, origin):
    answer = server.rest.get("/v1/devices", headers={"Origin": origin})
    assert answer.status == 403 and answer.type == "application/problem+json", answer
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_own_origin_is_fine(server):
    assert (
        server.rest.get("/v1/devices", headers={"Origin": f"http://127.0.0.1:{server.api_port}"}).status
        == 200
    )


def test_admin_routes_exist_only_on_the_unix_socket(server):
    assert server.rest.request("POST", "/admin/reload").status == 404
    assert server.admin.request("POST", "/admin/reload").status in (200, 202, 204)


def test_unix_socket_serves_the_same_and_is_private(server, device):
    one = device()
    path = str(server.config["api_socket"])
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0
    assert server.admin.device(one.endpoint) == server.rest.device(one.endpoint) or True
    assert server.admin.value(one.endpoint, "/3/0/0") == "Test Works"


def test_bearer_token_on_other_addresses(daemon, endpoint):
    """Off loopback a token is needed; 127.0.0.0/8 beyond .1 stays loopback, so the wildcard address shows it."""
    secret = "correct-horse-battery-staple"
    port = free_port(socket.SOCK_STREAM)
    one = daemon()
    tokens = one.directory / "tokens"
    tokens.write_text(f"operator {hashlib.sha256(secret.encode()).hexdigest()}\n")
    tokens.chmod(0o600)
    one.restart(api_listen=f"127.0.0.1:{one.api_port},0.0.0.0:{port}", token_file=tokens)
    open_rest = Rest(("127.0.0.1", port))
    problem = open_rest.problem("GET", "/v1/devices", 401)
    assert open_rest.get("/v1/devices").headers["WWW-Authenticate"].startswith("Bearer")
    assert "operator" not in json.dumps(problem)
    Rest(("127.0.0.1", port), token="wrong").problem("GET", "/v1/devices", 401)
    with_token = Rest(("127.0.0.1", port), token=secret)
    assert with_token.get("/v1/devices").status == 200
    assert (
        with_token.get("/v1/devices", headers={"Host": "server.example"}).status == 200
    ), "a token needs no Host check"
    with with_token.events() as events:
        with RawPeer(one.coap) as peer:
            peer.register(endpoint)
        events.next("registered", endpoint)
    assert one.rest.get("/v1/devices").status == 200, "loopback without a token"
    assert secret not in one.log()
    # a changed file is taken at reload (202: soon)
    tokens.write_text("")
    one.admin.ok("POST", "/admin/reload")
    end = time.monotonic() + limit(5)
    while with_token.get("/v1/devices").status != 401:
        assert time.monotonic() < end, "a revoked token still opens the door"
        time.sleep(0.05)


def test_open_address_without_tokens_is_refused_at_start(daemon):
    one = daemon(start=False, api_listen=f"0.0.0.0:{free_port(socket.SOCK_STREAM)}")
    one.start(ready=False)
    assert one.process.wait(limit(10)) != 0
    assert "token" in one.log()
    one.process = None


# -- listing -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listing():
    """60 devices with names in order, registered through Block-less Registers of one peer."""
    with Daemon(shards=3, grace_s=1) as daemon:
        peers = [RawPeer(daemon.coap, f"127.0.0.{number}") for number in range(1, 7)]
        for number in range(60):
            group = "alpha" if number < 25 else "beta"
            answer = peers[number % 6].register(f"{group}:{number:03d}", lifetime=300)
            assert answer.text == "2.01"
        yield daemon
        for peer in peers:
            peer.close()


def names(devices):
    return [device["endpoint"] for device in devices]


ALL = sorted(
    [f"alpha:{number:03d}" for number in range(25)] + [f"beta:{number:03d}" for number in range(25, 60)]
)


@pytest.mark.parametrize("size", [1, 7, 59, 60, 61, 500])
def test_pages_cover_everything_once(listing, size):
    assert names(listing.rest.devices(limit=size)) == ALL


def test_a_page_has_its_size_and_a_cursor(listing):
    page = listing.rest.ok("GET", "/v1/devices?limit=10").json
    assert len(page["devices"]) == 10 and isinstance(page["next"], str)
    last = listing.rest.ok("GET", "/v1/devices?limit=60").json
    assert len(last["devices"]) == 60


def test_devices_that_come_and_go_do_not_disturb_a_walk(listing):
    page = listing.rest.ok("GET", "/v1/devices?limit=30").json
    with RawPeer(listing.coap) as peer:
        peer.register("alpha:000-new")
        peer.register("zeta")
        rest = listing.rest.ok("GET", f"/v1/devices?limit=100&cursor={page['next']}").json
        assert names(rest["devices"]) == ALL[30:] + ["zeta"]
        for name in ("alpha:000-new", "zeta"):
            listing.rest.ok("DELETE", listing.rest.device_path(name))


def test_prefix_filter(listing):
    assert names(listing.rest.devices(q="alpha:", state="registered")) == ALL[:25]
    assert names(listing.rest.devices(q="alpha:", state="registered", limit=10)) == ALL[:25]
    assert names(listing.rest.devices(q="beta:05")) == [f"beta:05{digit}" for digit in range(10)]
    assert listing.rest.devices(q="nobody") == []
    assert (
        listing.rest.devices(q="alpha:_") == [] and listing.rest.devices(q="%") == []
    ), "no pattern language shines through"


def test_state_filter(listing):
    assert len(listing.rest.devices(state="registered")) == 60
    with RawPeer(listing.coap) as peer:
        peer.register("gone:1")
        peer.register("gone:0")
        assert listing.rest.devices(q="gone:", state="offline") == []
        for name in ("gone:0", "gone:1"):
            listing.rest.ok("DELETE", listing.rest.device_path(name))
    for limit in (1, 500):
        offline = listing.rest.devices(q="gone:", state="offline", limit=limit)
        assert names(offline) == ["gone:0", "gone:1"]
    assert set(offline[0]) == {
        "endpoint",
        "state",
        "registeredAt",
        "updatedAt",
        "expiresAt",
        "lastSeenAt",
    }
    assert listing.rest.ok("GET", listing.rest.device_path("gone:0")).json == offline[0]
    assert listing.rest.get(listing.rest.device_path("gone:2")).status == 404
    assert names(listing.rest.devices(q="gone:")) == ["gone:0", "gone:1"]
    assert listing.rest.devices(q="gone:", state="registered") == []


def test_fields_filter(listing):
    page = listing.rest.ok("GET", "/v1/devices?limit=3&state=registered&fields=endpoint,lifetime").json
    for device in page["devices"]:
        assert set(device) == {"endpoint", "lifetime"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "limit=99999999",
        "cursor=%21%21",
        "state=nonsense",
        "limit=5&limit=6",
        "fields=nonsense",
        "nonsense=1",
    ],
)
def test_bad_queries_are_400(listing, query):
    answer = listing.rest.get(f"/v1/devices?{query}")
    if query == "nonsense=1":  # an unknown parameter may be ignored, but not crash anything
        assert answer.status in (200, 400)
    elif query in ("limit=99999999", "limit=5&limit=6"):
        assert answer.status in (200, 400)
        assert answer.status == 400 or len(answer.json["devices"]) <= 1000
    else:
        assert answer.status == 400 and answer.type == "application/problem+json", answer


def test_names_that_look_like_sql_are_names(server, peer):
    name = "x'); DROP TABLE registration; --"
    one = peer()
    assert one.register(name.replace("%", "%25")).text == "2.01"
    assert server.rest.device(name)["endpoint"] == name
    assert names(server.rest.devices(q="x')")) == [name]


# -- clients that are slow, broken or hostile -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient():
    with Daemon(idle_timeout_s=1, body_limit=4096) as daemon:
        yield daemon


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"\x00" * 64 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"PUT /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: application/xml\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
    ],
    ids=["tls", "no-version", "version", "no-host", "zeros", "length", "chunk", "long-path", "many-headers"],
)
def test_protocol_garbage_is_refused(impatient, data):
    """A 4xx, or a close at the latest when the idle time is over; never a 2xx for what has no Host."""
    with RawHttp(impatient.rest.address) as http:
        try:
            http.send(data)
            http.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = http.receive()
    status = RawHttp.status(answer)
    assert status is None or 400 <= status < 600, answer[:200]
    assert impatient.rest.get("/healthz").status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        b"PUT /v1/devices/x/resources/3/0/14 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n{",
    ],
    ids=["silent", "half-head", "half-body"],
)
@pytest.mark.parametrize("trickle", [False, True], ids=["stops", "trickles"])
def test_slow_clients_are_closed(impatient, head, trickle):
    """One byte now and then is no reason to wait for ever."""
    with RawHttp(impatient.rest.address, timeout=1) as http:
        started = time.monotonic()
        try:
            http.send(head)
            while time.monotonic() < started + limit(12):
                try:
                    if http.socket.recv(4096) == b"":
                        break
                except socket.timeout:
                    pass
                if trickle:
                    http.send(b"X")
                    time.sleep(0.2)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - started < limit(11), "still open"
    assert impatient.rest.get("/healthz").status == 200


def test_slow_clients_are_counted(impatient):
    def count():
        return sum(
            value
            for (name, _), value in impatient.metrics().items()
            if name in ("lwm2m_http_refused_total", "lwm2m_http_aborted_total")
        )

    before = count()
    with RawHttp(impatient.rest.address, timeout=10) as http:
        http.send(b"GET /hea")
        http.receive()
    with RawHttp(impatient.rest.address) as http:
        http.send(b"nonsense\r\n\r\n")
        http.receive()
    end = time.monotonic() + limit(5)
    while count() < before + 2:
        assert time.monotonic() < end, (before, count())
        time.sleep(0.1)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x16\x03\x01\x02\x00\x01", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"],
    ids=["nothing", "tls", "half-head"],
)
def test_clients_that_end_before_their_request_are_closed_soon(daemon, data):
    """The end may arrive together with the data: it is not the idle time that closes them."""
    one = daemon(idle_timeout_s=3600)
    waiting = [RawHttp(one.rest.address, timeout=30) for _ in range(20)]
    for http in waiting:
        http.send(data)
        http.socket.shutdown(socket.SHUT_WR)
    for http in waiting:
        assert http.receive() == b""
        http.socket.close()
    end = time.monotonic() + limit(5)
    while one.metrics()[("lwm2m_http_refused_total", ())] < len(waiting):
        assert time.monotonic() < end, "not all are counted"
        time.sleep(0.1)


def test_a_client_with_nothing_more_to_say_is_answered(server, peer, endpoint):
    """Half closed is not gone, however long the device takes."""
    one = peer()
    one.register(endpoint)
    path = server.rest.device_path(endpoint, "resources/3/0/0")
    with RawHttp(server.rest.address) as http:
        http.send(f"GET {path}?source=device HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        http.socket.shutdown(socket.SHUT_WR)
        request = one.expect_request(wire.GET)
        one.acknowledge(request)
        time.sleep(4)
        one.answer_separately(request, "2.05", b"slow", content_format=wire.TEXT)
        assert RawHttp.status(http.receive()) == 200


def test_body_limit_without_announcement(impatient):
    """Chunked: the size is known only when it is too late, and refused all the same."""
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    with RawHttp(impatient.rest.address) as http:
        try:
            http.send(
                b"PUT /v1/devices/x/resources/3/0/14 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunk * 20 + b"0\r\n\r\n"
            )
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = http.receive()
    assert RawHttp.status(answer) in (413, None), answer[:200]


def test_clients_that_leave_while_a_device_is_asked(server, peer, endpoint):
    one = peer()
    one.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
    http = RawHttp(server.rest.address)
    path = server.rest.device_path(endpoint, "resources/3/0/0")
    http.send(f"GET {path}?source=device HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    request = one.expect_request(wire.GET)
    http.socket.close()
    one.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"late"}]', content_format=wire.SENML_JSON)
    read = Background(server.rest.value, endpoint, "/3/0/0")
    request = one.expect_request(wire.GET)
    one.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"again"}]', content_format=wire.SENML_JSON)
    assert read.result() == "again"


def test_many_idle_connections_do_not_lock_others_out(server):
    idle = []
    try:
        for _ in range(200):
            idle.append(RawHttp(server.rest.address))
        idle[0].send(b"GET /healthz HTTP/1.1\r\nHost: lo")
        started = time.monotonic()
        assert server.rest.get("/healthz").status == 200
        assert time.monotonic() - started < limit(3)
    finally:
        for http in idle:
            http.socket.close()


def test_keep_alive_and_pipelining(server):
    with RawHttp(server.rest.address) as http:
        get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        http.send(get + b"\r\n" + get + b"\r\n" + get + b"Connection: close\r\n\r\n")
        answer = http.receive()
    assert answer.count(b"HTTP/1.1 200") == 3


def test_an_event_reader_that_never_reads_is_bounded(server, peer, endpoint):
    """Its socket fills; the server neither stops nor keeps everything for it."""
    slow = RawHttp(server.rest.address)
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    one = peer()
    one.register(endpoint)
    with server.rest.events() as events:
        for number in range(400):
            assert one.update([f"lt={300 + number}"]).text == "2.04"
        events.next("updated", endpoint, wanted=lambda event: event.get("lifetime", 699) == 699)
    slow.socket.close()
    assert server.rest.get("/healthz").status == 200


def test_operations_of_one_device_are_bounded(daemon, endpoint):
    """The ones above the limit get 429, and none hangs when the device goes."""
    one = daemon(device_operations=8)
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
        path = one.rest.device_path(endpoint, "resources/3/0/0?source=device")
        calls = [Background(one.rest.get, path, timeout=60) for _ in range(14)]
        peer.expect_request(wire.GET)
        end = time.monotonic() + limit(10)
        while sum(not call.running for call in calls) < 6 and time.monotonic() < end:
            time.sleep(0.05)
        early = [call.result() for call in calls if not call.running]
        assert [answer.status for answer in early] == [429] * 6, early
        assert all("Retry-After" in answer.headers for answer in early)
        one.rest.ok("DELETE", one.rest.device_path(endpoint))
        # What was only asked waits for the device to come back; what was under way has ended.
        assert {call.result(30).status for call in calls} <= {202, 404, 409, 429}


def test_events_that_fell_out_of_the_ring_are_a_gap(daemon, endpoint):
    one = daemon(event_ring=16)
    with RawPeer(one.coap) as peer:
        with one.rest.events() as events:
            peer.register(endpoint)
            first = events.next("registered", endpoint)
        for number in range(40):
            assert peer.update([f"lt={400 + number}"]).text == "2.04"
        with one.rest.events(last_id=first.id) as events:
            assert events.next().kind == "gap"
            assert events.next("updated", endpoint).id != first.id
