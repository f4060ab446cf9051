#!/usr/bin/env python3
"""Makes the tiny checkpoints of tests/fixtures, of each model family, and their
reference logits.

    pip install torch transformers tokenizers safetensors numpy
    scripts/dump_reference.py tests/fixtures [NAME ...]

Without names all are made but Qwen2's: those in the repository are of an older
transformers and of one seed for both, so that they would change.

Each fixture is a checkpoint directory with random weights, as written by
`save_pretrained` or as their makers publish them, a small byte-level BPE tokenizer,
and `reference.safetensors`:

    PROMPT.prompt   [T]      token ids of the prompt
    PROMPT.decoded  [16]     the greedy continuation
    PROMPT.logits   [17, V]  f32 logits after the prompt, then after each of
                             the 16 tokens (decoded one by one with a KV cache)

The weights are drawn so that logits spread over several units: initialised as
for training they would be flat, and any order of tokens would do. Seeds are made of
the fixture's name; the first is taken with which the top two tokens lie apart at
every step, and the continuations are no mere repetition.
"""

import json
import re
import sys
from itertools import count
from pathlib import Path
from zlib import crc32

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    Glm4Config,
    Glm4MoeConfig,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

DECODE_STEPS = 16
# Of the top two logits; f32 sums in another order differ by some 1e-5.
GAP_MIN = 0.01
# Different tokens in a continuation; one that repeats itself would say little.
DISTINCT_MIN = 4
# Of the router's logits of the last expert chosen and the first that is not, where a
# quantised file is compared as well: its products round activations.
EXPERT_GAP_MIN = 0.05
EAGER = dict(attn_implementation="eager", experts_implementation="eager")
# Rows of logits; a few more than the tokenizer has tokens, as in real checkpoints.
VOCAB = 320
N_TOKENS = 312
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

# Of experts that are chosen by sigmoids, behind one dense layer.
SIGMOID_EXPERTS = dict(
    num_hidden_layers=3,
    first_k_dense_replace=1,
    n_routed_experts=8,
    n_shared_experts=1,
    moe_intermediate_size=16,
    norm_topk_prob=True,
    num_nextn_predict_layers=0,
    tie_word_embeddings=False,
)
# The parts of a head and the ranks all differ, so that none can stand for another.
LATENT_ATTENTION = dict(
    num_attention_heads=4,
    num_key_value_heads=4,
    q_lora_rank=24,
    kv_lora_rank=32,
    qk_nope_head_dim=8,
    qk_rope_head_dim=16,
    v_head_dim=12,
)
YARN = dict(
    rope_type="yarn",
    rope_theta=10_000.0,
    factor=4.0,
    mscale=1.0,
    mscale_all_dim=1.0,
    original_max_position_embeddings=64,
    beta_fast=32.0,
    beta_slow=1.0,
)

