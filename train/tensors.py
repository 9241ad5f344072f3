"""Reads and writes weights files, as docs/protocol/weights.md describes them and package quant reads them.

Tensors are {name: array} with int8, uint8, int16 or int32 arrays of one to four dimensions. Factors NAME.mul come with one number
NAME.shift, an element counting 2^-shift; in the file that is a field of NAME.mul, not a tensor. Files are canonical: equal tensors
give equal bytes, hence one digest.
"""
import hashlib
import os
import struct

import numpy as np

MAGIC, VERSION, ALIGN = b'essaimW\n', 1, 64
TYPES = {1: np.dtype('<i1'), 2: np.dtype('<u1'), 3: np.dtype('<i2'), 4: np.dtype('<i4')}
CODES = {t: code for code, t in TYPES.items()}
HEADER, ENTRY = struct.Struct('<8sIIQ40x'), struct.Struct('<32sBBBxi4IQ')


def aligned(n):
    return -(-n // ALIGN) * ALIGN


def write_tensors(path, tensors):
    def shift(name):
        s = tensors.get(name[:-4] + '.shift', [0]) if name.endswith('.mul') else [0]
        return int(np.ravel(s)[0])
    names = sorted(n for n in tensors if not n.endswith('.shift'))
    table, at, end = [], aligned(HEADER.size + ENTRY.size * len(names)), 0
    for name in names:
        array = np.ascontiguousarray(tensors[name])
        kind = array.dtype.newbyteorder('<')
        shape = array.shape + (0,) * (4 - array.ndim)
        table.append((ENTRY.pack(name.encode(), CODES[kind], array.ndim, shift(name), 0, *shape, at), at, array.astype(kind).tobytes()))
        end = at + array.nbytes
        at = aligned(end)
    with open(path, 'wb') as f:
        f.write(HEADER.pack(MAGIC, VERSION, len(table), end))
        for entry, _, _ in table:
            f.write(entry)
        for _, at, data in table:
            f.write(bytes(at - f.tell()) + data)


def read_tensors(path):
    data, out = open(path, 'rb').read(), {}
    magic, version, count, size = HEADER.unpack_from(data)
    assert (magic, version, size) == (MAGIC, VERSION, len(data)), 'not a weights file of this version'
    for i in range(count):
        name, code, dims, shift, zero, *shape, at = ENTRY.unpack_from(data, HEADER.size + i * ENTRY.size)
        assert zero == 0
        name, shape = name.rstrip(b'\0').decode(), shape[:dims]
        out[name] = np.frombuffer(data, TYPES[code], int(np.prod(shape)), at).reshape(shape)
        if shift:
            out[name[:-4] + '.shift'] = np.array([shift], np.int32)
    return out


def tree_root(leaves):
    """The Merkle tree hash of RFC 6962."""
    if len(leaves) == 1:
        return hashlib.sha256(b'\0' + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b'\1' + tree_root(leaves[:k]) + tree_root(leaves[k:])).digest()


def model_root(folder, name):
    """What a judge knows of a weights file: docs/protocol/weights.md."""
    data, leaves = open(os.path.join(folder, name), 'rb').read(), []
    _, _, count, _ = HEADER.unpack_from(data)
    for i in range(count):
        entry = data[HEADER.size + i * ENTRY.size:][:ENTRY.size]
        _, code, dims, _, _, *shape, at = ENTRY.unpack(entry)
        content = data[at:][:int(np.prod(shape[:dims])) * TYPES[code].itemsize]
        leaves.append(entry + tree_root([content[j:j + 256] for j in range(0, len(content), 256)]))
    return hashlib.sha256(b'\3' + struct.pack('<I', count) + tree_root(leaves)).hexdigest()


def listed(folder, name):
    """A file as a manifest lists it."""
    data = open(os.path.join(folder, name), 'rb').read()
    return {'name': name, 'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
