"""transformers' `generate` on a GPU, on random bf16 weights of a model's shape.

usage: transformers_gpu.py SHAPE...   (qwen2.5-0.5b, qwen2.5-7b, qwen3-8b)

One prompt of 4,096 tokens; 1 and 8 return sequences. A line a run, as a Markdown table.
"""

import sys
import time

import torch
import transformers

PROMPT, NEW = 4096, 32
COMMON = dict(
    max_position_embeddings=32768,
    rope_theta=1e6,
    rms_norm_eps=1e-6,
    use_sliding_window=False,
    torch_dtype=torch.bfloat16,
)
SHAPES = {
    "qwen2.5-0.5b": lambda: transformers.Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        **COMMON,
    ),
    "qwen2.5-7b": lambda: transformers.Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
        **COMMON,
    ),
    "qwen3-8b": lambda: transformers.Qwen3Config(
        vocab_size=151936,
        hidden_size=4096,
        intermediate_size=12288,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=False,
        **COMMON,
    ),
}


def seconds(model, prompt, sequences, new):
    torch.cuda.synchronize()
    started = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            prompt,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            num_return_sequences=sequences,
            min_new_tokens=new,
            max_new_tokens=new,
            pad_token_id=0,
        )
    torch.cuda.synchronize()
    return time.perf_counter() - started


print("| shape | sequences | decode tok/s, all together |")
print("|---|---:|---:|")
for shape in sys.argv[1:]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(SHAPES[shape]()).eval()
    prompt = torch.randint(0, 150000, (1, PROMPT), device="cuda")
    for sequences in (1, 8):
        seconds(model, prompt, sequences, 2)
        one = seconds(model, prompt, sequences, 1)
        all_ = seconds(model, prompt, sequences, NEW + 1)
        rate = sequences * NEW / (all_ - one)
        print(f"| {shape} | {sequences} | {rate:.1f} |", flush=True)
    del model
    torch.cuda.empty_cache()
