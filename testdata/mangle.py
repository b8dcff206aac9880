#!/usr/bin/env python3
"""Makes a transport stream into what ffmpeg does not write: mangle.py KIND IN OUT.

Kinds are the functions below, with `-` for `_`. Whatever looks random comes from a fixed seed.
"""

import random
import sys

PACKET = 188
VIDEO_PID, AUDIO_PID, ID3_PID, SCTE35_PID = 0x100, 0x101, 0x102, 0x103


def packets(data):
    assert len(data) % PACKET == 0 and all(b == 0x47 for b in data[::PACKET]), "not a clean transport stream"
    return [bytearray(data[i : i + PACKET]) for i in range(0, len(data), PACKET)]


def pid(packet):
    return (packet[1] & 0x1F) << 8 | packet[2]


def starts_unit(packet):
    return bool(packet[1] & 0x40)


def payload_at(packet):
    """Where the payload begins; the packet's end if it has none."""
    if not packet[3] & 0x10:
        return PACKET
    return 5 + packet[4] if packet[3] & 0x20 else 4


def joined(parts):
    return b"".join(bytes(part) for part in parts)


# --- shape ---------------------------------------------------------------------------------------------------


def packets_204(data):
    """Sixteen bytes behind each packet, where DVB has its Reed-Solomon parity."""
    rng = random.Random(204)
    return joined(packet + rng.randbytes(16) for packet in packets(data))


def strip_aud(data):
    """Takes away H.264 access unit delimiters, which ffmpeg's muxer always writes. Packets keep their length:
    what is missing becomes stuffing in the adaptation field."""
    out = []
    stripped = 0
    for packet in packets(data):
        if pid(packet) == VIDEO_PID and starts_unit(packet):
            pes = payload_at(packet)
            es = pes + 9 + packet[pes + 8]
            # Start code, nal_unit_type 9 whatever its nal_ref_idc, primary_pic_type and stop bit.
            if packet[es : es + 4] == b"\0\0\0\1" and packet[es + 4] & 0x1F == 9:
                packet = without(packet, es, 6)
                stripped += 1
        out.append(packet)
    assert stripped > 100, f"only {stripped} access unit delimiters found"
    return joined(out)


def without(packet, at, count):
    """The packet without `count` bytes of PES payload; the PES length, if there is one, goes down with them."""
    pes = payload_at(packet)
    length = packet[pes + 4] << 8 | packet[pes + 5]
    if length:
        packet[pes + 4 : pes + 6] = (length - count).to_bytes(2, "big")
    rest = packet[pes:at] + packet[at + count :]
    if packet[3] & 0x20:
        field = packet[5:pes] or bytearray(1)
    else:
        field = bytearray(1)
    room = PACKET - 5 - len(rest)
    field += b"\xff" * (room - len(field))
    return bytearray([0x47, packet[1], packet[2], packet[3] | 0x20, len(field)]) + field + rest


# --- damage --------------------------------------------------------------------------------------------------


def drop(data):
    """One packet in 200 is lost, but none of the first hundred."""
    rng = random.Random(1)
    return joined(p for i, p in enumerate(packets(data)) if i < 100 or rng.randrange(200))


def corrupt(data):
    """One packet in 200 gets three wrong bytes anywhere, its sync byte and header included."""
    rng = random.Random(2)
    out = packets(data)
    for packet in out[100:]:
        if rng.randrange(200) == 0:
            for _ in range(3):
                packet[rng.randrange(PACKET)] ^= rng.randrange(1, 256)
    return joined(out)


def duplicate(data):
    """One packet in 20 with a payload comes twice, as ISO/IEC 13818-1 allows; the second has no PCR of its own
    to re-code, so packets with an adaptation field are left alone."""
    rng = random.Random(3)
    return joined(p + p if p[3] & 0x30 == 0x10 and rng.randrange(20) == 0 else p for p in packets(data))


