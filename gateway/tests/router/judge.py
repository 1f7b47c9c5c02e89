"""Judges a signed exchange and its receipt by libraries of others: HTTP message signatures, and those of Ethereum.

Reads as JSON on stdin: `receipt` and `keys` as the node gives them, and the exchange as the client saw it: `method`, `url`, `host`,
`target`, `request`, `status`, `reply` (base64), `signature`, `timestamp`. Prints the address that signed the reply.
"""

import base64
import hashlib
import json
import sys
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric import ed25519
from eth_keys import keys as eth
from eth_utils import keccak
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver
from http_message_signatures.algorithms import ED25519

given = json.load(sys.stdin)
receipt = given["receipt"]
request, reply = (base64.b64decode(given[name]) for name in ("request", "reply"))


def content_digest(body):
    return "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"


class Keys(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id):
        for key in given["keys"]["keys"]:
            if key["kid"] == key_id and key["use"] == "receipts":
                return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public_key"]))
        return None


asked = SimpleNamespace(method=given["method"], url=given["url"], headers={"Content-Digest": content_digest(request)})
answered = SimpleNamespace(
    status_code=given["status"],
    request=asked,
    headers={
        "Content-Digest": content_digest(reply),
        "X-Oyster-Signature": given["signature"],
        "X-Oyster-Timestamp": str(given["timestamp"]),
        "Orama-Code": receipt["code"],
        "Orama-Function": f"{receipt['namespace']}/{receipt['function']}@{receipt['version']}",
        "Orama-Request-Id": receipt["request_id"],
        "Orama-Sequence": str(receipt["sequence"]),
        "Orama-Previous": receipt["previous"] or "none",
        "Signature-Input": receipt["signature_input"],
        "Signature": f"orama=:{receipt['signature']}:",
    },
)
verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=Keys())
covered = (
    '"@status"', '"content-digest"', '"x-oyster-signature"', '"orama-code"', '"orama-previous"',
    '"@method";req', '"@authority";req', '"@path";req', '"@query";req', '"content-digest";req',
)
verifier.verify(answered, max_age=None, expect_tag="orama-receipt", require_components=covered, body=reply)

signed = b"".join([
    b"|oyster-serverless-hasher||timestamp|", int(given["timestamp"]).to_bytes(8, "big"),
    b"|request||method|", given["method"].encode(), b"|pathandquery|", given["target"].encode(),
    b"|host|", given["host"].encode(), b"|body|", request, b"|response||body|", reply,
])
signature = bytes.fromhex(given["signature"])
signature = eth.Signature(signature[:64] + bytes([signature[64] - 27]))
print(signature.recover_public_key_from_msg_hash(keccak(signed)).to_checksum_address())
