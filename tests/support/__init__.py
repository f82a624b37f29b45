"""What the end-to-end and interoperability tests share.

settings   where the programs are, the names of configuration keys, time limits
daemon     a server process of our own, with its own directories and ports
rest       the northbound API as a client sees it, and the event stream
ctl        lwm2m-serverctl as a user types it
background a call that waits while the test plays the device
wire       a small CoAP codec, independent of the server's and of aiocoap's
raw        a scripted device made of raw datagrams (lost, doubled, malformed)
formats    the LwM2M data formats, independent of the server's codecs
device     a LwM2M client on top of aiocoap
openapi    requests made from the OpenAPI document, and what answers are held against
leshan     the Eclipse Leshan client as a process
"""
