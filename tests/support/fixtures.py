"""Fixtures and hooks for both test folders; their conftest.py imports everything from here."""

import itertools
import os

import pytest

from . import daemon as daemon_module
from .daemon import Daemon
from .device import Device
from .device12 import Device12
from .raw import RawPeer

_numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "storm: heavy multi-threaded tests that also run under ThreadSanitizer"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its servers' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for living in daemon_module.LIVING:
            report.sections.append((f"log of the server on port {living.coap_port}", living.tail()))


@pytest.fixture(scope="module")
def server():
    """One daemon for a module whose tests do not need one of their own. Short grace, short ACK timeout."""
    with Daemon(shards=2, grace_s=1, ack_timeout_ms=500) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def _server_lives(request):
    """A crash of the module's daemon fails the test during which it happened."""
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").crash_check()


@pytest.fixture
def daemon():
    """A daemon for this test alone: daemon(shards=2, …) starts one; every one is stopped cleanly at the end."""
    running = []

    def start(**config):
        one = Daemon(**config)
        running.append(one)
        return one

    yield start
    errors = []
    for one in running:
        try:
            one.close()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def endpoint(request):
    """A name nobody else uses, with the ':' real endpoint names have."""
    return f"urn:dev:{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def device(server, endpoint):
    """A factory of aiocoap devices on the module's daemon; device() registers one."""
    made = []

    def make(register=True, name=None, to=None, **named):
        one = Device(
            to or server.coap, name or (endpoint if not made else f"{endpoint}-{len(made)}"), **named
        )
        made.append(one)
        if register:
            one.register()
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def device12(request, endpoint):
    """A factory of LwM2M 1.2 devices on the module's daemon, or on to=…; device12() registers one."""
    made = []

    def make(register=True, name=None, to=None, **named):
        to = to or request.getfixturevalue("server").coap
        one = Device12(to, name or (endpoint if not made else f"{endpoint}-{len(made)}"), **named)
        made.append(one)
        if register:
            one.register()
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def peer(server):
    """A factory of raw peers on the module's daemon."""
    made = []

    def make(source=None, to=None, port=0):
        one = RawPeer(to or server.coap, source, port)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()
