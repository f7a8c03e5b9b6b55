"""A NAS that is told things (RFC 5176), over pyrad: an independent reader and writer of the packets.

Arguments: the shared secret's file, and a file that says how to answer: ack, silent, "nak CAUSE", or
"by-id" (401 while more than the session's id names it). Each request is a line of JSON on standard output.
"""

import hashlib
import hmac
import io
import json
import socket
import sys

from pyrad import dictionary, packet

FACTS = dictionary.Dictionary(
    io.StringIO(
        """
ATTRIBUTE User-Name 1 string
ATTRIBUTE Framed-IP-Address 8 ipaddr
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE Event-Timestamp 55 integer
ATTRIBUTE Message-Authenticator 80 octets
ATTRIBUTE Error-Cause 101 integer
VENDOR Mikrotik 14988
BEGIN-VENDOR Mikrotik
ATTRIBUTE Mikrotik-Rate-Limit 8 string
ATTRIBUTE Mikrotik-Total-Limit 17 integer
ATTRIBUTE Mikrotik-Total-Limit-Gigawords 18 integer
END-VENDOR Mikrotik
"""
    )
)


def is_signed(octets, secret):
    """Message-Authenticator over the packet with zeros in it and in the authenticator (section 3.4)."""
    at = 20
    while at < len(octets):
        kind, length = octets[at], octets[at + 1]
        if kind == 80:
            zeroed = octets[:4] + bytes(16) + octets[20 : at + 2] + bytes(16) + octets[at + 18 :]
            return hmac.compare_digest(hmac.new(secret, zeroed, hashlib.md5).digest(), octets[at + 2 : at + 18])
        at += length
    return False


def main():
    with open(sys.argv[1], "rb") as file:
        secret = file.read().strip()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    while True:
        octets, peer = server.recvfrom(4096)
        request = packet.CoAPacket(packet=octets, dict=FACTS, secret=secret)
        said = {}
        for name in request.keys():
            said[str(name)] = str(request[name][0])
        said["code"] = request.code
        said["id"] = request.id
        said["fits"] = bool(request.VerifyCoARequest()) and is_signed(octets, secret)
        print(json.dumps(said), flush=True)
        with open(sys.argv[2], encoding="ascii") as file:
            how = file.read().strip()
        if how == "silent":
            continue
        reply = request.CreateReply()
        reply.code = request.code + 1
        cause = None
        if how.startswith("nak"):
            cause = int(how.split()[1])
        elif how == "by-id" and "User-Name" in said:
            cause = 401
        elif how == "only-disconnect" and request.code == 43:
            cause = 405
        if cause is not None:
            reply.code = request.code + 2
            reply["Error-Cause"] = cause
        server.sendto(reply.ReplyPacket(), peer)


main()
