"""LwM2M data formats in Python: text, opaque, CBOR, TLV, SenML JSON, SenML CBOR and LwM2M CBOR.

A value is a str, int, float, bool, bytes, Time, Link or Unsigned. A tree is {instance: {resource: value}} below
an object, {resource: value} below an instance; a multi-instance resource is {resource instance: value}.
Written from the wire reference and independent of the server's codecs.
"""

import base64
import json
import struct

import cbor2

TEXT, LINK, OPAQUE, CBOR, TLV, SENML_JSON, SENML_CBOR = 0, 40, 42, 60, 11542, 110, 112
LWM2M_CBOR = 11544


class Time(int):
    """Seconds since 1970."""


class Unsigned(int):
    """An unsigned integer."""


class Link(str):
    """An object link 'object:instance'."""


class NotRepresentable(Exception):
    """The format cannot carry this."""


def kind_of(value):
    if isinstance(value, dict):
        return kind_of(next(iter(value.values()), ""))
    return bool if isinstance(value, bool) else type(value)


def parts(path):
    return tuple(int(part) for part in path.split("/") if part)


# -- text and opaque -------------------------------------------------------------------------------------


def text_encode(value):
    if isinstance(value, dict):
        raise NotRepresentable("several values")
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, bytes):
        return base64.b64encode(value)
    return str(value).encode()


def text_decode(data, kind):
    text = data.decode()
    if kind is bool:
        return {"0": False, "1": True}[text]
    if kind is bytes:
        return base64.b64decode(text, validate=True)
    return kind(text)


# -- TLV ---------------------------------------------------------------------------------------------------

TLV_INSTANCE, TLV_RESOURCE_INSTANCE, TLV_MULTIPLE, TLV_RESOURCE = 0x00, 0x40, 0x80, 0xC0


def tlv_entry(kind, identifier, value):
    head, length = kind, len(value)
    ident = bytes([identifier]) if identifier < 256 else struct.pack("!H", identifier)
    head |= 0x20 if identifier > 255 else 0
    if length < 8:
        size, head = b"", head | length
    elif length < 1 << 8:
        size, head = bytes([length]), head | 0x08
    elif length < 1 << 16:
        size, head = struct.pack("!H", length), head | 0x10
    else:
        size, head = length.to_bytes(3, "big"), head | 0x18
    return bytes([head]) + ident + size + value


def tlv_value(value):
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, Link):
        return struct.pack("!HH", *(int(part) for part in value.split(":")))
    if isinstance(value, int):
        for width in (1, 2, 4, 8):
            try:
                return int(value).to_bytes(width, "big", signed=not isinstance(value, Unsigned))
            except OverflowError:
                continue
        raise NotRepresentable(value)
    if isinstance(value, float):
        if abs(value) < 3e38 and struct.unpack("!f", struct.pack("!f", value))[0] == value:
            return struct.pack("!f", value)
        return struct.pack("!d", value)
    return value.encode() if isinstance(value, str) else value


def tlv_resource(identifier, value):
    if isinstance(value, dict):
        inner = b"".join(
            tlv_entry(TLV_RESOURCE_INSTANCE, key, tlv_value(value[key])) for key in sorted(value)
        )
        return tlv_entry(TLV_MULTIPLE, identifier, inner)
    return tlv_entry(TLV_RESOURCE, identifier, tlv_value(value))


def tlv_encode(path, value):
    levels = parts(path)
    if len(levels) == 1:
        return b"".join(
            tlv_entry(TLV_INSTANCE, i, b"".join(tlv_resource(r, value[i][r]) for r in sorted(value[i])))
            for i in sorted(value)
        )
    if len(levels) == 2:
        return b"".join(tlv_resource(r, value[r]) for r in sorted(value))
    if len(levels) == 3:
        return tlv_resource(levels[2], value)
    return tlv_entry(TLV_RESOURCE_INSTANCE, levels[3], tlv_value(value))


