#!/usr/bin/env python3
"""Makes the GGUF files of tests/fixtures out of the checkpoints there, by llama.cpp's
own converter, so that names and layouts are those of the files that people have.

    pip install torch transformers safetensors
    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz
    scripts/dump_gguf.py llama_cpp_python-0.3.36/vendor/llama.cpp tests/fixtures [NAME ...]

`NAME/model.gguf` goes beside the `model.safetensors` that it is made of, with the same
numbers, so that one `reference.safetensors` is for both. What the checkpoints lack of
the published ones is put into a copy first: the fields that DeepSeek's config.json has,
and the layer that predicts a token further (NextN), which GLM-4.5's files carry behind
the others. The converter knows a tokenizer by what it makes of a text; it is told which
kind it is instead.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from dump_reference import PUBLISHED

# name -> (pre-tokenizer, type of the matrices, fields added to config.json)
FILES = {
    "qwen3-tiny": ("qwen2", "f32", {}),
    "qwen3-moe-q8-tiny": ("qwen2", "q8_0", {}),
    "glm4-tiny": ("glm4", "f32", {}),
    "glm4-moe-tiny": ("glm4", "f32", dict(num_nextn_predict_layers=1)),
    "deepseek-v3-tiny": ("deepseek-v3", "f32", PUBLISHED),
}


def add_nextn_layer(path: Path, index: int) -> None:
    """Puts a layer `index` of NextN into the checkpoint at `path`: the one before it with
    other numbers, and what joins it to a token and a hidden state."""
    tensors = load_file(path)
    prefix, before = (f"model.layers.{i}." for i in (index, index - 1))
    torch.manual_seed(index)
    added = {
        prefix + name.removeprefix(before): torch.randn_like(weight)
        for name, weight in tensors.items()
        if name.startswith(before)
    }
    hidden = len(tensors["model.norm.weight"])
    added[f"{prefix}eh_proj.weight"] = torch.randn(hidden, 2 * hidden)
    for name in ["enorm", "hnorm", "shared_head.norm"]:
        added[f"{prefix}{name}.weight"] = torch.randn(hidden)
    save_file(tensors | added, path, metadata={"format": "pt"})


def convert(name: str, fixtures: Path, work: Path) -> Path:
    """Writes the GGUF file of a fixture and gives its path."""
    # Of the converter, which main() has made importable.
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    from conversion.base import TextModel

    pre_tokenizer, kind, fields = FILES[name]
    types = {"f32": gguf.LlamaFileType.ALL_F32, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    checkpoint, out = work / name, fixtures / name / "model.gguf"
    shutil.copytree(fixtures / name, checkpoint)
    for other in ["reference.safetensors", "model.gguf"]:
        (checkpoint / other).unlink(missing_ok=True)
    config = json.loads((checkpoint / "config.json").read_text()) | fields
    (checkpoint / "config.json").write_text(json.dumps(config))
    if config.get("num_nextn_predict_layers"):
        add_nextn_layer(checkpoint / "model.safetensors", config["num_hidden_layers"])
    TextModel.get_vocab_base_pre = lambda *_: pre_tokenizer
    hparams = ModelBase.load_hparams(checkpoint, False)
    architecture = get_model_architecture(hparams, ModelType.TEXT)
    model = get_model_class(architecture, mmproj=False)
    # GLM's own asks for tokens that the tiny tokenizers lack.
    model.set_vocab = TextModel._set_vocab_gpt2
    with torch.inference_mode():
        model(checkpoint, types[kind], out, model_name=name).write()
    return out


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    llama_cpp, fixtures = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path[1:1] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    for name in sys.argv[3:] or FILES:
        with tempfile.TemporaryDirectory() as work:
            out = convert(name, fixtures, Path(work))
        print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
