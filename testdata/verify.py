"""Checks a receipt file without any of the program's own code: COSE_Sign1 by hand (RFC 9052) over cbor2 and cryptography."""
import sys
import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def open_sign1(b, content_type):
    tag = cbor2.loads(b)
    assert tag.tag == 18
    header, unprotected, payload, signature = tag.value
    h = cbor2.loads(header)
    assert unprotected == {} and h[1] == -8 and h[3] == content_type
    signed = cbor2.dumps(["Signature1", header, b"", payload], canonical=True)
    Ed25519PublicKey.from_public_bytes(h[4]).verify(signature, signed)
    return h[4], payload


import hashlib

f = cbor2.loads(open(sys.argv[1], "rb").read())
_, task = open_sign1(f[1], "application/essaim.task+cbor")
miner, payload = open_sign1(f[2], "application/essaim.receipt+cbor")
receipt = cbor2.loads(payload)
assert receipt[3] == hashlib.sha256(task).digest(), "receipt is about another task"
assert receipt[7] == miner, "receipt names another miner"
print("ok", miner.hex(), receipt[16].hex())
