"""lwm2m-serverctl: the same API from a shell; tables on a terminal, JSON on a pipe, exit status for scripts."""

import json
import os
import select
import signal
import subprocess
import time

import pytest
from support import formats, settings
from support.ctl import Ctl
from support.raw import RawPeer
from support.settings import limit


@pytest.fixture
def ctl(server):
    return server.ctl


def test_devices_is_json_on_a_pipe(ctl, device):
    one = device()
    assert one.endpoint in [entry["endpoint"] for entry in ctl("devices").json["devices"]]


def test_devices_is_a_table_on_a_terminal(ctl, device):
    one = device()
    result = ctl.on_terminal("devices")
    assert result.status == 0, result
    lines = result.out.splitlines()
    assert "ENDPOINT" in lines[0].upper()
    assert any(one.endpoint in line for line in lines[1:])
    assert not result.out.lstrip().startswith(("{", "["))


def test_output_can_be_chosen(ctl, device):
    one = device()
    table = ctl(settings.CTL_FORMAT_OPTION, "table", "devices")
    assert "ENDPOINT" in table.out.splitlines()[0].upper()
    json.loads(ctl.on_terminal(settings.CTL_FORMAT_OPTION, "json", "show", one.endpoint).out)
    assert ctl.fails(settings.CTL_FORMAT_OPTION, "xml", "devices")


def test_listing_goes_over_all_pages(daemon):
    one = daemon()
    with RawPeer(one.coap) as peer:
        for number in range(1100):  # a page has at most 1000
            assert peer.register(f"many:{number:04d}").text == "2.01"
    assert len(one.ctl("devices").json["devices"]) == 1100


def test_devices_by_the_beginning_of_their_names(server, ctl, device, endpoint):
    device(name=endpoint + "-x&limit=1")
    device(name=endpoint + "-y")
    assert [entry["endpoint"] for entry in ctl("devices", endpoint + "-x&").json["devices"]] == [
        endpoint + "-x&limit=1"
    ]


def test_deregister(server, ctl, device):
    one = device()
    ctl("deregister", one.endpoint)
    assert server.rest.device(one.endpoint) is None


def test_ready_and_reload(ctl):
    assert ctl("ready").json["status"] == "ready"
    ctl("reload")


def test_show(ctl, device):
    one = device()
    assert ctl("show", one.endpoint).json["endpoint"] == one.endpoint


def test_read(ctl, device):
    one = device()
    assert ctl("read", one.endpoint, "/3/0/0").json["value"] == "Test Works"
    assert "Test Works" in ctl.on_terminal("read", one.endpoint, "/3/0/0").out
    assert len(ctl("read", one.endpoint, "/3/0").json["values"]) > 5


@pytest.mark.parametrize(
    "path, text, held",
    [
        ("/3303/0/5750", "in the attic", "in the attic"),
        ("/1/0/1", "301", 301),
        ("/1/0/6", "false", False),
        ("/1/0/6", "1", True),
        ("/3/0/13", "1700000001", 1700000001),
        ("/3/0/14", "+02", "+02"),
        ("/3303/0/5750", "12", "12"),
    ],
)
def test_write(ctl, device, path, text, held):
    """The model decides whether 12 is a number or text."""
    one = device()
    ctl("write", one.endpoint, path, text)
    assert one.get(path) == held


def test_write_every_type(server, ctl, device):
    """Everything is text on a command line; the model makes numbers, truth values and bytes of it."""
    server.rest.put_model((settings.MODELS / "3442.xml").read_bytes())
    one = device()
    for resource, text, held in [
        (110, "true", "true"),
        (120, "-9007199254740993", -9007199254740993),
        (125, "18446744073709551615", 18446744073709551615),
        (130, "-2.5", -2.5),
        (130, "7", 7.0),
        (140, "false", False),
        (150, "AQL/", b"\x01\x02\xff"),
        (170, "3:0", "3:0"),
    ]:
        ctl("write", one.endpoint, f"/3442/0/{resource}", text)
        assert one.get(f"/3442/0/{resource}") == held, resource
    ctl("update", one.endpoint, "/3442/0", "/3442/0/120=5", "/3442/0/110=a=b")
    assert one.get("/3442/0/120") == 5 and one.get("/3442/0/110") == "a=b" and one.get("/3442/0/140") is False
    assert ctl.fails("write", one.endpoint, "/3442/0/120", "many")


def test_exec(ctl, device):
    one = device()
    ctl("exec", one.endpoint, "/3/0/4")
    ctl("exec", one.endpoint, "/1/0/8", "0='U'")
    assert one.executed == [("/3/0/4", ""), ("/1/0/8", "0='U'")]


def test_create_and_delete(ctl, device):
    one = device()
    ctl("create", one.endpoint, "/3303/5", "/3303/5/5750=new")
    assert one.get("/3303/5") == {5750: "new"}
    ctl("delete", one.endpoint, "/3303/5")
    assert 5 not in one.objects[3303]