def garbage(data):
    """1000 bytes before, 100 behind, and thrice up to 500 in between. No sync byte is avoided."""
    rng = random.Random(4)
    out = packets(data)
    at = {len(out) // 4, len(out) // 2, len(out) * 3 // 4}
    between = (rng.randbytes(rng.randrange(1, 500)) + p if i in at else p for i, p in enumerate(out))
    return rng.randbytes(1000) + joined(between) + rng.randbytes(100)


def scramble(data):
    """Audio packets are marked as scrambled with the even key from the second second on, and their bytes are
    noise."""
    rng = random.Random(5)
    out = packets(data)
    for packet in out[len(out) // 6 :]:
        if pid(packet) == AUDIO_PID:
            at = payload_at(packet)
            packet[3] |= 0x80
            packet[at:] = rng.randbytes(PACKET - at)
    return joined(out)


def truncate(data):
    """Two thirds of it, and half a packet."""
    return data[: len(data) * 2 // 3 // PACKET * PACKET + PACKET // 2]


# --- data streams --------------------------------------------------------------------------------------------


def add_data(data):
    """Adds timed ID3 (a tag a second) and SCTE-35 (a splice_insert every 3 s) beside the video's pictures."""
    out = []
    counters = {ID3_PID: 0, SCTE35_PID: 0}
    last = None

    def add(to, header, payload):
        """One packet, the payload padded to its end by stuffing in front."""
        count = counters[to]
        counters[to] = (count + 1) & 15
        out.append(one_packet(to, count, header + payload))

    first = None
    for packet in packets(data):
        if pid(packet) == 0x1000 and starts_unit(packet):
            packet = with_streams(packet)
        elif pid(packet) == VIDEO_PID and starts_unit(packet):
            pts = stamp(packet)
            if first is None:
                first = pts
            second = (pts - first) // 90000
            if second != last and second >= 0:
                last = second
                add(ID3_PID, pes_header(pts, 0xBD, len(id3(second))), id3(second))
                if second % 3 == 1:
                    section = splice_insert(second, pts + 2 * 90000)
                    # pointer_field, then the section; 0xff behind it is stuffing in a section's packet.
                    payload = b"\0" + section
                    add(SCTE35_PID, b"", payload + b"\xff" * (184 - len(payload)))
        out.append(packet)
    return joined(out)


def one_packet(to, count, payload):
    assert len(payload) <= 184
    head = bytearray([0x47, 0x40 | to >> 8, to & 0xFF, 0x10 | count])
    room = 184 - len(payload)
    if room:
        head[3] |= 0x20
        field = bytearray([room - 1])
        if room > 1:
            field += b"\0" + b"\xff" * (room - 2)
        head += field
    return head + payload


def stamp(packet):
    b = packet[payload_at(packet) + 9 :]
    return (b[0] >> 1 & 7) << 30 | b[1] << 22 | (b[2] >> 1) << 15 | b[3] << 7 | b[4] >> 1


def pes_header(pts, stream_id, size):
    time = bytes([0x21 | pts >> 29 & 0xE, pts >> 22 & 0xFF, pts >> 14 & 0xFE | 1, pts >> 7 & 0xFF, pts << 1 & 0xFE | 1])
    return b"\0\0\1" + bytes([stream_id]) + (8 + size).to_bytes(2, "big") + b"\x84\x80\x05" + time


def id3(second):
    text = b"\x03second\0" + str(second).encode() + b"\0"
    frame = b"TXXX" + len(text).to_bytes(4, "big") + b"\0\0" + text
    return b"ID3\x04\0\0" + len(frame).to_bytes(4, "big") + frame


def splice_insert(event, pts):
    """SCTE 35: out of network at `pts` for a second, back by itself."""
    time = bytes([0xFE | pts >> 32 & 1]) + (pts & 0xFFFFFFFF).to_bytes(4, "big")
    duration = b"\xfe" + (90000).to_bytes(4, "big")
    command = event.to_bytes(4, "big") + b"\x7f" + b"\xef" + time + duration + b"\0\1\0\0"
    rest = b"\0" + b"\0" * 5 + b"\0" + b"\xff\xf0" + bytes([len(command)]) + b"\x05" + command + b"\0\0"
    return section(0xFC, 0x30, rest)


def section(table, flags, rest):
    length = len(rest) + 4
    body = bytes([table, flags | length >> 8, length & 0xFF]) + rest
    return body + crc32(body).to_bytes(4, "big")


def with_streams(packet):
    """The PMT's packet with two streams more."""
    at = payload_at(packet)
    at += 1 + packet[at]
    length = (packet[at + 1] & 0x0F) << 8 | packet[at + 2]
    rest = bytes(packet[at + 3 : at + 3 + length - 4])
    metadata = b"\x26\x0d" + b"\xff\xffID3 " + b"\xffID3 " + b"\0" + b"\x0f"
    rest += b"\x15" + (0xE000 | ID3_PID).to_bytes(2, "big") + (0xF000 | len(metadata)).to_bytes(2, "big") + metadata
    rest += b"\x86" + (0xE000 | SCTE35_PID).to_bytes(2, "big") + b"\xf0\x06\x05\x04CUEI"
    whole = section(0x02, 0xB0, rest)
    return packet[:at] + whole + b"\xff" * (PACKET - at - len(whole))


def crc32(data):
    """The CRC of MPEG-2 sections: polynomial 0x04c11db7, all ones first, not reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)
        crc &= 0xFFFFFFFF
    return crc


KINDS = [packets_204, strip_aud, drop, corrupt, duplicate, garbage, scramble, truncate, add_data]

if __name__ == "__main__":
    kinds = {kind.__name__.replace("_", "-"): kind for kind in KINDS}
    if len(sys.argv) != 4 or sys.argv[1] not in kinds:
        sys.exit(f"usage: mangle.py KIND IN OUT, where KIND is one of: {' '.join(kinds)}")
    with open(sys.argv[2], "rb") as source:
        mangled = kinds[sys.argv[1]](source.read())
    with open(sys.argv[3], "wb") as target:
        target.write(mangled)
