"""The process: health, metrics, OpenAPI, configuration, signals, ports, logs."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from support import settings, wire
from support.background import Background
from support.daemon import Daemon, check_config, free_port
from support.raw import RawPeer
from support.settings import limit

# -- health and metrics --------------------------------------------------------------------------------------------


def test_health(server):
    assert server.rest.get("/healthz").status == 200
    assert server.rest.get("/readyz").status == 200


def test_metrics_are_well_formed_and_count(server, peer, endpoint):
    answer = server.rest.ok("GET", "/metrics")
    assert answer.type == "text/plain"
    text, helped, typed = answer.body.decode(), set(), set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif line:
            assert re.fullmatch(
                r'[a-z_:][a-z0-9_:]*(\{([a-z_]+="[^"]*",?)*\})? [-+0-9.eEIinfNa]+', line
            ), line
    names = {name for name, _ in server.metrics()}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in names} <= helped | names
    assert typed <= helped
    assert all(name.startswith(("lwm2m_", "process_")) for name in names)

    def total(name):
        return sum(value for (found, _), value in server.metrics().items() if found == name)

    before = {
        name: total(name)
        for name in (
            "lwm2m_registers_total",
            "lwm2m_updates_total",
            "lwm2m_deregisters_total",
            "lwm2m_coap_duplicates_total",
        )
    }
    one = peer()
    one.register(endpoint)
    message = wire.Message(wire.CON, wire.POST, one.mid(), b"u", wire.options(one.location))
    for _ in range(2):
        one.send(message)
        one.response(message)
    one.deregister()
    deadline = time.monotonic() + limit(3)  # shards publish their counters about once a second
    while True:
        after = {name: total(name) - value for name, value in before.items()}
        if after == {
            "lwm2m_registers_total": 1,
            "lwm2m_updates_total": 1,
            "lwm2m_deregisters_total": 1,
            "lwm2m_coap_duplicates_total": 1,
        }:
            break
        assert time.monotonic() < deadline, after
        time.sleep(0.1)


def test_every_counter_of_the_table_is_exposed(server):
    """A drop without a counter does not exist, and a counter nobody can read does not either."""
    table = (settings.REPOSITORY / "src" / "base" / "counter.def").read_text()
    wanted = {f"lwm2m_{name}_total" for name in re.findall(r"^COUNTER\((\w+),", table, re.M)}
    assert wanted and wanted <= {name for name, _ in server.metrics()}


# -- OpenAPI ---------------------------------------------------------------------------------------------------------


def document(server):
    return server.rest.ok("GET", "/v1/openapi.json", status=200).json


def test_openapi_is_the_shipped_document(server):
    found = document(server)
    assert found["openapi"].startswith("3.1")
    assert found["info"]["title"] and found["info"]["version"]
    for name in (
        "/v1/devices",
        "/v1/events",
        "/v1/models",
        "/metrics",
        "/healthz",
        "/readyz",
        "/v1/openapi.json",
    ):
        assert name in found["paths"], name


def routes(found):
    return [
        (path, method)
        for path, item in found["paths"].items()
        for method in item
        if method in ("get", "put", "post", "delete", "patch")
    ]


def test_openapi_routes_exist(server):
    """Every route of the document is served: an unknown endpoint is 404 about the endpoint, never 404 about the route, never 405."""
    fill = {"ep": "urn%3Anobody", "endpoint": "urn%3Anobody", "id": "0", "path": "3/0/0"}
    for path, method in routes(document(server)):
        if path.startswith("/admin") or path == "/v1/events":
            continue
        real = re.sub(r"\{(\w+)\}", lambda match: fill.get(match[1], "0"), path)
        body = {} if method in ("put", "post") else None
        answer = server.rest.request(method.upper(), real, body)
        assert answer.status != 405, (method, path)
        assert answer.status < 500, (method, path, answer)
        if answer.status == 404:
            assert answer.json.get("endpoint") == "urn:nobody" or "{ep}" not in path, (method, path, answer)


def test_openapi_lacks_no_method(server):
    """What is not in the document is 405, with an Allow that is exactly the document."""
    found = document(server)
    fill = {"ep": "urn%3Anobody", "endpoint": "urn%3Anobody", "id": "0", "path": "3/0/0"}
    for path, item in found["paths"].items():
        if path.startswith("/admin"):
            continue
        listed = {method.upper() for method in item} & {"GET", "PUT", "POST", "DELETE", "PATCH"}
        real = re.sub(r"\{(\w+)\}", lambda match: fill.get(match[1], "0"), path)
        for method in {"PUT", "POST", "DELETE", "PATCH"} - listed:
            answer = server.rest.request(method, real)
            assert answer.status == 405, (method, path, answer)
            assert {part.strip() for part in answer.headers["Allow"].split(",")} - {
                "HEAD",
                "OPTIONS",
            } == listed


def test_openapi_fuzz_finds_no_5xx(server, device):
    """Bodies and queries that fit no schema, on every route, against a device that answers."""
    one = device()
    fill = {
        "ep": one.endpoint.replace(":", "%3A"),
        "endpoint": one.endpoint.replace(":", "%3A"),
        "id": "ffffffffffffffff",
        "path": "3/0/9",
    }
    bodies = [
        None,
        {},
        [],
        1,
        "x",
        True,
        {"value": {}},
        {"values": [None]},
        {"values": [{}]},
        {"paths": []},
        {"paths": ["x"]},
        {"paths": [7]},
        {"arguments": 5},
        {"instance": "x", "values": []},
        {"pmin": {}},
        {"value": "\u0000"},
        {"value": 1e400},
    ]
    queries = ["", "?limit=x", "?source=nonsense", "?depth=-1", "?%", "?a=%ff", "?cursor=" + "x" * 4000]
    for path, method in routes(document(server)):
        if (
            path.startswith("/admin")
            or path == "/v1/events"
            or (path.rstrip("}").endswith("{ep") and method == "delete")
        ):
            continue
        real = re.sub(r"\{(\w+)\}", lambda match: fill.get(match[1], "0"), path)
        for body in bodies if method in ("put", "post", "patch") else [None]:
            for query in queries[:1] if body is not None else queries:
                raw = None if body is None else json.dumps(body).replace("Infinity", "1e400").encode()
                answer = server.rest.request(
                    method.upper(), real + query, raw=raw, headers={"Content-Type": "application/json"}
                )
                assert answer.status < 500 or answer.status in (502, 504), (method, real, query, body, answer)
                if answer.status >= 400:
                    assert answer.type == "application/problem+json", (method, real, query, body, answer)


# -- configuration --------------------------------------------------------------------------------------------------


GOOD = "[coap]\nlisten = 127.0.0.1:5683\n[api]\nlisten = 127.0.0.1:8080\n"


def test_check_accepts_a_good_configuration():
    status, text, _ = check_config(GOOD)
    assert status == 0, text


@pytest.mark.parametrize(
    "text, line",
    [
        (GOOD + "nonsense = 1\n", 5),
        (GOOD + "[nonsense]\nx = 1\n", 6),
        ("[server]\nshards = many\n", 2),
        ("[server]\n\n\nshards = -1\n", 4),
        ("[server]\nshards = 100000\n", 2),
        ("[coap]\nlisten = 127.0.0.1:99999\n", 2),
        ("[coap]\nlisten = nowhere.invalid\n", 2),
        ("[registration]\nreplace-policy = sometimes\n", 2),
        ("[store]\nsynchronous = maybe\n", 2),
        ("[server]\nlog-level = loud\n", 2),
        ("[server]\nshards\n", 2),
        ("shards = 1\n", 1),
    ],
    ids=lambda value: repr(value[-28:]) if isinstance(value, str) else str(value),
)
def test_check_names_the_line(text, line):
    status, printed, path = check_config(text)
    assert status != 0, printed
    assert re.search(rf"{re.escape(os.path.basename(path))}:{line}\b|line {line}\b", printed), printed


def test_check_reports_every_error_at_once():
    status, printed, _ = check_config("[server]\nshards = x\nlog-level = y\n[nope]\na = b\n")
    assert status != 0
    assert all(re.search(rf"(:|line ){line}\b", printed) for line in (2, 3, 5)), printed


def test_missing_file_is_named():
    done = subprocess.run(
        [settings.SERVERD, settings.CHECK_OPTION, settings.CONFIG_OPTION, "/nonexistent/x.conf"],
        capture_output=True,
        text=True,
        timeout=limit(10),
        check=False,
    )
    assert done.returncode != 0 and "/nonexistent/x.conf" in done.stderr + done.stdout


def test_bad_configuration_does_not_start(daemon):
    one = daemon(start=False)
    one.write_config("[server]\nnonsense = 1\n")
    one.start(ready=False)
    assert one.process.wait(limit(10)) != 0
    one.process = None
    assert "nonsense" in one.log()


def test_version_and_help():
    for program in (settings.SERVERD, settings.SERVERCTL):
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=limit(10), check=False
        )
        assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout)
        done = subprocess.run(
            [program, "--help"], capture_output=True, text=True, timeout=limit(10), check=False
        )
        assert done.returncode == 0 and "--" in done.stdout
        done = subprocess.run(
            [program, "--nonsense"], capture_output=True, text=True, timeout=limit(10), check=False
        )
        assert done.returncode != 0 and done.stderr


# -- ports -----------------------------------------------------------------------------------------------------------


def ends_naming(one, port):
    one.start(ready=False)
    status = one.process.wait(limit(10))
    one.process = None
    assert status not in (0, None) and status > 0, status
    assert str(port) in one.log(), one.log()


def test_busy_coap_port_is_named(daemon):
    one = daemon(start=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(one.coap)
        ends_naming(one, one.coap_port)


def test_busy_rest_port_is_named(daemon):
    one = daemon(start=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", one.api_port))
        other.listen()
        ends_naming(one, one.api_port)


def test_a_second_server_does_not_share_the_port(daemon):
    """SO_REUSEPORT would let it: both would get some of the datagrams."""
    first = daemon()
    second = daemon(start=False)
    second.config["coap_listen"] = first.config["coap_listen"]
    second.write_config()
    ends_naming(second, first.coap_port)


def test_a_second_server_does_not_share_the_database(daemon):
    first = daemon()
    second = daemon(start=False, data_dir=first.config["data_dir"])
    second.write_config()
    second.start(ready=False)
    assert second.process.wait(limit(10)) > 0
    second.process = None
    first.crash_check()


def test_a_stale_unix_socket_is_replaced(daemon):
    one = daemon()
    one.kill()
    assert os.path.exists(one.config["api_socket"])
    one.start()
    assert one.admin.get("/healthz").status == 200


# -- signals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_signals_end_cleanly(daemon, number, endpoint):
    one = daemon()
    with RawPeer(one.coap) as peer, one.rest.events() as events:
        peer.register(endpoint)
        one.signal(number)
        assert events.ended(), "event readers are let go"
        assert one.process.wait(limit(10)) == 0
        one.process = None
    one.check_log()
    assert not os.path.exists(one.config["api_socket"])
    one.start()
    assert one.rest.device(endpoint)["state"] == "registered", "stopping de-registers nobody"


def test_stopping_does_not_wait_for_devices(daemon, endpoint):
    """An operation under way ends with 503, not with the device's timeout."""
    one = daemon()
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, "</>;ct=110,</1/0>,</3/0>")
        read = Background(
            one.rest.get, one.rest.device_path(endpoint, "resources/3/0/0?source=device"), timeout=60
        )
        peer.expect_request(wire.GET)
        started = time.monotonic()
        one.stop()
        assert time.monotonic() - started < limit(5)
        try:
            assert read.result().status == 503
        except (ConnectionError, OSError):
            pass  # closed before the answer is fine too; hanging is not


