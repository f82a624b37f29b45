"""Every data format against implementations that are not ours: cbor2 and Python's json; TLV, which
no library reads, against a reader of a few lines. Random trees of values, each from its seed, go
through our encoder and their decoder, and through their encoder and our decoder."""

import base64
import json
import math
import random
import struct

import cbor2
import pytest
from conftest import Refused

TREES = 150
KINDS = ["string", "integer", "unsigned", "float", "boolean", "opaque", "time", "objlnk", "corelnk"]
OBJECTS = (34000, 34010)
UNKNOWN = 9  # an object without definition

SENML_KEYS = {-1: "bver", -2: "bn", -3: "bt", 0: "n", 2: "v", 3: "vs", 4: "vb", 6: "t", 8: "vd"}


# ---- trees ------------------------------------------------------------------------------------


def random_text(rng):
    alphabet = 'aZ09 "\\/\n\t\x01\x7féß中\U0001f600'
    return "".join(rng.choice(alphabet) for _ in range(rng.choice((0, 1, 5, 23, 24, 300))))


def random_value(rng, kind):
    edges = [0, 1, -1, 23, 24, 255, 256, 65535, 65536, 2**31, 2**32, -24, -25, -129, -(2**31)]
    if kind in ("integer", "time"):
        return rng.choice([*edges, 2**63 - 1, -(2**63), rng.getrandbits(63), -rng.getrandbits(53)])
    if kind == "unsigned":
        return rng.choice([abs(e) for e in edges] + [2**64 - 1, 2**63, rng.getrandbits(64)])
    if kind == "float":
        # any half, single and double, and singles that a half misses by their last bit
        half = struct.unpack(">e", struct.pack(">H", rng.getrandbits(16)))[0]
        beside = struct.unpack(">I", struct.pack(">f", half))[0] ^ 1
        numbers = [0.0, 22.5, 0.1, 65504.0, 5.96e-8, 1e300, 5e-324, float(2**53), 3.0, half]
        numbers.append(struct.unpack(">f", struct.pack(">I", beside))[0])
        numbers.append(struct.unpack(">f", struct.pack(">I", rng.getrandbits(32)))[0])
        numbers.append(struct.unpack(">d", struct.pack(">Q", rng.getrandbits(64)))[0])
        return rng.choice([n for n in numbers if math.isfinite(n)])
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "opaque":
        return rng.randbytes(rng.choice((0, 1, 2, 3, 23, 24, 256)))
    if kind == "objlnk":
        return rng.choice(["3:0", "65535:65535", "66:65535", f"{rng.randrange(65536)}:0"])
    return random_text(rng)


def random_path(rng, objects=OBJECTS):
    index = rng.randrange(len(KINDS))
    path = (rng.choice(objects), rng.choice((0, 1, 300, 65534)))
    if rng.random() < 0.3:
        return (*path, 20 + index, rng.choice((0, 1, 255, 256, 65534))), KINDS[index]
    return (*path, index), KINDS[index]


def random_tree(rng, base, prefixes=("",), timed=False, repeat=False):
    """Records below a base; without `repeat` each path once."""
    records = {}
    for _ in range(rng.choice((1, 2, 5, 12, 40))):
        path, kind = random_path(rng)
        path = (*base, *path[len(base) :])
        prefix = rng.choice(prefixes)
        time = None
        if timed:
            time = 1_700_000_000_000 + 1000 * rng.randrange(-500_000, 500_000)
            time += rng.choice((0, 0, 1, 125, 999))
        key = (prefix, path, len(records) if repeat else 0)
        records[key] = (prefix, path, kind, random_value(rng, kind), time)
    return list(records.values())


def random_base(rng, depths):
    path, kind = random_path(rng)
    depth = rng.choice(depths)
    return path[:depth], path, kind


def base_text(base):
    return "/" + "/".join(map(str, base))


