"""Two clients with one face, for the interoperability tests of OMA: our aiocoap device and Eclipse Leshan's client.

Both have objects 1, 3 and 3303; `kind` tells which one it is, for what only one of them can do.
"""

import copy

from . import device
from .device12 import Device12
from .formats import Link, Time
from .leshan import LeshanPeer

# what the device has beyond the table of device.py: (type, operations), from the object definitions
device.MODEL.update(
    {
        (1, 4): (None, "E"),
        (1, 5): (int, "RW"),
        (1, 9): (None, "E"),
        (1, 23): (bool, "RW"),
        (3, 2): (str, "R"),
        (3, 3): (str, "R"),
        (3, 6): (int, "R"),
        (3, 7): (int, "R"),
        (3, 8): (int, "R"),
        (3, 10): (int, "R"),
        (3, 17): (str, "R"),
        (3, 18): (str, "R"),
        (3, 19): (str, "R"),
        (3, 20): (int, "R"),
        (3, 21): (int, "R"),
        (10, 0): (str, "RW"),
        (10, 1): (int, "RW"),
        (10, 11): (Link, "R"),
        (11, 0): (str, "RW"),
        (11, 1): (str, "RW"),
        (11, 2): (bool, "RW"),
        (11, 4): (int, "RW"),
        (11, 8): (str, "RW"),
        (11, 13): (int, "R"),
        (13, 0): (int, "RW"),
        (13, 1): (int, "RW"),
        (13, 7): (bool, "RW"),
        (16, 0): (str, "RW"),
        (16, 1): (None, "E"),
        (16, 2): (bytes, "R"),
        (16, 3): (int, "R"),
        (19, 0): (bytes, "RW"),
        (19, 1): (int, "RW"),
        (19, 2): (Time, "RW"),
        (19, 3): (str, "RW"),
        (20, 4010): (int, "RW"),
        (20, 4011): (None, "E"),
        (20, 4013): (int, "R"),
        (20, 4014): (bytes, "R"),
        (20, 4015): (int, "RW"),
    }
)

OBJECTS = copy.deepcopy(device.OBJECTS)
OBJECTS[1] = {0: {0: 101, 1: 300, 2: 0, 3: 0, 5: 86400, 6: True, 7: "U", 23: False}}
OBJECTS[3][0].update({2: "345000123", 3: "1.0", 6: {0: 1, 1: 5}, 7: {0: 3800, 1: 5000}, 8: {0: 125, 1: 900}, 10: 15})
OBJECTS[3][0].update({17: "Demo", 18: "1.2", 19: "1.3", 20: 1, 21: 512})


class Ours:
    """The aiocoap device."""

    kind = "ours"
    manufacturer, power = "Test Works", {"/3/0/6/0": 1, "/3/0/6/1": 5}

    def __init__(self, server, endpoint, **named):
        named.setdefault("objects", copy.deepcopy(OBJECTS))
        named.setdefault("formats", (112, 110, 11544, 60, 0, 42, 11542, 11543))
        self.device = Device12(server, endpoint, **named)
        self.endpoint = endpoint

    def start(self):
        self.device.register()
        return self

    def set(self, path, value):
        self.device.set(path, value)

    def executed(self, path):
        self.device.seen("POST", path)
        assert path in [where for where, _ in self.device.executed]

    def update(self, *query):
        self.device.update(query)

    def send(self, *paths):
        self.device.send_values({path: self.device.get(path) for path in paths})

    def leave(self):
        self.device.deregister()

    def close(self):
        self.device.close()


class Leshans:
    """Eclipse Leshan's client, a LwM2M 1.1 client."""

    kind = "leshan"
    manufacturer, power = "Leshan Peer", {"/3/0/6/0": 1, "/3/0/6/1": 5}

    def __init__(self, server, endpoint, lifetime=300, query=()):
        self.peer = LeshanPeer(server, endpoint, lifetime=lifetime, queue_mode="Q" in query)
        self.endpoint = endpoint

    def start(self):
        self.peer.wait_registered()
        return self

    def set(self, path, value):
        self.peer.command(f"set {path} {value}")

    def executed(self, path):
        self.peer.wait(f"EVENT execute {path} .*")

    def update(self, *query):
        assert not query
        self.peer.command("update")
        self.peer.wait("EVENT updated")

    def send(self, *paths):
        self.peer.command("send 112 " + " ".join(paths))
        self.peer.wait(r"EVENT sent CHANGED\(204\)")

    def leave(self):
        self.peer.stop()

    def close(self):
        self.peer.close()


CLIENTS = {"ours": Ours, "leshan": Leshans}
