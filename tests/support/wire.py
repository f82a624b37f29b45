"""A small CoAP codec (RFC 7252, 7641, 7959) for scripted peers.

It encodes whatever it is told, valid or not, and decodes strictly. Independent of the server's codec
and of aiocoap's, so that a mistake in one of them shows.
"""

import struct
from dataclasses import dataclass, field

CON, NON, ACK, RST = range(4)

EMPTY = 0
GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = 1, 2, 3, 4, 5, 6, 7

IF_MATCH, URI_HOST, ETAG, OBSERVE, URI_PORT, LOCATION_PATH, URI_PATH = 1, 3, 4, 6, 7, 8, 11
CONTENT_FORMAT, MAX_AGE, URI_QUERY, ACCEPT, LOCATION_QUERY = 12, 14, 15, 17, 20
BLOCK2, BLOCK1, SIZE2, SIZE1 = 23, 27, 28, 60

TEXT, LINK, OPAQUE, TLV, SENML_JSON, SENML_CBOR = 0, 40, 42, 11542, 110, 112


def code(text):
    """'2.05' -> 69"""
    major, minor = text.split(".")
    return int(major) << 5 | int(minor)


def code_text(number):
    return f"{number >> 5}.{number & 31:02d}"


def uint(value):
    """The shortest big-endian form; zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def block(number, more, szx):
    return uint(number << 4 | (8 if more else 0) | szx)


@dataclass
class Message:
    type: int = CON
    code: int = EMPTY
    mid: int = 0
    token: bytes = b""
    options: list = field(default_factory=list)
    payload: bytes = b""

    def encode(self):
        out = bytearray([0x40 | self.type << 4 | len(self.token), self.code])
        out += struct.pack("!H", self.mid) + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda option: option[0]):
            delta, length, extended = number - last, len(value), b""
            last = number
            nibbles = []
            for part in (delta, length):
                if part < 13:
                    nibbles.append(part)
                elif part < 269:
                    nibbles.append(13)
                    extended += bytes([part - 13])
                else:
                    nibbles.append(14)
                    extended += struct.pack("!H", part - 269)
            out += bytes([nibbles[0] << 4 | nibbles[1]]) + extended + value
        if self.payload:
            out += b"\xff" + self.payload
        return bytes(out)

    @classmethod
    def decode(cls, data):
        """Raises ValueError on everything RFC 7252 calls a message format error."""
        if len(data) < 4 or data[0] >> 6 != 1:
            raise ValueError("not a CoAP message")
        length = data[0] & 15
        if length > 8 or len(data) < 4 + length:
            raise ValueError("bad token length")
        message = cls(
            type=data[0] >> 4 & 3,
            code=data[1],
            mid=struct.unpack("!H", data[2:4])[0],
            token=bytes(data[4 : 4 + length]),
        )
        at, number = 4 + length, 0
        while at < len(data) and data[at] != 0xFF:
            nibbles, at = (data[at] >> 4, data[at] & 15), at + 1
            values = []
            for nibble in nibbles:
                extra = {13: 1, 14: 2}.get(nibble, 0)
                if nibble == 15 or at + extra > len(data):
                    raise ValueError("bad option header")
                base = {13: 13, 14: 269}.get(nibble, nibble)
                values.append(base + int.from_bytes(data[at : at + extra], "big"))
                at += extra
            number += values[0]
            if at + values[1] > len(data):
                raise ValueError("option past the end")
            message.options.append((number, bytes(data[at : at + values[1]])))
            at += values[1]
        if at < len(data):
            message.payload = bytes(data[at + 1 :])
            if not message.payload:
                raise ValueError("payload marker without payload")
        return message

    def all(self, number):
        return [value for option, value in self.options if option == number]

    def one(self, number):
        values = self.all(number)
        return values[0] if values else None

    def uint(self, number):
        value = self.one(number)
        return None if value is None else int.from_bytes(value, "big")

    def block(self, number):
        """(NUM, M, SZX) or None"""
        value = self.uint(number)
        return None if value is None else (value >> 4, bool(value & 8), value & 7)

    @property
    def path(self):
        return "/" + "/".join(value.decode() for value in self.all(URI_PATH))

    @property
    def location(self):
        return "/" + "/".join(value.decode() for value in self.all(LOCATION_PATH))

    @property
    def query(self):
        return [value.decode() for value in self.all(URI_QUERY)]

    @property
    def is_request(self):
        return 0 < self.code < 32

    @property
    def is_response(self):
        return self.code >= 64

    @property
    def text(self):
        return code_text(self.code)

    def __str__(self):
        kind = ("CON", "NON", "ACK", "RST")[self.type]
        return (
            f"{kind} {self.text} mid={self.mid:04x} token={self.token.hex()} "
            f"{[(number, value.hex()) for number, value in self.options]} {self.payload[:64]!r}"
        )


def options(path=None, query=(), **named):
    """Options by name: options('/rd', ['ep=a'], content_format=40, accept=60, observe=0)"""
    names = {
        "content_format": CONTENT_FORMAT,
        "accept": ACCEPT,
        "observe": OBSERVE,
        "size1": SIZE1,
        "size2": SIZE2,
        "max_age": MAX_AGE,
    }
    result = [(URI_PATH, part.encode()) for part in (path or "").split("/") if part]
    result += [(URI_QUERY, part if isinstance(part, bytes) else part.encode()) for part in query]
    for name, value in named.items():
        if name == "block1" and value is not None:
            result.append((BLOCK1, block(*value)))
        elif name == "block2" and value is not None:
            result.append((BLOCK2, block(*value)))
        elif value is not None:
            result.append((names[name], uint(value)))
    return result