def tlv_entries(data):
    """[(kind, identifier, bytes)] of one level; strict about lengths."""
    found, at = [], 0
    while at < len(data):
        head = data[at]
        at += 1
        if head & 0x20:
            identifier, at = struct.unpack("!H", data[at : at + 2])[0], at + 2
        else:
            identifier, at = data[at], at + 1
        width = head >> 3 & 3
        if width:
            length, at = int.from_bytes(data[at : at + width], "big"), at + width
        else:
            length = head & 7
        if at + length > len(data):
            raise ValueError("TLV past the end")
        found.append((head & 0xC0, identifier, bytes(data[at : at + length])))
        at += length
    return found


def tlv_parse_value(data, kind):
    if kind is bool:
        if data not in (b"\0", b"\1"):
            raise ValueError("boolean")
        return data == b"\1"
    if kind is Link:
        return Link("%d:%d" % struct.unpack("!HH", data))
    if kind is Unsigned:
        return Unsigned(int.from_bytes(data, "big"))
    if kind in (int, Time):
        if len(data) not in (1, 2, 4, 8):
            raise ValueError("integer width")
        return kind(int.from_bytes(data, "big", signed=True))
    if kind is float:
        return struct.unpack({4: "!f", 8: "!d"}[len(data)], data)[0]
    return data.decode() if kind is str else data


def tlv_decode(path, data, kinds):
    """[(path, value)]; kinds(path of the resource) -> type."""
    levels, found = parts(path), []

    def resource(prefix, kind, identifier, value):
        here = prefix + (identifier,)
        if kind == TLV_MULTIPLE:
            for inner, instance, inner_value in tlv_entries(value):
                if inner != TLV_RESOURCE_INSTANCE:
                    raise ValueError("nesting")
                found.append((here + (instance,), tlv_parse_value(inner_value, kinds(here))))
        elif kind == TLV_RESOURCE:
            found.append((here, tlv_parse_value(value, kinds(here))))
        else:
            raise ValueError("nesting")

    for kind, identifier, value in tlv_entries(data):
        if kind == TLV_INSTANCE:
            for entry in tlv_entries(value):
                resource((levels[0], identifier), *entry)
        elif kind == TLV_RESOURCE_INSTANCE:
            here = levels[:3]
            found.append((here + (identifier,), tlv_parse_value(value, kinds(here))))
        else:
            resource(levels[:2], kind, identifier, value)
    return found


# -- SenML ---------------------------------------------------------------------------------------------------


