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


P, LANE, RATE, QUERIES, ROW_QUERIES = 2**31 - 2**24 + 1, 256, 16, 27, 155


def grid_of(shapes):
    """The columns of the grid that matrices of these shapes are laid into, and where each one's lanes begin."""
    def rows(columns):
        return sum(-(-n // LANE) * -(-m // (columns // LANE)) for m, n in shapes)

    def size(columns):
        row = min(ROW_QUERIES * pieces + columns // pieces for pieces in (1 << f for f in range(8)))
        return 4 * QUERIES * rows(columns) + 16 * row
    columns = min((1 << k for k in range(8, 16)), key=size)
    return columns, rows(columns)


def transform(a, root):
    """The values of polynomials, a row of coefficients each, at the powers of root, in the reverse order of their bits."""
    n = a.shape[1]
    while n > 1:
        half, powers = n // 2, np.array([pow(root, i, P) for i in range(n // 2)], np.uint64)
        v = a.reshape(a.shape[0], -1, n)
        low, high = v[:, :, :half].copy(), v[:, :, half:].copy()
        v[:, :, :half] = (low + high) % P
        v[:, :, half:] = (low + (P - high)) % P * powers % P
        n, root = half, root * root % P
    return a


def proof_root(folder, name):
    """The commitment to the matrices of a weights file that proofs are of: docs/protocol/proof.md. Minutes for 20 million weights."""
    tensors = read_tensors(os.path.join(folder, name))
    named = [(n, w if n.endswith('.w') else w.T) for n, w in sorted(tensors.items()) if w.dtype == np.int8 and w.ndim == 2]
    columns, rows = grid_of([w.shape for _, w in named])
    beside, grid = columns // LANE, []
    for _, w in named:
        for c in range(0, w.shape[1], LANE):
            lane = np.zeros((-(-w.shape[0] // beside) * beside, LANE), np.int64)
            lane[:w.shape[0], :min(LANE, w.shape[1] - c)] = w[:, c:c + LANE]
            grid.append(lane.reshape(-1, columns))
    grid = np.concatenate(grid)
    assert grid.shape == (rows, columns)
    root, bits = pow(3, (P - 1) // (RATE * columns), P), columns.bit_length() - 1
    points = [int(format(k, f'0{bits}b')[::-1], 2) for k in range(columns)]
    level, code = [None] * (RATE * columns), np.empty((columns, rows), '<u4')
    for t in range(RATE):
        twist = np.array([pow(root, t * j, P) for j in range(columns)], np.uint64)
        for r in range(0, rows, 64):
            code[:, r:r + 64] = transform((grid[r:r + 64] % P).astype(np.uint64) * twist % P, pow(root, RATE, P)).T
        for at, k in enumerate(points):
            level[t + RATE * k] = hashlib.sha256(b'\0' + code[at].tobytes()).digest()
    while len(level) > 1:
        level = [hashlib.sha256(b'\1' + a + b).digest() for a, b in zip(level[::2], level[1::2])]
    shapes = b''.join(bytes([len(n)]) + n.encode() + struct.pack('<II', *w.shape) for n, w in named)
    return hashlib.sha256(b'essaim proof root 1\n' + struct.pack('<I', len(named)) + shapes + level[0]).hexdigest()


def listed(folder, name):
    """A file as a manifest lists it."""
    data = open(os.path.join(folder, name), 'rb').read()
    return {'name': name, 'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
