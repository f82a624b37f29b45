"""The formats of LwM2M 1.1 and 1.2 that the older device does not have: LwM2M CBOR, LwM2M JSON, SenML-ETCH.

Written from the wire reference upon cbor2 and json, independent of the server's codecs. Paths are strings, values
those of formats.py; a removed resource instance is REMOVED.
"""

import base64
import io
import json

import cbor2

from . import formats
from .formats import CBOR_NAMES, Link, Time, Unsigned, leaves, parts, senml_records, senml_value

ETCH_JSON, ETCH_CBOR, LWM2M_JSON, LWM2M_CBOR = 320, 322, 11543, 11544
REMOVED = object()


def cbor_loads(data):
    """One item and no byte more; ValueError."""
    try:
        stream = io.BytesIO(data)
        item = cbor2.load(stream)
    except (cbor2.CBORDecodeError, EOFError) as error:
        raise ValueError(str(error)) from None
    if stream.read(1):
        raise ValueError("bytes after the end")
    return item


# -- LwM2M CBOR ------------------------------------------------------------------------------------------------------


def plain(value):
    """What cbor2 and json write of a value."""
    if isinstance(value, Link):
        return str(value)
    if isinstance(value, bool):
        return value
    return value + 0 if isinstance(value, (Time, Unsigned)) else value


def _tree(value):
    if isinstance(value, dict):
        return {key: _tree(inner) for key, inner in value.items()}
    return plain(value)


def lwm2m_cbor_encode(values, nested=False):
    """values: {path: value or tree}. nested: one level a map; otherwise the path is one key."""
    if not nested:
        return cbor2.dumps({parts(path): _tree(value) for path, value in values.items()})
    root = {}
    for path, value in values.items():
        node, levels = root, parts(path)
        for level in levels[:-1]:
            node = node.setdefault(level, {})
        node[levels[-1]] = _tree(value)
    return cbor2.dumps(root)


def lwm2m_cbor_entries(data):
    """[(path tuple, value)] of any of the equivalent forms."""
    found = []

    def walk(prefix, node):
        for key, value in node.items():
            levels = prefix + (tuple(key) if isinstance(key, (tuple, list)) else (key,))
            if not all(isinstance(level, int) and 0 <= level <= 65535 for level in levels):
                raise ValueError(f"key {key!r}")
            if isinstance(value, dict):
                walk(levels, value)
            else:
                found.append((levels, value))

    root = cbor_loads(data)
    if not isinstance(root, dict) or not root:
        raise ValueError("not a map")
    walk((), root)
    if len({path for path, _ in found}) != len(found):
        raise ValueError("a path twice")
    return found


def typed(value, kind):
    """A plain value as the model wants it; ValueError when it is something else."""
    if kind is Link:
        return Link(value)
    if kind is bool or isinstance(value, bool):
        if not isinstance(value, bool) or kind is not bool:
            raise ValueError(f"{value!r} for {kind.__name__}")
        return value
    if kind in (int, Time, Unsigned):
        if value != int(value) or kind is Unsigned and value < 0:
            raise ValueError(f"{value!r} for {kind.__name__}")
        return kind(value)
    if kind is float:
        return float(value)
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} for {kind.__name__}")
    return value


# -- LwM2M JSON ------------------------------------------------------------------------------------------------------


def lwm2m_json_encode(path, value):
    base = path.rstrip("/") + "/" if isinstance(value, dict) else path
    entries = []
    for name, leaf in leaves(path, value):
        entry = {"n": name[len(base) :]} if name != path else {}
        if isinstance(leaf, bool):
            entry["bv"] = leaf
        elif isinstance(leaf, Link):
            entry["ov"] = str(leaf)
        elif isinstance(leaf, bytes):
            entry["sv"] = base64.b64encode(leaf).decode()
        elif isinstance(leaf, (int, float)):
            entry["v"] = leaf + 0
        else:
            entry["sv"] = leaf
        entries.append(entry)
    return json.dumps({"bn": base, "e": entries}).encode()


