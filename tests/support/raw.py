"""Devices made of raw datagrams: everything a real peer may do to us on a bad day.

RawPeer is one socket, connected to the server: it sees ICMP errors, and only what the server sends from
the address it was spoken to. Crowd is one socket with many source addresses in 127/8 for storms.
"""

import itertools
import os
import random
import select
import socket
import struct
import time

from . import wire
from .settings import limit
from .wire import Message


class Silence(AssertionError):
    """Nothing came within the limit."""


def source_address(number):
    """A loopback address of its own for device `number`: 127.10.0.1 and on."""
    high, low = divmod(number, 254)
    return f"127.{10 + (high >> 8)}.{high & 255}.{low + 1}"


class RawPeer:
    def __init__(self, server, source=None, port=0):
        """server: (host, port) of the CoAP listener. source: a local address, else the kernel chooses."""
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((source or ("::1" if family == socket.AF_INET6 else "127.0.0.1"), port))
        self.socket.connect(server)
        self.server = server
        self._mids = itertools.count(random.randrange(0x10000))
        self._waiting = []
        self.location = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    @property
    def address(self):
        return self.socket.getsockname()[:2]

    def mid(self):
        return next(self._mids) & 0xFFFF

    # -- datagrams -----------------------------------------------------------------------------------

    def send_bytes(self, data):
        self.socket.send(data)

    def send(self, message):
        self.socket.send(message.encode())
        return message

    def receive_bytes(self, timeout=2.0):
        """One datagram; raises Silence, or ConnectionRefusedError after an ICMP error."""
        ready, _, _ = select.select([self.socket], [], [], timeout)
        if not ready:
            raise Silence(f"nothing from {self.server} within {timeout:.1f} s")
        return self.socket.recv(65535)

    def receive(self, timeout=2.0):
        """The next message, one put aside by an earlier wait first."""
        if self._waiting:
            return self._waiting.pop(0)
        return Message.decode(self.receive_bytes(limit(timeout)))

    def assert_silent(self, seconds):
        """Nothing at all comes for so long: no answer, no RST, no ICMP error."""
        if self._waiting:
            raise AssertionError(f"unexpected {self._waiting[0]}")
        try:
            data = self.receive_bytes(seconds)
        except Silence:
            return
        raise AssertionError(f"expected silence, got {Message.decode(data)}")

    def _wait(self, wanted, timeout):
        end = time.monotonic() + limit(timeout)
        for message in self._waiting:
            if wanted(message):
                self._waiting.remove(message)
                return message
        while True:
            data = self.receive_bytes(max(0.0, end - time.monotonic()))
            message = Message.decode(data)
            if wanted(message):
                return message
            self._waiting.append(message)

    # -- as a client of the server ----------------------------------------------------------------------

    def request(
        self, method, path, query=(), payload=b"", token=None, type=wire.CON, timeout=5.0, extra=(), **named
    ):
        """Sends one request and returns its response: piggybacked, or separate (and then acknowledged)."""
        message = Message(
            type,
            method,
            self.mid(),
            os.urandom(4) if token is None else token,
            wire.options(path, query, **named) + list(extra),
            payload,
        )
        self.send(message)
        return self.response(message, timeout)

    def response(self, request, timeout=5.0):
        """Waits for the response of a request already sent."""

        def ours(message):
            if message.type == wire.RST and message.mid == request.mid:
                return True
            return message.is_response and message.token == request.token

        message = self._wait(ours, timeout)
        if message.type == wire.CON:
            self.send(Message(wire.ACK, wire.EMPTY, message.mid))
        return message

    def register(
        self, endpoint, links="</1/0>,</3/0>", lifetime=300, version="1.1", binding="U", query=(), **named
    ):
        """Registers and returns the response; self.location is kept for update and deregister."""
        parameters = [f"ep={endpoint}"]
        if lifetime is not None:
            parameters.append(f"lt={lifetime}")
        if version is not None:
            parameters.append(f"lwm2m={version}")
        if binding is not None:
            parameters.append(f"b={binding}")
        named.setdefault("content_format", wire.LINK)
        response = self.request(wire.POST, "/rd", parameters + list(query), links.encode(), **named)
        if response.text == "2.01":
            self.location = response.location
        return response

    def update(self, query=(), links=None, **named):
        if links is not None:
            named.setdefault("content_format", wire.LINK)
        return self.request(wire.POST, self.location, query, (links or "").encode(), **named)

    def deregister(self):
        return self.request(wire.DELETE, self.location)

    def ping(self, timeout=3.0):
        """An empty CON; the answer must be the RST with its message id."""
        message = self.send(Message(wire.CON, wire.EMPTY, self.mid()))
        return self._wait(lambda answer: answer.mid == message.mid, timeout)

    # -- as a server to the server's requests ---------------------------------------------------------------

    def expect_request(self, method=None, path=None, timeout=5.0):
        """The next request from the server that fits; retransmissions of it are returned too."""
        return self._wait(
            lambda message: message.is_request
            and (method is None or message.code == method)
            and (path is None or message.path == path),
            timeout,
        )

    def answer(self, request, code, payload=b"", options=(), **named):
        """Piggybacked on the ACK, or a NON for a NON."""
        kind = wire.ACK if request.type == wire.CON else wire.NON
        mid = request.mid if kind == wire.ACK else self.mid()
        return self.send(
            Message(kind, wire.code(code), mid, request.token, wire.options(**named) + list(options), payload)
        )

    def acknowledge(self, request):
        return self.send(Message(wire.ACK, wire.EMPTY, request.mid))

    def reset(self, message):
        return self.send(Message(wire.RST, wire.EMPTY, message.mid))

    def answer_separately(self, request, code, payload=b"", type=wire.CON, **named):
        """The response in a message of its own; the ACK for it (when CON) is waited for and returned."""
        message = self.send(
            Message(type, wire.code(code), self.mid(), request.token, wire.options(**named), payload)
        )
        if type != wire.CON:
            return None
        return self._wait(
            lambda answer: answer.type in (wire.ACK, wire.RST) and answer.mid == message.mid, 5.0
        )

    def notify(self, token, sequence, payload, content_format=wire.TEXT, type=wire.NON, **named):
        """A notification; returns the message sent (its mid is needed to match a RST)."""
        return self.send(
            Message(
                type,
                wire.code("2.05"),
                self.mid(),
                token,
                wire.options(observe=sequence, content_format=content_format, **named),
                payload,
            )
        )


class Crowd:
    """Many devices behind one socket, each with a source address of its own (IP_PKTINFO)."""

    IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)

    def __init__(self, server, first=0):
        self.server = server
        self.first = first
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setsockopt(socket.IPPROTO_IP, self.IP_PKTINFO, 1)
        self.socket.bind(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def address(self, number):
        return source_address(self.first + number)

    def send(self, number, data):
        source = socket.inet_aton(self.address(number))
        control = [(socket.IPPROTO_IP, self.IP_PKTINFO, struct.pack("=I4s4s", 0, source, b"\0" * 4))]
        self.socket.sendmsg([data], control, 0, self.server)

    def receive(self, timeout):
        """(local address the datagram was sent to, message) or None."""
        ready, _, _ = select.select([self.socket], [], [], timeout)
        if not ready:
            return None
        data, control, _, _ = self.socket.recvmsg(65535, socket.CMSG_SPACE(12))
        for level, kind, value in control:
            if level == socket.IPPROTO_IP and kind == self.IP_PKTINFO:
                return socket.inet_ntoa(value[8:12]), Message.decode(data)
        raise AssertionError("no IP_PKTINFO")
