"""Units of integer layers: what one step of an input is worth, and factors as integers with a shift."""
import numpy as np

FLOOR = 1 / 4               # no channel's range is taken for less than this share of the widest channel's
HEADROOM = 1.05             # room for prompts that calibration did not see


def channel_scales(largest, limit=127):
    """What one unit of each input channel is worth. Half of a channel's range (its square root) goes into the weights, as in
    SmoothQuant: otherwise a few wide channels leave the others with a handful of levels."""
    own = np.maximum(largest, largest.max() * FLOOR) * HEADROOM
    s = np.sqrt(own)
    return s * np.max(own / s) / limit


def multiplier(real, bits=16):
    """Integers m < 2^bits and one shift with m / 2^shift ~ real."""
    shift = bits - int(np.ceil(np.log2(np.max(np.abs(real)) * (1 + 2.0 ** -bits))))
    m = np.round(np.asarray(real) * 2.0 ** shift).astype(np.int64)
    assert np.abs(m).max() < 1 << bits and shift > 0, (shift, m)
    return m.astype(np.int32), np.array([shift], np.int32)
