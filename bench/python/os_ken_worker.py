"""Measures os-ken for bench-codec. What it is asked and answers stands in
bench/src/peer.rs, what the checksum is in bench/src/checksum.rs.

The checksum of decoding is taken once, of the last message and after the clock: an
interpreter leaves nothing out that nobody looks at, and numbers would have to be made
of the texts that os-ken gives for addresses. So os-ken is measured as if reading its
fields were free.
"""

import ipaddress
import platform
import sys
import time
from importlib.metadata import version

from os_ken.ofproto import ofproto_parser
from os_ken.ofproto import ofproto_protocol
from os_ken.ofproto import ofproto_v1_3 as of
from os_ken.ofproto import ofproto_v1_3_parser as parser

MASK = (1 << 64) - 1

# A controller neither reads group_mod and packet_out nor writes what switches send, so
# os-ken has nothing for these.
DECODES = {"echo", "flow_mod", "packet_in", "flow_stats_100", "port_status", "barrier"}
ENCODES = {"echo", "flow_mod", "group_mod", "packet_out", "barrier"}

SWITCH = ofproto_protocol.ProtocolDesc(version=of.OFP_VERSION)


def decode(frame):
    header = ofproto_parser.header(frame)
    return ofproto_parser.msg(SWITCH, *header, frame)


def built(kind, frame):
    """A message that writes the frame."""
    if kind == "group_mod":
        buckets = [
            parser.OFPBucket(
                number,
                of.OFPP_ANY,
                of.OFPG_ANY,
                [
                    parser.OFPActionSetField(eth_dst=f"02:11:22:33:44:5{number}"),
                    parser.OFPActionOutput(20 + number, 64),
                ],
            )
            for number in range(1, 5)
        ]
        message = parser.OFPGroupMod(SWITCH, of.OFPGC_ADD, of.OFPGT_SELECT, 99, buckets)
        message.set_xid(0x1004)
    elif kind == "packet_out":
        actions = [parser.OFPActionOutput(42)]
        message = parser.OFPPacketOut(
            SWITCH, of.OFP_NO_BUFFER, of.OFPP_CONTROLLER, actions, data=frame[40:]
        )
        message.set_xid(0x1006)
    else:
        message = decode(frame)
    return message


def weighed(*fields):
    return sum(weight * field for weight, field in zip(range(1, 99, 2), fields))


def flags(word):
    return bin(word).count("1")


def payload(data):
    return weighed(len(data), data[0], data[-1]) if data else 0


def number(value):
    """A field's value, which is a number or an address as text."""
    if isinstance(value, int):
        return value
    if ":" in value:
        return int(value.replace(":", ""), 16)
    return int(ipaddress.ip_address(value))


def oxm(name, value):
    field = of.oxm_from_user_header(name)
    width = of.oxm_from_user(name, value)[1]
    header = 0x8000 << 16 | field << 9 | len(width)
    return weighed(header, number(value))


def match(body):
    return sum(oxm(name, value) for name, value in body.items())


def action(body):
    if isinstance(body, parser.OFPActionOutput):
        return weighed(body.type, body.port, body.max_len)
    if isinstance(body, parser.OFPActionPushVlan):
        return weighed(body.type, body.ethertype)
    if isinstance(body, parser.OFPActionSetField):
        return of.OFPAT_SET_FIELD + oxm(body.key, body.value)
    raise ValueError(f"not in the corpus: {body}")


def instruction(body):
    return body.type + sum(action(each) for each in body.actions)


def rule(body):
    return match(body.match) + sum(instruction(each) for each in body.instructions)


def flow_mod(body):
    return rule(body) + weighed(
        body.cookie,
        body.cookie_mask,
        body.table_id,
        body.command,
        body.idle_timeout,
        body.hard_timeout,
        body.priority,
        body.buffer_id,
        body.out_port,
        body.out_group,
        flags(body.flags),
    )


def packet_in(body):
    fields = weighed(body.buffer_id, body.total_len, body.reason, body.table_id, body.cookie)
    return fields + match(body.match) + payload(body.data)


def port_status(body):
    port = body.desc
    return weighed(
        body.reason,
        port.port_no,
        number(port.hw_addr),
        len(port.name),
        port.name[0],
        flags(port.config),
        flags(port.state),
        flags(port.curr),
        flags(port.advertised),
        flags(port.supported),
        flags(port.peer),
        port.curr_speed,
        port.max_speed,
    )


def flow_stats(body):
    return weighed(body.type, flags(body.flags)) + sum(
        rule(entry)
        + weighed(
            entry.table_id,
            entry.duration_sec,
            entry.duration_nsec,
            entry.priority,
            entry.idle_timeout,
            entry.hard_timeout,
            flags(entry.flags),
            entry.cookie,
            entry.packet_count,
            entry.byte_count,
        )
        for entry in body.body
    )


BODY = {
    "echo": lambda body: payload(body.data),
    "flow_mod": flow_mod,
    "packet_in": packet_in,
    "flow_stats_100": flow_stats,
    "port_status": port_status,
    "barrier": lambda body: 0,
}


def checksum(kind, message):
    head = weighed(message.version, message.msg_type, message.xid)
    return head + BODY[kind](message)


def fnv(data):
    hash_ = 0xCBF29CE484222325
    for byte in data:
        hash_ = (hash_ ^ byte) * 0x100000001B3 & MASK
    return hash_


def measured_decode(kind, frame, times):
    message = None
    start = time.perf_counter_ns()
    for _ in range(times):
        message = decode(frame)
    took = time.perf_counter_ns() - start
    return took, checksum(kind, message) * times


def measured_encode(kind, frame, times):
    message = built(kind, frame)
    start = time.perf_counter_ns()
    for _ in range(times):
        message.serialize()
    took = time.perf_counter_ns() - start
    return took, len(message.buf) * times + fnv(message.buf)


def main():
    with open(sys.argv[1]) as corpus:
        frames = {kind: bytes.fromhex(text) for kind, text in map(str.split, corpus)}
    print(f"os-ken {version('os-ken')}, Python {platform.python_version()}", flush=True)
    for line in sys.stdin:
        kind, mode, times = line.split()
        can, measured = {
            "decode": (DECODES, measured_decode),
            "encode": (ENCODES, measured_encode),
        }[mode]
        if kind not in can:
            print("none", flush=True)
            continue
        took, total = measured(kind, frames[kind], int(times))
        print(took, total & MASK, flush=True)


main()