def same(ours, theirs):
    """Also tells 1 from True and 1 from 1.0, as == does not."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a == b
        assert type(a[3]) is type(b[3])


seeds = pytest.mark.parametrize("seed", range(TREES))


# ---- one value --------------------------------------------------------------------------------


@seeds
def test_cbor_one_value(convert, seed):
    rng = random.Random(seed)
    path, kind = random_path(rng)
    value = random_value(rng, kind)
    where = base_text(path)
    body = convert.encode(60, "write", where, [("", path, kind, value, None)])
    theirs = cbor2.loads(body)
    assert theirs == value and type(theirs) is type(value)
    # the shortest form, but for floats whose width is ours to choose
    assert cbor2.dumps(value, canonical=True) == body
    same(
        convert.decode(60, "answer", where, wild_cbor(rng, value)), [("", path, kind, value, None)]
    )


@seeds
def test_text(convert, seed):
    rng = random.Random(seed)
    path, kind = random_path(rng)
    value = random_value(rng, kind)
    text = {
        "boolean": lambda: str(int(value)),
        "opaque": lambda: base64.b64encode(value).decode(),
        "float": lambda: format(value, ".17g"),
    }.get(kind, lambda: str(value))()
    body = convert.encode(0, "write", base_text(path), [("", path, kind, value, None)]).decode()
    if kind == "float":
        assert float(body) == value and "e" not in body.lower()
    else:
        assert body == text
    same(
        convert.decode(0, "answer", base_text(path), text.encode()), [("", path, kind, value, None)]
    )


# ---- TLV --------------------------------------------------------------------------------------


def read_tlv(body):
    """A list of (kind, id, bytes)."""
    out = []
    while body:
        head, body = body[0], body[1:]
        width = 2 if head & 0x20 else 1
        number, body = int.from_bytes(body[:width], "big"), body[width:]
        width = head >> 3 & 3
        length = int.from_bytes(body[:width], "big") if width else head & 7
        body = body[width:]
        assert len(body) >= length
        out.append((head >> 6, number, body[:length]))
        body = body[length:]
    return out


def flat_tlv(base, body):
    """{path: bytes} of a body, by the rules of LwM2M Core 7.4.3."""
    out = {}

    def resources(path, entries):
        for kind, number, inside in entries:
            assert kind in (2, 3)
            if kind == 3:
                out[(*path, number)] = inside
                continue
            for inner, instance, value in read_tlv(inside):
                assert inner == 1
                out[(*path, number, instance)] = value

    entries = read_tlv(body)
    if len(base) == 1:
        for kind, number, inside in entries:
            assert kind == 0
            resources((*base, number), read_tlv(inside))
    elif len(base) == 4:
        for kind, number, inside in entries:
            assert kind == 1
            out[(*base[:3], number)] = inside
    else:
        resources(base[:2], entries)
    return out


def of_tlv(kind, data):
    if kind in ("integer", "time"):
        return int.from_bytes(data, "big", signed=True)
    if kind == "unsigned":
        return int.from_bytes(data, "big")
    if kind == "float":
        return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    if kind == "boolean":
        assert len(data) == 1
        return data == b"\1"
    if kind == "objlnk":
        return "{}:{}".format(*struct.unpack(">HH", data))
    return data if kind == "opaque" else data.decode()


def to_tlv(rng, kind, value):
    if kind in ("integer", "unsigned", "time"):
        signed = kind != "unsigned"
        for width in (1, 2, 4, 8):
            try:
                shortest = value.to_bytes(width, "big", signed=signed)
            except OverflowError:
                continue
            if rng.random() < 0.7 or width == 8:
                return shortest
    if kind == "float":
        return struct.pack(">d", value)
    if kind == "boolean":
        return bytes([value])
    if kind == "objlnk":
        return struct.pack(">HH", *map(int, value.split(":")))
    return value if kind == "opaque" else value.encode()


def tlv_entry(rng, kind, number, inside):
    wide = number > 255 or rng.random() < 0.2
    need = 0 if len(inside) < 8 else (len(inside).bit_length() + 7) // 8
    width = max(need, rng.choice((0, 1, 2, 3))) if len(inside) > 7 or rng.random() < 0.3 else 0
    head = kind << 6 | (0x20 if wide else 0) | width << 3
    head |= rng.randrange(8) if width else len(inside)
    return (
        bytes([head])
        + number.to_bytes(2 if wide else 1, "big")
        + (len(inside).to_bytes(width, "big") if width else b"")
        + inside
    )


def write_tlv(rng, base, records):
    tree = {}
    for _, path, kind, value, _ in records:
        resource = tree.setdefault(path[1], {})
        if len(path) == 4:
            resource.setdefault(path[2], {})[path[3]] = to_tlv(rng, kind, value)
        else:
            resource[path[2]] = to_tlv(rng, kind, value)

    def inner(resources):
        out = b""
        for number, inside in resources.items():
            if isinstance(inside, dict):
                joined = b"".join(tlv_entry(rng, 1, i, v) for i, v in inside.items())
                out += tlv_entry(rng, 2, number, joined)
            else:
                out += tlv_entry(rng, 3, number, inside)
        return out

    if len(base) > 1 and rng.random() < 0.7:
        return inner(tree[base[1]])
    return b"".join(tlv_entry(rng, 0, i, inner(resources)) for i, resources in tree.items())


@seeds
def test_tlv(convert, seed):
    rng = random.Random(seed)
    base, path, kind = random_base(rng, (1, 2, 3, 4))
    if len(base) > 2:
        records = [("", path, kind, random_value(rng, kind), None)]
        base = path[: len(base)]
    else:
        records = random_tree(rng, base)
    body = convert.encode(11542, "write", base_text(base), records)
    theirs = flat_tlv(base, body)
    assert {r[1]: r[3] for r in records} == {
        p: of_tlv(next(r[2] for r in records if r[1] == p), data) for p, data in theirs.items()
    }
    body = write_tlv(rng, base, records)
    ours = convert.decode(11542, "answer", base_text(base), body)
    same(sorted(ours), sorted(records, key=lambda r: r[1]))


# ---- CBOR -------------------------------------------------------------------------------------


def cbor_head(rng, major, n):
    least = next(w for w in (0, 1, 2, 4, 8) if n < (24 if w == 0 else 256**w))
    width = rng.choice([w for w in (0, 1, 2, 4, 8) if w >= least]) if rng.random() < 0.2 else least
    if width == 0:
        return bytes([major << 5 | n])
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + n.to_bytes(width, "big")


def wild_cbor(rng, item):
    """Any of the encodings that mean the same; cbor2 is asked whether they do."""
    body = wild_item(rng, item)
    assert cbor2.loads(body) == item
    return body


def wild_item(rng, item):
    if isinstance(item, bool) or item is None:
        return cbor2.dumps(item)
    if isinstance(item, int):
        return cbor_head(rng, 1, -1 - item) if item < 0 else cbor_head(rng, 0, item)
    if isinstance(item, float):
        return rng.choice((cbor2.dumps(item), cbor2.dumps(item, canonical=True)))
    if isinstance(item, (bytes, str)):
        return wild_string(rng, item)
    indefinite = rng.random() < 0.4
    if isinstance(item, dict):
        inside = b"".join(wild_item(rng, k) + wild_item(rng, v) for k, v in item.items())
        major = 5
    else:
        inside = b"".join(wild_item(rng, i) for i in item)
        major = 4
    if indefinite:
        return bytes([major << 5 | 31]) + inside + b"\xff"
    return cbor_head(rng, major, len(item)) + inside


def wild_string(rng, item):
    major = 2 if isinstance(item, bytes) else 3
    if rng.random() < 0.7:
        data = item.encode() if major == 3 else item
        return cbor_head(rng, major, len(data)) + data
    cut = rng.randrange(len(item) + 1)
    parts = [p.encode() if major == 3 else p for p in (item[:cut], item[cut:])]
    return (
        bytes([major << 5 | 31])
        + b"".join(cbor_head(rng, major, len(p)) + p for p in parts)
        + b"\xff"
    )


# ---- LwM2M CBOR -------------------------------------------------------------------------------


def flat_lwm2m_cbor(item, way=()):
    """{(prefix, path): value}; the grammar is checked on the way."""
    if not isinstance(item, dict):
        prefix = way[0] if way and isinstance(way[0], str) else ""
        path = way[1:] if prefix else way
        assert all(isinstance(i, int) for i in path)
        return {(prefix, path): item}
    assert item
    out = {}
    for key, inside in item.items():
        parts = tuple(key) if isinstance(key, (tuple, list)) else (key,)
        assert parts
        below = flat_lwm2m_cbor(inside, way + parts)
        assert not out.keys() & below.keys()
        out.update(below)
    return out


def nest(rng, entries):
    """Some map for {path: value}, keys cut anywhere; entries that share a first part are put under
    one key now and then."""
    groups = {}
    for way, value in entries.items():
        groups.setdefault(way[0], {})[way] = value
    out = {}
    for first, inside in groups.items():
        share = 1
        while rng.random() < 0.5 and all(len(w) > share + 1 for w in inside):
            if len({w[: share + 1] for w in inside}) > 1:
                break
            share += 1
        if rng.random() < 0.6 and all(len(w) > share for w in inside):
            key = next(iter(inside))[:share]
            below = nest(rng, {w[share:]: v for w, v in inside.items()})
            out[key if share > 1 or rng.random() < 0.3 else key[0]] = below
            continue
        for way, value in inside.items():
            out[way if len(way) > 1 or rng.random() < 0.3 else way[0]] = value
    return out


@seeds
def test_lwm2m_cbor(convert, seed):
    rng = random.Random(seed)
    many = seed % 3 == 0
    base = () if many else random_base(rng, (0, 1, 2))[0]
    records = random_tree(rng, base, prefixes=("", "d01", "n0-é") if many else ("",))
    if seed % 5 == 0 and not many:
        base, path, kind = random_base(rng, (3, 4))
        base = path[: len(base)]
        records = [("", path, kind, random_value(rng, kind), None)]
    gateway = "*" if many else "-"
    use = "composite" if not base else "answer"
    body = convert.encode(11544, use, base_text(base), records, gateway)
    theirs = cbor2.loads(body)
    assert flat_lwm2m_cbor(theirs) == {(r[0], r[1]): r[3] for r in records}
    if len(base) > 1:
        assert list(theirs) == [base]
    # the same records in another order are the same bytes
    if not many:
        mixed = rng.sample(records, len(records))
        assert convert.encode(11544, use, base_text(base), mixed) == body
    entries = {((r[0],) if r[0] else ()) + r[1]: r[3] for r in records}
    other = wild_cbor(rng, nest(rng, entries))
    ours = convert.decode(11544, use, base_text(base), other, gateway)
    key = lambda r: (r[0], r[1])  # noqa: E731
    same(sorted(ours, key=key), sorted(records, key=key))


@seeds
def test_lwm2m_cbor_duplicates(convert, seed):
    rng = random.Random(seed)
    records = random_tree(rng, ())
    entries = [(wild_item(rng, r[1]), wild_item(rng, r[3])) for r in records]
    twice = rng.choice(records)
    split = rng.randrange(1, len(twice[1]))
    entries.append(
        (wild_item(rng, twice[1][:split]), wild_item(rng, {twice[1][split:]: twice[3]}))
    )
    rng.shuffle(entries)
    body = b"\xbf" + b"".join(k + v for k, v in entries) + b"\xff"
    with pytest.raises(Refused, match="DUPLICATE"):
        convert.decode(11544, "composite", "/", body)


@seeds
def test_create_with_open_instance(convert, seed):
    rng = random.Random(seed)
    records = random_tree(rng, (34000, 65535))
    body = convert.encode(11544, "create", "/34000", records)
    assert flat_lwm2m_cbor(cbor2.loads(body)) == {("", r[1]): r[3] for r in records}
    same(convert.decode(11544, "create", "/34000", body), sorted(records, key=lambda r: r[1]))
    body = convert.encode(11542, "create", "/34000", records)
    assert {entry[0] for entry in read_tlv(body)} <= {2, 3}
    same(convert.decode(11542, "create", "/34000", body), sorted(records, key=lambda r: r[1]))


# ---- SenML ------------------------------------------------------------------------------------


def value_field(kind):
    return {
        "string": "vs",
        "corelnk": "vs",
        "boolean": "vb",
        "opaque": "vd",
        "objlnk": "vlo",
        "none": None,
    }.get(kind, "v")


def split_name(name):
    parts = name.removeprefix("/").split("/")
    prefix = parts.pop(0) if not parts[0].isdigit() and parts[0] else ""
    return prefix, tuple(int(p) for p in parts if p)


def resolve_senml(pack, binary):
    """(prefix, path, field, value, time) of each record, by RFC 8428 section 4.6."""
    base_name, base_time, out = "", 0, []
    for record in pack:
        if binary:
            assert all(k in SENML_KEYS or k == "vlo" for k in record)
            record = {SENML_KEYS.get(k, k): v for k, v in record.items()}
        base_name, base_time = record.get("bn", base_name), record.get("bt", base_time)
        fields = [f for f in ("v", "vs", "vb", "vd", "vlo") if f in record]
        assert len(fields) <= 1
        value = record[fields[0]] if fields else None
        if fields == ["vd"] and not binary:
            assert "=" not in value and "+" not in value and "/" not in value
            value = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        time = round((base_time + record.get("t", 0)) * 1000)
        prefix, path = split_name(base_name + record.get("n", ""))
        out.append((prefix, path, fields[0] if fields else None, value, time or None))
    return out


def write_senml(rng, records, binary):
    """A pack with base names and times that change now and then."""
    pack, base_name, base_time = [], "", 0
    keys = {label: key for key, label in SENML_KEYS.items()}
    for prefix, path, kind, value, time in records:
        record = {}
        name = (f"/{prefix}" if prefix else "") + base_text(path)
        if rng.random() < 0.3 or not name.startswith(base_name):
            base_name = name[: rng.randrange(len(name) + 1)]
            record["bn"] = base_name
        if name != base_name or rng.random() < 0.5:
            record["n"] = name[len(base_name) :]
        if time is not None and rng.random() < 0.3:
            base_time = time // 1000
            record["bt"] = base_time
        if time is None and base_time:
            base_time = 0
            record["bt"] = 0
        if time is not None and time != base_time * 1000:
            ms = time - base_time * 1000
            record["t"] = ms // 1000 if ms % 1000 == 0 else ms / 1000
        field = value_field(kind)
        if kind == "opaque" and not binary:
            variant = rng.choice((base64.urlsafe_b64encode, base64.b64encode))
            value = variant(value).decode()
            value = value.rstrip("=") if rng.random() < 0.5 else value
        if field:
            record[field] = value
        if rng.random() < 0.2 and kind != "none":
            record.update({"u": "V", "ut": 5, "x": {"y": [1]}})
        items = list(record.items())
        rng.shuffle(items)
        pack.append({(keys.get(k, k) if binary else k): v for k, v in items})
    if binary:
        return wild_cbor(rng, pack)
    return json.dumps(pack, ensure_ascii=rng.random() < 0.5).encode()


def check_senml(convert, rng, number, use, base, records, gateway="-"):
    binary = number in (112, 322)
    body = convert.encode(number, use, base_text(base), records, gateway)
    pack = cbor2.loads(body) if binary else json.loads(body)
    theirs = resolve_senml(pack, binary)
    wanted = []
    for prefix, path, kind, value, time in records:
        field = value_field(kind)
        if kind == "none" and use == "patch":
            field = "v"
        wanted.append((prefix, path, field, value, time))
    same(theirs, wanted)
    if use == "patch":  # null has to be written
        other = body
    else:
        other = write_senml(rng, records, binary)
    same(convert.decode(number, use, base_text(base), other, gateway), records)


@seeds
@pytest.mark.parametrize("number", (110, 112))
def test_senml(convert, number, seed):
    rng = random.Random(seed)
    base = random_base(rng, (0, 1, 2))[0]
    records = random_tree(rng, base, timed=seed % 2 == 0, repeat=seed % 4 == 0)
    check_senml(convert, rng, number, "answer", base, records)


@seeds
@pytest.mark.parametrize("number", (110, 112))
def test_senml_of_many_devices(convert, number, seed):
    rng = random.Random(seed)
    records = random_tree(rng, (), prefixes=("", "d01", "dev0"), timed=seed % 2 == 0)
    check_senml(convert, rng, number, "send", (), records, "*")


@seeds
@pytest.mark.parametrize("number", (110, 112, 320, 322))
def test_fetch(convert, number, seed):
    rng = random.Random(seed)
    records = []
    for _ in range(rng.randrange(1, 9)):
        path = random_path(rng)[0][: rng.randrange(5)]
        records.append(("", path, "none", None, None))
    body = convert.encode(number, "fetch", "/", records)
    pack = json.loads(body) if number in (110, 320) else cbor2.loads(body)
    theirs = resolve_senml(pack, number in (112, 322))
    assert [(r[1], r[2]) for r in theirs] == [(r[1], None) for r in records]
    same(convert.decode(number, "fetch", "/", body), records)
    # one value among them spoils it all
    pack[rng.randrange(len(pack))]["vs" if number in (110, 320) else 3] = "x"
    body = json.dumps(pack).encode() if number in (110, 320) else cbor2.dumps(pack)
    with pytest.raises(Refused, match="MALFORMED"):
        convert.decode(number, "fetch", "/", body)


@seeds
@pytest.mark.parametrize("number", (320, 322))
def test_patch(convert, number, seed):
    rng = random.Random(seed)
    records = random_tree(rng, ())
    for i, record in enumerate(records):
        if len(record[1]) == 4 and rng.random() < 0.5:
            records[i] = ("", record[1], "none", None, None)
    check_senml(convert, rng, number, "patch", (), records)


# ---- LwM2M JSON -------------------------------------------------------------------------------


def json_field(kind):
    return {"boolean": "bv", "objlnk": "ov", "string": "sv", "corelnk": "sv", "opaque": "sv"}.get(
        kind, "v"
    )


@seeds
def test_lwm2m_json(convert, seed):
    rng = random.Random(seed)
    base = random_base(rng, (1, 2))[0]
    records = random_tree(rng, base, timed=seed % 2 == 0, repeat=seed % 4 == 0)
    body = json.loads(convert.encode(11543, "answer", base_text(base), records))
    wanted, theirs = [], []
    for entry, (_, path, kind, value, time) in zip(body["e"], records, strict=True):
        value = base64.b64encode(value).decode() if kind == "opaque" else value
        wanted.append(("", path, json_field(kind), value, time))
        (field,) = entry.keys() & {"v", "bv", "sv", "ov"}
        at = round((body.get("bt", 0) + entry.get("t", 0)) * 1000)
        name = split_name(body["bn"] + entry.get("n", ""))[1]
        theirs.append(("", name, field, entry[field], at or None))
    same(theirs, wanted)

    base_time = 1_700_000_000 if seed % 2 == 0 else None
    entries = []
    for _, path, kind, value, time in records:
        value = base64.b64encode(value).decode() if kind == "opaque" else value
        entry = {"n": base_text(path[len(base) :])[1:], json_field(kind): value}
        if time is not None:
            entry["t"] = (time - base_time * 1000) / 1000
        entries.append(entry)
    document = {"e": entries}
    if rng.random() < 0.7:
        document["bn"] = base_text(base) + rng.choice(("", "/"))
    if base_time:
        document["bt"] = base_time
    ours = convert.decode(11543, "answer", base_text(base), json.dumps(document).encode())
    same(ours, records)


# ---- without a model --------------------------------------------------------------------------


@seeds
@pytest.mark.parametrize("number", (110, 112, 11544))
def test_types_of_the_wire(convert, number, seed):
    """What no definition describes has the type that the body gives it."""
    rng = random.Random(seed)
    kinds = ["string", "integer", "float", "boolean", "opaque"]
    records = {}
    for _ in range(8):
        path = (UNKNOWN, rng.randrange(3), rng.randrange(9))
        kind = rng.choice(kinds)
        records[path] = ("", path, kind, random_value(rng, kind), None)
    records = [records[path] for path in sorted(records)]
    body = convert.encode(number, "answer", f"/{UNKNOWN}", records)
    same(convert.decode(number, "answer", f"/{UNKNOWN}", body), records)