def test_reload_takes_reloadable_rows_and_names_the_others(daemon):
    one = daemon()
    one.config.update(log_level="error", shards=3)
    one.write_config()
    one.signal(signal.SIGHUP)
    end = time.monotonic() + limit(5)
    while "shards" not in one.log():
        assert time.monotonic() < end, one.tail()
        time.sleep(0.05)
    one.crash_check()
    assert one.rest.get("/readyz").status == 200


def test_reload_of_a_broken_file_changes_nothing(daemon, endpoint):
    one = daemon()
    one.write_config("[nonsense]\nx = 1\n")
    answer = one.admin.request("POST", "/admin/reload")
    assert answer.status >= 400 and answer.type == "application/problem+json", answer
    one.signal(signal.SIGHUP)
    time.sleep(0.3)
    one.crash_check()
    with RawPeer(one.coap) as peer:
        assert peer.register(endpoint).text == "2.01"


# -- logs and service manager -------------------------------------------------------------------------------------------------


def test_json_logs_are_json(daemon, endpoint):
    one = daemon(log_format="json", log_level="debug")
    with RawPeer(one.coap) as peer:
        peer.register(endpoint)
        peer.deregister()
    one.stop()
    lines = [json.loads(line) for line in one.log().splitlines() if line.strip()]
    assert lines
    about = [line for line in lines if line.get("endpoint") == endpoint]
    assert about, lines[-5:]
    assert all(re.match(r"20\d\d-", str(line.get("time", ""))) for line in lines)


