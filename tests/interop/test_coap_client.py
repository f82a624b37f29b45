"""libcoap's coap-client as a peer: a third CoAP stack that knows nothing of LwM2M."""

import re
import shutil
import subprocess

import pytest
from support.settings import limit


@pytest.fixture(scope="module")
def program():
    found = (
        shutil.which("coap-client-notls")
        or shutil.which("coap-client")
        or shutil.which("coap-client-openssl")
    )
    assert found, "coap-client is missing: run contrib/deps.sh test"
    return found


@pytest.fixture
def run(server, program):
    def call(method, path, *options, payload=None, address="127.0.0.1"):
        command = [program, "-v", "7", "-B", "5", "-m", method, *options]
        if payload is not None:
            command += ["-e", payload]
        command.append(f"coap://{address}:{server.coap_port}{path}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit(20), check=False)
        return done.stdout + done.stderr

    return call


def answered(text, code):
    """libcoap prints each message with its code and options at verbosity 7."""
    return re.search(rf"c:{re.escape(code)}\b", text) is not None


def test_get_on_the_root_is_answered(run):
    """4.04, or a list of what is there; not silence."""
    text = run("get", "/")
    assert answered(text, "4.04") or answered(text, "2.05"), text


def test_get_on_rd_is_method_not_allowed(run):
    assert answered(run("get", "/rd"), "4.05")


def test_unknown_path_is_not_found(run):
    assert answered(run("get", "/no/such/thing"), "4.04")


def test_unknown_critical_option_is_bad_option(run):
    assert answered(run("get", "/rd", "-O", "2053,x"), "4.02")


def test_registers(server, run, endpoint):
    text = run("post", f"/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U", "-t", "40", payload="</1/0>,</3/0>")
    assert answered(text, "2.01"), text
    location = re.search(r"Location-Path:rd, Location-Path:(\w+)", text)
    device = server.rest.device(endpoint)
    assert device["lifetime"] == 60
    if location:
        assert location[1] == device["registrationId"]
    assert answered(run("post", f"/rd/{device['registrationId']}?lt=120"), "2.04")
    assert server.rest.device(endpoint)["lifetime"] == 120
    assert answered(run("delete", f"/rd/{device['registrationId']}"), "2.02")
    assert answered(run("delete", f"/rd/{device['registrationId']}"), "4.04")


@pytest.mark.parametrize("size", ["16", "64", "256", "1024"])
def test_registers_in_blocks(server, run, endpoint, size, tmp_path):
    links = ",".join(["</1/0>", "</3/0>"] + [f"</3303/{instance}>" for instance in range(150)])
    body = tmp_path / "links"
    body.write_text(links)
    text = run("post", f"/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U", "-t", "40", "-b", size, "-f", str(body))
    assert answered(text, "2.01"), text[-2000:]
    assert len(server.rest.device(endpoint)["objects"]) == 152


def test_non_confirmable_register(server, run, endpoint):
    run("post", f"/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U", "-t", "40", "-N", payload="</1/0>,</3/0>")
    device = server.rest.device(endpoint)
    assert device is None or device["state"] == "registered"


def test_lossy_link(server, run, endpoint):
    """coap-client drops its own first datagrams and retransmits; one registration comes of it."""
    text = run(
        "post",
        f"/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U",
        "-t",
        "40",
        "-l",
        "1",
        "-B",
        "10",
        payload="</1/0>,</3/0>",
    )
    assert answered(text, "2.01"), text
    assert len(server.rest.devices(q=endpoint)) == 1