def lwm2m_json_decode(data, kinds, alternate=""):
    document = json.loads(data)
    found = []
    for entry in document["e"]:
        path = below(document.get("bn", "") + entry.get("n", ""), alternate)
        kind = kinds(path[:3])
        if "ov" in entry:
            value = Link(entry["ov"])
        elif "bv" in entry:
            value = typed(entry["bv"], bool)
        elif "sv" in entry:
            value = base64.b64decode(entry["sv"]) if kind is bytes else entry["sv"]
        else:
            value = typed(entry["v"], kind)
        found.append((path, value))
    return found


# -- SenML and SenML-ETCH, names alone and patches ----------------------------------------------------------------------


def senml_load(content_format, data):
    if content_format in (formats.SENML_JSON, ETCH_JSON):
        return json.loads(data)
    return [
        {CBOR_NAMES.get(key, key): value for key, value in record.items()} for record in cbor_loads(data)
    ]


def fetch_paths(content_format, data):
    """The paths of a FETCH body; anything but names rejects the pack (RFC 8790 section 3)."""
    base, found = "", []
    for record in senml_load(content_format, data):
        if set(record) - {"n", "bn", "t", "bt", "u", "bu"}:
            raise ValueError(f"not a fetch record: {record}")
        base = record.get("bn", base)
        found.append((base + record.get("n", "")).rstrip("/") or "/")
    return found


def below(name, alternate):
    """The path of a name, which carries the alternate path of the device."""
    if alternate:
        if not name.startswith(alternate + "/"):
            raise KeyError(name)
        name = name[len(alternate) :]
    return parts(name)


def patch_entries(content_format, data, kinds, alternate=""):
    """[(path tuple, value or REMOVED)] of an iPATCH body."""
    if content_format == LWM2M_CBOR:
        return [(path, typed(value, kinds(path[:3]))) for path, value in lwm2m_cbor_entries(data)]
    found, base = [], ""
    for record in senml_load(content_format, data):
        base = record.get("bn", base)
        path = below(base + record.get("n", ""), alternate)
        if "v" in record and record["v"] is None:
            if content_format not in (ETCH_JSON, ETCH_CBOR):
                raise ValueError("null is of SenML-ETCH")
            found.append((path, REMOVED))
            continue
        ((_, field, value, _),) = senml_records([dict(record, bn=base)])
        found.append((path, senml_value(field, value, kinds(path[:3]))))
    return found


# -- several paths, by content format ---------------------------------------------------------------------------------------


def encode_many(content_format, values):
    """values: {path: value or tree}, the answer to a composite or a Send."""
    if content_format == LWM2M_CBOR:
        return lwm2m_cbor_encode(values)
    if content_format == formats.SENML_JSON:
        records = [record for path, value in values.items() for record in json.loads(formats.senml_json_encode(path, value))]
        return json.dumps(records).encode()
    if content_format == formats.SENML_CBOR:
        records = [record for path, value in values.items() for record in cbor_loads(formats.senml_cbor_encode(path, value))]
        return cbor2.dumps(records)
    raise formats.NotRepresentable(content_format)


def series_encode(content_format, series):
    """series: [(path, value, Unix time)] with the base time in the first record, as of the last one."""
    newest = max(when for _, _, when in series)
    records = []
    for path, value, when in series:
        many = encode_many(content_format, {path: value})
        for record in json.loads(many) if content_format == formats.SENML_JSON else cbor_loads(many):
            record["t" if content_format == formats.SENML_JSON else 6] = when - newest
            records.append(record)
    records[0]["bt" if content_format == formats.SENML_JSON else -3] = newest
    return json.dumps(records).encode() if content_format == formats.SENML_JSON else cbor2.dumps(records)


def encode(content_format, path, value):
    if content_format == LWM2M_CBOR:
        return lwm2m_cbor_encode({path: value})
    if content_format == LWM2M_JSON:
        return lwm2m_json_encode(path, value)
    return formats.encode(content_format, path, value)


def decode(content_format, path, data, kinds, alternate=""):
    """[(path tuple, value)]"""
    if content_format == LWM2M_CBOR:
        return [(levels, typed(value, kinds(levels[:3]))) for levels, value in lwm2m_cbor_entries(data)]
    if content_format == LWM2M_JSON:
        return lwm2m_json_decode(data, kinds, alternate)
    if content_format in (formats.SENML_JSON, formats.SENML_CBOR):
        return patch_entries(content_format, data, kinds, alternate)
    return formats.decode(content_format, path, data, kinds)