def test_discover_and_attributes(ctl, device):
    one = device()
    assert "/3303/0/5700" in ctl("discover", one.endpoint, "/3303").out
    ctl("attributes", one.endpoint, "/3303/0/5700", "pmin=5", "pmax=50")
    assert one.attributes["/3303/0/5700"] == {"pmin": "5", "pmax": "50"}
    assert "50" in ctl("attributes", one.endpoint, "/3303/0/5700").out


def test_observe_and_watch(server, ctl, device):
    """watch prints events as they come; one JSON object a line on a pipe; ^C ends it."""
    one = device()
    watch = ctl.popen("watch")
    try:
        ctl("observe", one.endpoint, "/3303/0/5700")
        for value in range(100):
            one.set("/3303/0/5700", float(value))
            line = read_until(
                watch,
                lambda event: event.get("type") == "notification" and event.get("endpoint") == one.endpoint,
                0.5,
            )
            if line is not None:
                break
        assert line is not None and line["values"][0]["path"] == "/3303/0/5700"
        watch.send_signal(signal.SIGINT)
        assert watch.wait(limit(5)) in (0, 130, -signal.SIGINT)
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()
        watch.stderr.close()
    identifier = ctl("observations", one.endpoint).json["observations"][0]["id"]
    ctl("cancel", one.endpoint, identifier)
    assert server.rest.observations(one.endpoint) == []


def read_until(process, wanted, seconds):
    """The first line within the time that is a wanted JSON object, or None; what follows it is kept."""
    pending = getattr(process, "pending", b"")
    end = time.monotonic() + limit(seconds)
    while True:
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            process.pending = pending
            if line.strip():
                event = json.loads(line)
                if wanted(event):
                    return event
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            process.pending = pending
            return None
        part = os.read(process.stdout.fileno(), 65536)
        assert part, "watch ended"
        pending += part


def test_model_import(ctl, device, tmp_path):
    one = device(formats=[formats.TLV])
    result = ctl("model", "import", str(settings.MODELS / "3442.xml"))
    assert "3442.xml" in result.out + result.err
    assert "3442" in ctl("model", "list").out
    assert ctl("read", one.endpoint, "/3442/0/120").json["value"] == -7
    broken = tmp_path / "broken.xml"
    broken.write_text("<LWM2M><Object>")
    assert ctl.fails("model", "import", str(broken))
    assert "nowhere.xml" in ctl.fails("model", "import", "/nowhere.xml").err


def test_config_check(ctl, tmp_path):
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text("[server]\nshards = 2\n")
    bad.write_text("[server]\n\nshards = many\n")
    ctl("--server", settings.SERVERD, "config", "check", str(good))
    failed = ctl("--server", settings.SERVERD, "config", "check", str(bad), status=None)
    assert failed.status != 0 and "3" in failed.out + failed.err


# -- the exit status tells the outcome ----------------------------------------------------------------------------------


def test_failures_have_their_own_status(server, ctl, device, daemon):
    """A usage error, an unknown device, a refusal of the device and an absent server can be told apart."""
    one = device()
    one.behaviours["/3/0/0"] = lambda seen: "4.01"
    usage = ctl.fails("read")
    nonsense = ctl.fails("nonsense")
    unknown = ctl.fails("read", "urn:nobody", "/3/0/0")
    refused = ctl.fails("read", one.endpoint, "/3/0/0")
    absent = Ctl("/nonexistent/api.sock").fails("devices")
    assert "4.01" in refused.err
    assert "404" in unknown.err or "urn:nobody" in unknown.err
    assert "/nonexistent/api.sock" in absent.err
    assert usage.status == nonsense.status
    assert len({usage.status, unknown.status, refused.status, absent.status}) >= 3
    assert not refused.out.strip() or "4.01" in refused.out


def test_problems_are_one_clear_line(ctl, device):
    one = device()
    one.behaviours["/3/0/0"] = lambda seen: "4.05"
    error = ctl.fails("read", one.endpoint, "/3/0/0").err.strip()
    assert "\n" not in error and "4.05" in error and "Traceback" not in error


def test_control_characters_of_a_device_do_not_reach_the_terminal(ctl, device):
    one = device()
    one.objects[3][0][0] = "evil\x1b[2Jname\x07"
    result = ctl(settings.CTL_FORMAT_OPTION, "table", "read", one.endpoint, "/3/0/0")
    assert "\x1b" not in result.out and "\x07" not in result.out and "evil" in result.out


def test_a_closed_pipe_is_no_crash(ctl, device):
    device()
    done = subprocess.run(
        f"{' '.join(ctl.base)} devices | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=limit(10),
        check=False,
    )
    assert "egmentation" not in done.stderr and "ssertion" not in done.stderr