def test_text_logs_name_the_endpoint(daemon, endpoint):
    one = daemon(log_format="text", log_level="debug")
    with RawPeer(one.coap) as peer:
        peer.register(endpoint)
    one.stop()
    assert endpoint in one.log()


def test_control_characters_do_not_reach_the_log(daemon):
    one = daemon(log_format="text", log_level="debug")
    with RawPeer(one.coap) as peer:
        peer.register("evil\x1b[31m\nFAKE LINE\r")
    one.stop()
    assert "\x1b" not in one.log() and "\nFAKE LINE" not in one.log()


def test_service_manager_is_told(daemon):
    """sd_notify: READY=1 when it serves, STOPPING=1 at the end, WATCHDOG=1 in between."""
    one = daemon(start=False)
    path = str(one.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(limit(10))
        one.environment.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="1000000")
        one.environment.pop("WATCHDOG_PID", None)
        one.start()
        seen = ""
        while "READY=1" not in seen or "WATCHDOG=1" not in seen:
            seen += manager.recv(4096).decode() + "\n"
        one.signal(signal.SIGTERM)
        while "STOPPING=1" not in seen:
            seen += manager.recv(4096).decode() + "\n"


def test_the_defaults_of_make_run_listen_where_they_say(server):
    """The log of a start names every address it listens on."""
    log = server.log()
    assert str(server.coap_port) in log and str(server.api_port) in log


def test_two_daemons_side_by_side(endpoint):
    """Nothing is shared but the programs."""
    with Daemon() as one, Daemon() as two:
        with RawPeer(one.coap) as peer:
            peer.register(endpoint)
        assert one.rest.device(endpoint) and two.rest.device(endpoint) is None
        assert free_port() not in (one.coap_port, two.coap_port)
