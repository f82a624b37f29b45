#include "model/model.h"

const char *transport_scheme(enum transport t)
{
    static const char *const schemes[TRANSPORT_COUNT] = {
        [TRANSPORT_UDP] = "coap",      [TRANSPORT_DTLS] = "coaps", [TRANSPORT_TCP] = "coap+tcp",
        [TRANSPORT_TLS] = "coaps+tcp", [TRANSPORT_MQTT] = "mqtt",  [TRANSPORT_SMS] = "sms",
    };

    return (unsigned)t < TRANSPORT_COUNT ? schemes[t] : "unknown";
}
