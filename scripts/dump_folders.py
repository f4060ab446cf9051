#!/usr/bin/env python3
"""Writes into tests/checkpoint_folders/variants.json what transformers makes of each.

    pip install torch transformers==5.24.* safetensors
    scripts/dump_folders.py tests/fixtures/qwen2-tiny tests/checkpoint_folders/variants.json

A variant is the tiny checkpoint's folder with changes:

    config    fields of config.json, null for one that is taken out
    remove    files that are taken out
    tensors   files made of the checkpoint's tensors: those with `only` in their names,
              without those with `without`; `copy` gives a tensor another's numbers,
              `strip` takes a prefix off the names, `scale` multiplies what is in `only`
              or `lm_head.weight`
    write     files with their text, or their JSON
    tokens    true where the tokenizer is looked at as well
    text      a text to encode, special tokens in it
    refused   where egss refuses it: its words; transformers is not asked

Added fields: `logits`, every 20th one behind the prompt; of a variant with `tokens` also
`ids` of the text, and the conversation as `chat` and, with a tool, as `chat_with_tools`.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

# Past the 64 tokens that the variants' positions are stretched from.
PROMPT = [3 + i * 37 % 300 for i in range(100)]
EVERY = 20
TEXT = "def add<|im_end|>"
MESSAGES = [{"role": "user", "content": "add"}]
TOOLS = [{"type": "function", "function": {"name": "view"}}]


def make(base: Path, out: Path, variant: dict) -> None:
    shutil.copytree(base, out)
    for name in ["model.gguf", "reference.safetensors"]:
        (out / name).unlink(missing_ok=True)
    tensors = load_file(base / "model.safetensors")
    config = json.loads((out / "config.json").read_text())
    for field, value in variant.get("config", {}).items():
        config[field] = value
        if value is None:
            del config[field]
    (out / "config.json").write_text(json.dumps(config))
    for name in variant.get("remove", []):
        (out / name).unlink()
    for file in variant.get("tensors", []):
        made = {}
        for name, tensor in tensors.items():
            only, without = file.get("only", ""), file.get("without")
            if only not in name or (without and without in name):
                continue
            if name == "lm_head.weight" or only:
                tensor = tensor * file.get("scale", 1.0)
            made[name.removeprefix(file.get("strip", ""))] = tensor.clone()
        for name, other in file.get("copy", {}).items():
            made[name] = tensors[other].clone()
        save_file(made, out / file["file"], metadata={"format": "pt"})
    for name, content in variant.get("write", {}).items():
        (out / name).parent.mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (out / name).write_text(text)


@torch.no_grad()
def look(folder: Path, variant: dict) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    logits = model(torch.tensor([PROMPT])).logits[0, -1]
    variant["logits"] = [round(x, 5) for x in logits[::EVERY].tolist()]
    if variant.get("tokens"):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        variant["ids"] = tokenizer.encode(variant.get("text", TEXT), add_special_tokens=False)
        chat = dict(conversation=MESSAGES, tokenize=False, add_generation_prompt=True)
        variant["chat"] = tokenizer.apply_chat_template(**chat)
        variant["chat_with_tools"] = tokenizer.apply_chat_template(**chat, tools=TOOLS)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    base, path = Path(sys.argv[1]), Path(sys.argv[2])
    variants = json.loads(path.read_text())
    torch.set_num_threads(1)
    for variant in variants:
        if "refused" in variant:
            continue
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "checkpoint"
            make(base, folder, variant)
            print(variant["name"], file=sys.stderr)
            look(folder, variant)
    # One variant a line, so that a change shows.
    lines = ",\n".join(json.dumps(variant, ensure_ascii=False) for variant in variants)
    path.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