# name -> (class of configuration, configuration, prompt lengths). Lengths lie around
# the KV block size of 16; one is above the 512 rows of a prefill chunk, and one of
# each scaled rotary embedding past the context that it was stretched from.
FIXTURES = {
    "qwen2-tiny": (
        Qwen2Config,
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
        Qwen2Config,
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
    # As SmolLM2.
    "llama-tiny": (
        LlamaConfig,
        dict(
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            intermediate_size=128,
            rms_norm_eps=1e-5,
            rope_theta=100_000.0,
            tie_word_embeddings=True,
        ),
        [21, 200],
    ),
    # As Llama 3.2; frequencies of all three kinds: kept, between, and divided.
    "llama3-tiny": (
        LlamaConfig,
        dict(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=96,
            rms_norm_eps=1e-5,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=10_000.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
            tie_word_embeddings=True,
        ),
        [21, 200],
    ),
    "qwen3-tiny": (
        Qwen3Config,
        dict(
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=96,
            rope_theta=1_000_000.0,
            tie_word_embeddings=True,
        ),
        [21, 200],
    ),
    "qwen3-moe-tiny": (
        Qwen3MoeConfig,
        dict(
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=64,
            moe_intermediate_size=16,
            num_experts=8,
            num_experts_per_tok=2,
            norm_topk_prob=True,
            decoder_sparse_step=1,
            mlp_only_layers=[1],
            rope_theta=1_000_000.0,
            tie_word_embeddings=False,
        ),
        [21, 200],
    ),
    # Every matrix of Q8_0's numbers, all layers with experts: what GGUF can hold. One
    # prompt, so that there are seeds with which no choice of experts is a close one.
    "qwen3-moe-q8-tiny": (
        Qwen3MoeConfig,
        dict(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=64,
            moe_intermediate_size=32,
            num_experts=8,
            num_experts_per_tok=2,
            norm_topk_prob=True,
            decoder_sparse_step=1,
            mlp_only_layers=[],
            rope_theta=1_000_000.0,
            tie_word_embeddings=False,
        ),
        [21],
    ),
    "glm4-tiny": (
        Glm4Config,
        dict(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=64,
            rms_norm_eps=1e-5,
            attention_bias=True,
            partial_rotary_factor=0.5,
            rope_theta=10_000.0,
            tie_word_embeddings=False,
        ),
        [21, 200],
    ),
    "glm4-moe-tiny": (
        Glm4MoeConfig,
        dict(
            hidden_size=48,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=64,
            num_experts_per_tok=2,
            n_group=1,
            topk_group=1,
            routed_scaling_factor=1.5,
            rms_norm_eps=1e-5,
            attention_bias=True,
            use_qk_norm=True,
            partial_rotary_factor=0.5,
            rope_theta=1_000_000.0,
            **SIGMOID_EXPERTS,
        ),
        [21, 200],
    ),
    "deepseek-v3-tiny": (
        DeepseekV3Config,
        dict(
            hidden_size=48,
            intermediate_size=64,
            num_experts_per_tok=3,
            n_group=4,
            topk_group=2,
            routed_scaling_factor=2.5,
            rope_parameters=YARN,
            **LATENT_ATTENTION,
            **SIGMOID_EXPERTS,
        ),
        [21, 200],
    ),
    # Not all of a group's experts count for the group.
    "deepseek-v3-fp8-tiny": (
        DeepseekV3Config,
        dict(
            hidden_size=160,
            intermediate_size=144,
            num_experts_per_tok=3,
            n_group=2,
            topk_group=1,
            routed_scaling_factor=2.5,
            rope_parameters=YARN,
            **LATENT_ATTENTION,
            **SIGMOID_EXPERTS,
        ),
        [21, 200],
    ),
    "kimi-k2-tiny": (
        DeepseekV3Config,
        dict(
            hidden_size=48,
            intermediate_size=64,
            num_experts_per_tok=3,
            n_group=1,
            topk_group=1,
            routed_scaling_factor=2.827,
            rope_parameters=YARN
            | dict(
                rope_theta=50_000.0, factor=32.0, beta_fast=1.0, original_max_position_embeddings=32
            ),
            **LATENT_ATTENTION,
            **SIGMOID_EXPERTS,
        ),
        [21, 200],
    ),
}

# What the makers of DeepSeek-V3 and Kimi-K2 write into config.json beside the sizes.
PUBLISHED = dict(
    scoring_func="sigmoid",
    topk_method="noaux_tc",
    moe_layer_freq=1,
    seq_aux=True,
    aux_loss_alpha=0.001,
    ep_size=1,
)
# Fixtures with a config.json of that form, and the fields with which transformers
# itself would not read them: it knows kimi_k2 as deepseek_v3, and of FP8 only blocks
# that divide a size.
PUBLISHED_WITH = {
    "deepseek-v3-fp8-tiny": dict(
        quantization_config=dict(
            quant_method="fp8",
            fmt="e4m3",
            weight_block_size=[128, 128],
            activation_scheme="dynamic",
        )
    ),
    "kimi-k2-tiny": dict(model_type="kimi_k2"),
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


def make_model(config_class: type, settings: dict, eos: int) -> PreTrainedModel:
    config = config_class(
        **dict(
            vocab_size=VOCAB,
            max_position_embeddings=1024,
            rms_norm_eps=1e-6,
            eos_token_id=eos,
            bos_token_id=None,
            pad_token_id=None,
        )
        | settings
    )
    model = AutoModelForCausalLM.from_config(config, **EAGER).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(1.0 + 0.2 * torch.randn_like(weight))
            elif name.endswith("bias"):
                weight.copy_(0.5 * torch.randn_like(weight))
            elif "embed_tokens" in name and not config.tie_word_embeddings:
                # As large as what layers add, so that no expert goes unused.
                weight.copy_(torch.randn_like(weight))
            elif "embed_tokens" in name or "lm_head" in name:
                weight.copy_(0.3 * torch.randn_like(weight))
            elif name.endswith("mlp.gate.weight"):
                # Wide enough that the choice of experts is clear.
                weight.copy_(2.0 * torch.randn_like(weight) / weight.shape[-1] ** 0.5)
            else:
                weight.copy_(torch.randn_like(weight) / weight.shape[-1] ** 0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(0.1 * torch.randn_like(buffer))
    return model


def publish(config: dict) -> dict:
    """A config.json of transformers 5 in the form that DeepSeek's and Kimi's have."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = {"type": rope.pop("rope_type"), **rope}
    config["torch_dtype"] = config.pop("dtype")
    for derived in ["head_dim", "qk_head_dim", "rope_interleave"]:
        config.pop(derived, None)
    return config | PUBLISHED


def to_fp8(path: Path) -> dict[str, torch.Tensor]:
    """Rounds the linear weights in the file at `path` to E4M3 numbers times one scale
    for each block, and gives the tensors as a published file holds them."""
    stored, seen = {}, load_file(path)
    for name, weight in seen.items():
        if not re.search(r"proj(_with_mqa)?\.weight$", name):
            stored[name] = weight
            continue
        rows, columns = weight.shape
        blocks = torch.nn.functional.pad(weight, (0, -columns % 128, 0, -rows % 128)).unflatten(
            1, (-1, 128)
        )
        scales = (
            blocks.unflatten(0, (-1, 128)).abs().amax((1, 3)) / torch.finfo(torch.float8_e4m3fn).max
        )
        scale_of_each = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :columns]
        stored[name] = (weight / scale_of_each).to(torch.float8_e4m3fn)
        stored[f"{name}_scale_inv"] = scales
        seen[name] = stored[name].float() * scale_of_each
    save_file(seen, path, metadata={"format": "pt"})
    return stored


@torch.no_grad()
def round_to_q8_0(model: PreTrainedModel) -> None:
    """Rounds the matrices that a GGUF file of Q8_0 quantises to numbers that it holds
    exactly: 32 signed bytes in a row times one f16 scale."""
    for name, weight in model.named_parameters():
        if weight.dim() < 2 or name.endswith("mlp.gate.weight"):
            continue
        blocks = weight.unflatten(-1, (-1, 32))
        scales = (blocks.abs().amax(-1, keepdim=True) / 127).half().float()
        rounded = (blocks / scales).round().clamp(-127, 127)
        # Where the largest no longer is, the scale would be another one the next time.
        largest = blocks.abs() == blocks.abs().amax(-1, keepdim=True)
        rounded = torch.where(largest, 127 * blocks.sign(), rounded)
        weight.copy_((rounded * scales).flatten(-2))


@torch.no_grad()
def reference(model: PreTrainedModel, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy continuation and the logits that it was read from."""
    out = model(prompt[None], use_cache=True)
    rows, decoded = [out.logits[0, -1]], []
    for _ in range(DECODE_STEPS):
        decoded.append(int(rows[-1].argmax()))
        token = torch.tensor([[decoded[-1]]])
        out = model(token, cache=out.cache, use_cache=True)
        rows.append(out.logits[0, -1])
    return torch.tensor(decoded), torch.stack(rows)


@torch.no_grad()
def expert_gap(model: PreTrainedModel, tokens: torch.Tensor) -> float:
    """The smallest distance, over positions and layers, of the router's logits of the last
    expert that is chosen and the first that is not."""
    gaps, n_used = [], model.config.num_experts_per_tok

    def note(router: torch.nn.Module, inputs: tuple, _) -> None:
        logits = inputs[0].reshape(-1, inputs[0].shape[-1]) @ router.weight.T
        top = logits.topk(n_used + 1).values
        gaps.append(float((top[:, -2] - top[:, -1]).min()))

    routers = [module for name, module in model.named_modules() if name.endswith("mlp.gate")]
    hooks = [router.register_forward_hook(note) for router in routers]
    model(tokens[None])
    for hook in hooks:
        hook.remove()
    return min(gaps)


def make_fixture(out: Path, seed: int) -> bool:
    """Whether the continuations with this seed are clear ones that say something."""
    torch.manual_seed(seed)
    config_class, settings, lengths = FIXTURES[out.name]
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    made = make_model(config_class, settings, tokenizer.token_to_id("<|im_end|>"))
    if "-q8-" in out.name:
        round_to_q8_0(made)
    prompts = [torch.randint(len(SPECIAL), N_TOKENS, (length,)) for length in lengths]
    made.save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    tokenizer_config = {"add_bos_token": False, "eos_token": "<|im_end|>", "chat_template": CHATML}
    (out / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=2) + "\n")
    config = json.loads((out / "config.json").read_text())
    if out.name in PUBLISHED_WITH:
        config = publish(config)
        (out / "config.json").write_text(json.dumps(config))
    # transformers gets the numbers times their scales.
    fp8 = to_fp8(out / "model.safetensors") if "-fp8-" in out.name else None
    # The reference is of what lies in the files, not of what they were made from.
    model = type(made).from_pretrained(out, dtype=torch.float32, **EAGER).eval()
    tensors, gaps, distinct = {}, [], []
    for prompt in prompts:
        length = len(prompt)
        decoded, logits = reference(model, prompt)
        if not fp8:
            torch.testing.assert_close(logits, reference(made, prompt)[1], atol=1e-4, rtol=0)
        top = logits.topk(2).values
        gaps.append((top[:, 0] - top[:, 1]).min())
        distinct.append(len(decoded.unique()))
        print(
            f"{out.name}: prompt of {length}: logits {logits.min():.2f} to {logits.max():.2f}, "
            f"smallest gap of the top two {gaps[-1]:.4f}, {distinct[-1]} different tokens"
        )
        tensors[f"{length}.prompt"] = prompt
        tensors[f"{length}.decoded"] = decoded
        tensors[f"{length}.logits"] = logits.contiguous()
    save_file(
        tensors, out / "reference.safetensors", metadata={"made_by": "scripts/dump_reference.py"}
    )
    if fp8:
        save_file(fp8, out / "model.safetensors", metadata={"format": "pt"})
    if out.name in PUBLISHED_WITH:
        config |= PUBLISHED_WITH[out.name]
        (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    print(json.dumps({p.name: p.stat().st_size for p in sorted(out.iterdir())}))
    if "-q8-" in out.name:
        texts = [torch.cat([p, tensors[f"{len(p)}.decoded"]]) for p in prompts]
        if min(expert_gap(model, text) for text in texts) < EXPERT_GAP_MIN:
            return False
    return min(gaps) >= GAP_MIN and min(distinct) >= DISTINCT_MIN


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for name in sys.argv[2:] or [name for name in FIXTURES if not name.startswith("qwen2-")]:
        seeds = (crc32(f"{name} {i}".encode()) for i in count())
        next(seed for seed in seeds if make_fixture(Path(sys.argv[1]) / name, seed))


if __name__ == "__main__":
    main()
