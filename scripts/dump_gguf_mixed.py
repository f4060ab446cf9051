#!/usr/bin/env python3
"""Makes tests/fixtures/mixed-tiny: a GGUF file whose matrices are of many types, and the
logits of transformers on the numbers that gguf-py takes them for.

    pip install torch transformers tokenizers safetensors gguf==0.19.0
    scripts/dump_gguf_mixed.py tests/fixtures

Weights are rounded by gguf-py where it can quantise a type; else the blocks are random
ones, with scales that make the numbers as large as the others. `reference.safetensors` is
as scripts/dump_reference.py writes it.
"""

import json
import sys
from itertools import cycle
from pathlib import Path
from zlib import crc32

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

from dump_reference import (
    CHATML,
    DISTINCT_MIN,
    EAGER,
    GAP_MIN,
    SPECIAL,
    VOCAB,
    make_tokenizer,
    reference,
)

NAME = "mixed-tiny"
LENGTHS = [5, 40]
SETTINGS = dict(
    vocab_size=VOCAB,
    hidden_size=256,
    intermediate_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=64,
    max_position_embeddings=1024,
    rope_theta=1e6,
    tie_word_embeddings=True,
)
# Of the layers' matrices, one behind the other: every type of blocks.
TYPES = (
    "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL "
    "IQ3_S IQ2_S IQ4_XS IQ1_M MXFP4 NVFP4 TQ1_0 TQ2_0 BF16"
).split()
# GGUF's names of a layer's tensors beside those of transformers.
PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# Where the halves of a block lie that scale it, by type.
HALVES = {
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}


def blocks(random: np.random.Generator, kind: Type, weights: np.ndarray) -> np.ndarray:
    """Blocks of a type `[n, bytes of k]` for weights `[n, k]`: of them if gguf-py can
    quantise the type, else random ones of about the same deviation."""
    try:
        return gguf.quants.quantize(weights, kind)
    except NotImplementedError:
        pass
    n, k = weights.shape
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    made = random.integers(0, 256, (n * k // block, block_bytes), dtype=np.uint8)

    def scaled(scale: float) -> np.ndarray:
        if kind == Type.NVFP4:
            # 0.01 for each sixteen, in E4M3.
            made[:, :4] = 0x0B
            return gguf.quants.dequantize(made, kind)
        if kind == Type.IQ1_M:
            # The scale's digits are the highest of four words.
            digits = np.array([scale], dtype=np.float16).view(np.uint16)[0]
            words = made[:, 48:].copy().view(np.uint16)
            for i in range(4):
                words[:, i] = words[:, i] & 0x0FFF | (digits >> 4 * i & 15) << 12
            made[:, 48:] = words.view(np.uint8)
        for at in HALVES.get(kind.name, [0]) if kind != Type.IQ1_M else []:
            made[:, at : at + 2] = np.array([scale], dtype=np.float16).view(np.uint8)
        return gguf.quants.dequantize(made, kind)

    numbers = scaled(1.0)
    numbers = scaled(float(weights.std() / numbers.std()))
    assert 0.5 < numbers.std() / weights.std() < 2, kind.name
    return made.reshape(n, -1)


def write(out: Path, tokenizer: object, tensors: dict[str, tuple[np.ndarray, Type]]) -> None:
    writer = gguf.GGUFWriter(out / "model.gguf", "qwen3")
    writer.add_block_count(SETTINGS["num_hidden_layers"])
    writer.add_context_length(SETTINGS["max_position_embeddings"])
    writer.add_embedding_length(SETTINGS["hidden_size"])
    writer.add_feed_forward_length(SETTINGS["intermediate_size"])
    writer.add_head_count(SETTINGS["num_attention_heads"])
    writer.add_head_count_kv(SETTINGS["num_key_value_heads"])
    writer.add_key_length(SETTINGS["head_dim"])
    writer.add_value_length(SETTINGS["head_dim"])
    writer.add_rope_freq_base(SETTINGS["rope_theta"])
    writer.add_layer_norm_rms_eps(1e-6)
    texts = {id: text for text, id in tokenizer.get_vocab().items()}
    tokens = [texts.get(id, f"[unused{id}]") for id in range(VOCAB)]
    normal, control, unused = (
        gguf.TokenType.NORMAL,
        gguf.TokenType.CONTROL,
        gguf.TokenType.UNUSED,
    )
    kinds = [control if t in SPECIAL else normal for t in tokens]
    kinds = [kind if id in texts else unused for id, kind in enumerate(kinds)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_eos_token_id(tokenizer.token_to_id("<|im_end|>"))
    writer.add_chat_template(CHATML)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def make(out: Path, seed: int) -> bool:
    """Whether the continuations with this seed are clear ones that say something."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    model = Qwen3ForCausalLM._from_config(Qwen3Config(**SETTINGS), **EAGER).float().eval()
    state = model.state_dict()
    tensors: dict[str, tuple[np.ndarray, Type]] = {}

    def put(name: str, theirs: str, kind: Type) -> None:
        weight = state[theirs]
        if kind == Type.F32:
            weight.copy_(1 + 0.1 * torch.randn_like(weight))
            tensors[name] = (weight.numpy().copy(), kind)
            return
        drawn = (torch.randn_like(weight) / weight.shape[-1] ** 0.5).numpy()
        data = blocks(random, kind, drawn)
        tensors[name] = (data, kind)
        weight.copy_(torch.from_numpy(gguf.quants.dequantize(data, kind)).reshape(weight.shape))

    put("token_embd.weight", "model.embed_tokens.weight", Type.Q6_K)
    put("output_norm.weight", "model.norm.weight", Type.F32)
    kinds = cycle(TYPES)
    for layer in range(SETTINGS["num_hidden_layers"]):
        theirs = f"model.layers.{layer}."
        ours = f"blk.{layer}."
        for part, of in {
            "attn_norm": "input_layernorm",
            "ffn_norm": "post_attention_layernorm",
            "attn_q_norm": "self_attn.q_norm",
            "attn_k_norm": "self_attn.k_norm",
        }.items():
            put(f"{ours}{part}.weight", f"{theirs}{of}.weight", Type.F32)
        for part, of in PARTS.items():
            put(f"{ours}{part}.weight", f"{theirs}{of}.weight", Type[next(kinds)])
    write(out, tokenizer, tensors)
    made, gaps, distinct = {}, [], []
    for length in LENGTHS:
        prompt = torch.randint(len(SPECIAL), len(tokenizer.get_vocab()), (length,))
        decoded, logits = reference(model, prompt)
        top = logits.topk(2).values
        gaps.append(float((top[:, 0] - top[:, 1]).min()))
        distinct.append(len(decoded.unique()))
        print(
            f"prompt of {length}: logits {logits.min():.2f} to {logits.max():.2f}, smallest gap "
            f"{gaps[-1]:.4f}, {distinct[-1]} different tokens"
        )
        made[f"{length}.prompt"] = prompt
        made[f"{length}.decoded"] = decoded
        made[f"{length}.logits"] = logits.contiguous()
    note = {"made_by": "scripts/dump_gguf_mixed.py"}
    save_file(made, out / "reference.safetensors", metadata=note)
    return min(gaps) >= GAP_MIN and min(distinct) >= DISTINCT_MIN


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    out = Path(sys.argv[1]) / NAME
    i = 0
    while not make(out, crc32(f"{NAME} {i}".encode())):
        i += 1
    print(f"{out}: {(out / 'model.gguf').stat().st_size} bytes")


if __name__ == "__main__":
    main()
