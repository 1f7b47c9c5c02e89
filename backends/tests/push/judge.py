"""Judges a message of Web Push by libraries of others: is it from whom it says, and what does the browser read?

Reads `body`, `private`, `auth` (base64url) and `authorization` as JSON on stdin; prints what the browser reads.
"""

import base64
import json
import sys

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


given = json.load(sys.stdin)
# The library splits at the last space; around a comma there may be some (RFC 9110, 11.4).
if not Vapid02.verify(given["authorization"].replace(", ", ",")):
    sys.exit("the signature of the sender is wrong")
private = ec.derive_private_key(int.from_bytes(decode(given["private"]), "big"), ec.SECP256R1())
plain = http_ece.decrypt(decode(given["body"]), private_key=private, auth_secret=decode(given["auth"]))
sys.stdout.buffer.write(plain)