def leaves(path, value):
    """[(path string, value)] of a tree, ascending."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(f"{path.rstrip('/')}/{key}", value[key])]
    return [(path, value)]


def senml_json_encode(path, value, time=None):
    records = []
    for name, leaf in leaves(path, value):
        record = {"n": name}
        if isinstance(leaf, bool):
            record["vb"] = leaf
        elif isinstance(leaf, bytes):
            record["vd"] = base64.urlsafe_b64encode(leaf).rstrip(b"=").decode()
        elif isinstance(leaf, Link):
            record["vlo"] = str(leaf)
        elif isinstance(leaf, (int, float)):
            record["v"] = leaf + 0
        else:
            record["vs"] = leaf
        if time is not None:
            record["t"] = time
        records.append(record)
    return json.dumps(records).encode()


def senml_cbor_encode(path, value, time=None):
    records = []
    for name, leaf in leaves(path, value):
        record = {0: name}
        if isinstance(leaf, bool):
            record[4] = leaf
        elif isinstance(leaf, bytes):
            record[8] = leaf
        elif isinstance(leaf, Link):
            record["vlo"] = str(leaf)
        elif isinstance(leaf, (int, float)):
            record[2] = leaf + 0
        else:
            record[3] = leaf
        if time is not None:
            record[6] = time
        records.append(record)
    return cbor2.dumps(records)


CBOR_NAMES = {-2: "bn", -3: "bt", 0: "n", 2: "v", 3: "vs", 4: "vb", 6: "t", 8: "vd", "vlo": "vlo"}


def senml_records(records):
    """[(path, field, value, time)] with base fields resolved."""
    base, base_time, found = "", None, []
    for record in records:
        base = record.get("bn", base)
        base_time = record.get("bt", base_time)
        time = record.get("t")
        if base_time is not None:
            time = base_time + (time or 0)
        values = [key for key in ("v", "vs", "vb", "vd", "vlo") if key in record]
        if len(values) > 1:
            raise ValueError("several values in a record")
        if values:
            found.append((base + record.get("n", ""), values[0], record[values[0]], time))
    return found


def senml_value(field, value, kind):
    if field == "vd":
        if isinstance(value, str):
            value = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        return value
    if field == "vlo":
        return Link(value)
    if field == "v" and kind in (int, Time, Unsigned, float):
        if kind is not float and value != int(value):
            raise ValueError("fraction in an integer")
        return kind(value)
    wanted = {"vs": str, "vb": bool}.get(field)
    if wanted is None or kind is not wanted:
        raise ValueError(f"{field} for {kind.__name__}")
    return value


def senml_decode(records, kinds):
    found = []
    for name, field, value, _ in senml_records(records):
        path = parts(name)
        found.append((path, senml_value(field, value, kinds(path[:3]))))
    return found


# -- LwM2M CBOR ----------------------------------------------------------------------------------------------


def cbor_value(value):
    if isinstance(value, dict):
        return {key: cbor_value(inside) for key, inside in value.items()}
    return str(value) if isinstance(value, Link) else value + 0 if isinstance(value, (Time, Unsigned)) else value


def lwm2m_cbor_encode(path, value):
    """The path asked for in one key, maps within."""
    return cbor2.dumps({parts(path): cbor_value(value)})


def lwm2m_cbor_leaves(item, way=()):
    if not isinstance(item, dict):
        return [(way, item)]
    return [
        leaf
        for key, inside in item.items()
        for leaf in lwm2m_cbor_leaves(inside, way + (tuple(key) if isinstance(key, (list, tuple)) else (key,)))
    ]


def lwm2m_cbor_decode(data, kinds):
    return [(way, kinds(way[:3])(value)) for way, value in lwm2m_cbor_leaves(cbor2.loads(data))]


# -- by content format -------------------------------------------------------------------------------------------


def encode(content_format, path, value):
    if content_format == TEXT:
        return text_encode(value)
    if content_format == OPAQUE:
        if not isinstance(value, bytes):
            raise NotRepresentable("opaque")
        return value
    if content_format == CBOR:
        if isinstance(value, dict):
            raise NotRepresentable("several values")
        return cbor2.dumps(
            str(value)
            if isinstance(value, Link)
            else value + 0 if isinstance(value, (Time, Unsigned)) else value
        )
    if content_format == TLV:
        return tlv_encode(path, value)
    if content_format == SENML_JSON:
        return senml_json_encode(path, value)
    if content_format == SENML_CBOR:
        return senml_cbor_encode(path, value)
    if content_format == LWM2M_CBOR:
        return lwm2m_cbor_encode(path, value)
    raise NotRepresentable(content_format)


def decode(content_format, path, data, kinds):
    """[(path tuple, value)]"""
    here = parts(path)
    if content_format in (TEXT, None):
        return [(here, text_decode(data, kinds(here[:3])))]
    if content_format == OPAQUE:
        return [(here, bytes(data))]
    if content_format == CBOR:
        return [(here, kinds(here[:3])(cbor2.loads(data)))]
    if content_format == TLV:
        return tlv_decode(path, data, kinds)
    if content_format == SENML_JSON:
        return senml_decode(json.loads(data), kinds)
    if content_format == SENML_CBOR:
        records = [
            {CBOR_NAMES.get(key, key): value for key, value in record.items()} for record in cbor2.loads(data)
        ]
        return senml_decode(records, kinds)
    if content_format == LWM2M_CBOR:
        return lwm2m_cbor_decode(data, kinds)
    raise NotRepresentable(content_format)
