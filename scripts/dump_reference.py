#!/usr/bin/env python3
"""Makes the tiny Qwen2 checkpoints of tests/fixtures and their reference logits.

    pip install torch transformers tokenizers safetensors numpy
    scripts/dump_reference.py tests/fixtures

Each fixture is a checkpoint directory with random weights, as written by
`save_pretrained`, a small byte-level BPE tokenizer, and `reference.safetensors`:

    PROMPT.prompt   [T]      token ids of the prompt
    PROMPT.decoded  [16]     the greedy continuation
    PROMPT.logits   [17, V]  f32 logits after the prompt, then after each of
                             the 16 tokens (decoded one by one with a KV cache)

The weights are drawn so that logits spread over several units: initialised as
for training they would be flat, and any order of tokens would do.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

SEED = 20250602
DECODE_STEPS = 16
# Rows of logits; a few more than the tokenizer has tokens, as in real checkpoints.
VOCAB = 320
N_TOKENS = 312
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

# name -> (configuration, prompt lengths). Lengths lie around the KV block size
# of 16, and one is above the 512 rows of a prefill chunk.
FIXTURES = {
    "qwen2-tiny": (
        dict(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=96,
            rope_theta=1_000_000.0,
            tie_word_embeddings=False,
        ),
        [1, 16, 45, 600],
    ),
    # A head dimension of 8, three query heads to a key/value head.
    "qwen2-tiny-tied": (
        dict(
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            intermediate_size=64,
            rope_theta=10_000.0,
            tie_word_embeddings=True,
        ),
        [33],
    ),
}

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TEXT = """
def add(a, b):
    return a + b

class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        if not self.items:
            raise IndexError("pop from an empty stack")
        return self.items.pop()

for name in ["view", "search", "edit", "write", "run", "run_tests", "submit"]:
    print({"name": name, "arguments": {"path": "src/main.py"}})
"""


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=N_TOKENS,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    assert tokenizer.get_vocab_size() == N_TOKENS
    return tokenizer


def make_model(settings: dict, eos: int) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=VOCAB,
        max_position_embeddings=1024,
        rms_norm_eps=1e-6,
        eos_token_id=eos,
        bos_token_id=None,
        attn_implementation="eager",
        **settings,
    )
    model = Qwen2ForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(1.0 + 0.2 * torch.randn_like(weight))
            elif name.endswith("bias"):
                weight.copy_(0.5 * torch.randn_like(weight))
            elif "embed_tokens" in name or "lm_head" in name:
                weight.copy_(0.3 * torch.randn_like(weight))
            else:
                weight.copy_(torch.randn_like(weight) / weight.shape[1] ** 0.5)
    return model


@torch.no_grad()
def reference(model: Qwen2ForCausalLM, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy continuation and the logits that it was read from."""
    out = model(prompt[None], use_cache=True)
    rows, decoded = [out.logits[0, -1]], []
    for _ in range(DECODE_STEPS):
        decoded.append(int(rows[-1].argmax()))
        token = torch.tensor([[decoded[-1]]])
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
        rows.append(out.logits[0, -1])
    return torch.tensor(decoded), torch.stack(rows)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    for name, (settings, lengths) in FIXTURES.items():
        out = Path(sys.argv[1]) / name
        out.mkdir(parents=True, exist_ok=True)
        tokenizer = make_tokenizer()
        model = make_model(settings, tokenizer.token_to_id("<|im_end|>"))
        model.save_pretrained(out, safe_serialization=True)
        tokenizer.save(str(out / "tokenizer.json"), pretty=False)
        tokenizer_config = {"add_bos_token": False, "eos_token": "<|im_end|>", "chat_template": CHATML}
        (out / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=2) + "\n")
        tensors = {}
        for length in lengths:
            prompt = torch.randint(len(SPECIAL), N_TOKENS, (length,))
            decoded, logits = reference(model, prompt)
            top = logits.topk(2).values
            print(
                f"{name}: prompt of {length}: logits {logits.min():.2f} to {logits.max():.2f}, "
                f"smallest gap of the top two {(top[:, 0] - top[:, 1]).min():.4f}"
            )
            tensors[f"{length}.prompt"] = prompt
            tensors[f"{length}.decoded"] = decoded
            tensors[f"{length}.logits"] = logits.contiguous()
        save_file(tensors, out / "reference.safetensors", metadata={"made_by": "scripts/dump_reference.py"})
        print(json.dumps({p.name: p.stat().st_size for p in sorted(out.iterdir())}))


if __name__ == "__main__":
    main()
