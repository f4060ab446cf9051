#!/usr/bin/env python3
"""Writes random blocks of each of GGUF's types and the numbers that gguf-py takes them for.

    pip install gguf==0.19.0
    scripts/dump_gguf_types.py kernels/tests/fixtures/ggml_types.bin

The file has, for each type, its number and how many blocks and numbers follow (three
little-endian 32-bit numbers, the first of them ggml's), then the blocks and the numbers as
f32. The types that gguf-py has the layout of, but no conversion to f32, are converted here
as ggml does (`ggml-quants.c`); of Q8_1 it has an older layout, and Q2_0 is too new for it.
"""

import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

N_BLOCKS = 8
SEED = 27

# Q2_0's number, weights of a block and bytes of a block.
Q2_0 = (42, 64, 18)
# Bytes of a block of Q8_1 since its scales are halves.
Q8_1_BYTES = 36

PLAIN = {
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F64": np.float64,
}


def halves(blocks: np.ndarray) -> np.ndarray:
    """The half that each block begins with, as f32."""
    return blocks[:, :2].copy().view(np.float16).astype(np.float32)


def numbers(name: str, blocks: np.ndarray) -> np.ndarray:
    """What some blocks `[n, bytes]` stand for, f32."""
    if name in PLAIN:
        return blocks.view(PLAIN[name]).astype(np.float32)
    if name == "Q8_1":
        return halves(blocks) * blocks[:, 4:].view(np.int8).astype(np.float32)
    if name == "Q8_K":
        scales = blocks[:, :4].copy().view(np.float32)
        return scales * blocks[:, 4:260].view(np.int8).astype(np.float32)
    if name == "Q1_0":
        bits = np.unpackbits(blocks[:, 2:], axis=-1, bitorder="little")
        return np.where(bits == 1, halves(blocks), -halves(blocks))
    if name == "Q2_0":
        codes = blocks[:, 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8) & 3
        return halves(blocks) * (codes.reshape(len(blocks), -1).astype(np.float32) - 1)
    return quants.dequantize(blocks, GGMLQuantizationType[name])


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    types = {kind.name: (kind.value, *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType}
    types["Q8_1"] = (types["Q8_1"][0], types["Q8_1"][1], Q8_1_BYTES)
    types["Q2_0"] = Q2_0
    random = np.random.default_rng(SEED)
    out = Path(sys.argv[1])
    with out.open("wb") as file, np.errstate(all="ignore"):
        for name, (number, block, block_bytes) in types.items():
            n_blocks = N_BLOCKS * (32 if block == 1 else 1)
            blocks = random.integers(0, 256, (n_blocks, block_bytes), dtype=np.uint8)
            values = np.ascontiguousarray(numbers(name, blocks), dtype=np.float32).ravel()
            assert values.size == n_blocks * block, name
            file.write(struct.pack("<3I", number, n_blocks, values.size))
            file.write(blocks.tobytes())
            file.write(values.astype("<f4").tobytes())
    print(f"{out}: {len(types)} types, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
