"""Object definitions: what comes along, and the import of definition files at run time."""

import pytest
from support import formats, settings
from support.device import OBJECTS, Device

TEST_OBJECT = (settings.MODELS / "3442.xml").read_bytes()

OWN = """<?xml version="1.0" encoding="UTF-8"?>
<LWM2M xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Object ObjectType="MODefinition">
    <Name>{name}</Name><Description1><![CDATA[Our <own>.]]></Description1>
    <ObjectID>{number}</ObjectID><ObjectURN>urn:oma:lwm2m:x:{number}:{version}</ObjectURN>
    <LWM2MVersion>1.0</LWM2MVersion><ObjectVersion>{version}</ObjectVersion>
    <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>
    <Resources><Item ID="1"><Name>One</Name><Operations>{operations}</Operations>
      <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Type>{type}</Type>
      <RangeEnumeration></RangeEnumeration><Units></Units><Description>One &amp; only.</Description></Item></Resources>
    <Description2></Description2>
  </Object>
</LWM2M>
"""


def own(number=33000, version="1.0", operations="RW", type="Integer", name="Own"):
    return OWN.format(number=number, version=version, operations=operations, type=type, name=name).encode()


def models(rest):
    """{(object, version)} of the listing, over all pages."""
    found, cursor = set(), ""
    while cursor is not None:
        page = rest.ok("GET", "/v1/models" + (f"?cursor={cursor}" if cursor else "")).json
        found |= {(model["id"], model["version"]) for model in page["models"]}
        cursor = page.get("next")
    return found


def test_core_and_ipso_objects_come_along(server):
    known = models(server.rest)
    for number in (0, 1, 2, 3, 4, 5, 6, 7):
        assert number in {found for found, _ in known}
    assert {(3, "1.0"), (3, "1.1"), (3, "1.2"), (3303, "1.1")} <= known


def test_a_definition_is_shown(server):
    found = server.rest.ok("GET", "/v1/models/3303?version=1.1").json
    assert (found["id"], found["version"], found["name"]) == (3303, "1.1", "Temperature")
    value = next(resource for resource in found["resources"] if resource["id"] == 5700)
    assert (value["operations"], value["type"], value["mandatory"]) == ("R", "float", True)
    server.rest.problem("GET", "/v1/models/65000", 404)
    server.rest.problem("GET", "/v1/models/3303?version=x", 400)


def test_imported_definition_gives_types(server, device):
    """Without a definition TLV is only bytes; with it the value has its type. No restart in between."""
    one = device(
        objects={1: {0: {1: 60}}, 3: {0: {0: "x"}}, 33001: {0: {1: 7}}},
        formats=[formats.TLV],
        advertise=[formats.TLV],
    )
    server.rest.put_model(own(33001))
    answer = server.rest.read(one.endpoint, "/33001/0/1")
    assert (answer["value"], answer["type"]) == (7, "integer")
    assert (33001, "1.0") in models(server.rest)


def test_versions_stand_side_by_side(server, device):
    """The version a device announces decides which definition is used."""
    server.rest.put_model(own(33002, "1.0", type="Integer"))
    server.rest.put_model(own(33002, "2.0", type="Float"))
    assert {(33002, "1.0"), (33002, "2.0")} <= models(server.rest)
    one = device(
        register=False,
        objects={1: {0: {1: 60}}, 3: {0: {0: "x"}}, 33002: {0: {1: 3.0}}},
        formats=[formats.TLV],
    )
    links = one.links
    one.links = lambda: links() + ",</33002>;ver=2.0"
    one.register()
    answer = server.rest.read(one.endpoint, "/33002/0/1")
    assert (answer["value"], answer["type"]) == (3.0, "float")


def test_import_replaces_the_same_version(server, device):
    server.rest.put_model(own(33003, operations="R"))
    one = device(
        objects={1: {0: {1: 60}}, 3: {0: {0: "x"}}, 33003: {0: {1: 3}}}, formats=[formats.SENML_JSON]
    )
    path = server.rest.device_path(one.endpoint, "resources/33003/0/1")
    server.rest.problem("PUT", path, 422, {"value": 4})
    server.rest.put_model(own(33003, operations="RW"))
    one.behaviours["/33003/0/1"] = lambda seen: "2.04"
    server.rest.ok("PUT", path, {"value": 4})


def test_import_survives_a_restart(daemon, endpoint):
    one = daemon()
    one.rest.put_model(TEST_OBJECT)
    one.kill()
    one.start()
    assert (3442, "1.0") in models(one.rest)
    with Device(one.coap, endpoint, objects=OBJECTS, formats=[formats.TLV]) as device:
        device.register()
        assert one.rest.value(device.endpoint, "/3442/0/120") == -7


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"not xml",
        TEST_OBJECT[:-30],
        b"<LWM2M></LWM2M>",
        b"<html/>",
        own(type="Nonsense"),
        own(operations="X"),
        own(number="x"),
        own(number=70000),
        own(version="one"),
        own().replace(b'<Item ID="1">', b'<Item ID="99999">'),
        own().replace(b"<ObjectID>33000</ObjectID>", b""),
        own().replace(
            b"</Resources>", own().split(b"<Resources>")[1].split(b"</Resources>")[0] + b"</Resources>"
        ),
        b'<?xml version="1.0"?><!DOCTYPE LWM2M [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">'
        b'<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">]><LWM2M><Object><Name>&e;&e;&e;</Name></Object></LWM2M>',
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><LWM2M><Object><Name>&f;</Name></Object></LWM2M>',
        b"<a>" * 20000,
    ],
    ids=[
        "empty",
        "text",
        "cut",
        "no-object",
        "html",
        "type",
        "operations",
        "id",
        "id-range",
        "version",
        "resource-range",
        "no-id",
        "twice",
        "entities",
        "external",
        "deep",
    ],
)
def test_bad_definitions_are_refused_and_change_nothing(server, xml):
    before = models(server.rest)
    answer = server.rest.request("PUT", "/v1/models", raw=xml, headers={"Content-Type": "application/xml"})
    assert answer.status in (400, 403, 413, 422) and answer.type == "application/problem+json", answer
    assert b"root:" not in answer.body
    assert models(server.rest) == before


def test_definitions_need_an_xml_content_type(server):
    answer = server.rest.request(
        "PUT", "/v1/models", raw=own(33009), headers={"Content-Type": "application/json"}
    )
    assert answer.status in (400, 415), answer
    assert (33009, "1.0") not in models(server.rest)
