"""llama.cpp on one piece of work: branches off a trunk, forked by seq_cp.

llama_cpp_bench.py MODEL.gguf TRUNK_TOKENS BRANCHES[,BRANCHES...] TOKENS THREADS
Prints a JSON list, an object a number of branches: the tokens a second of the prefill,
of decoding all branches together, and of both from empty.
"""

import ctypes
import json
import statistics
import sys
import time

import llama_cpp as lib
import numpy as np

ROUNDS = 5
# llama_flash_attn_type: which is faster on a CPU depends on the model and the trunk.
# Both are tried, and the better one is taken for each figure.
FLASH_ATTENTION = {"auto": -1, "off": 0}


class Context:
    """A context of one setting, with a trunk prefilled as sequence 0."""

    def __init__(self, model, trunk: int, branches: int, tokens: int, threads: int, flash: int):
        self.trunk, self.tokens = trunk, tokens
        settings = lib.llama_context_default_params()
        settings.n_ctx = (trunk + (branches + 1) * tokens + 255) // 256 * 256
        settings.n_batch = settings.n_ubatch = 512
        settings.n_seq_max = branches + 1
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True
        settings.flash_attn_type = flash
        self.context = lib.llama_init_from_model(model, settings)
        self.memory = lib.llama_get_memory(self.context)
        self.vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self.batch = lib.llama_batch_init(512, 0, 1)
        self.prefill_s = self.prefill()

    def run(self, rows: list[tuple[int, int, int, bool]]) -> None:
        """Rows of (token, position, sequence, whether its logits are wanted)."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = int(wanted)
        status = lib.llama_decode(self.context, batch)
        if status != 0:
            sys.exit(f"llama_decode: status {status}")

    def likeliest(self, row: int) -> int:
        logits = lib.llama_get_logits_ith(self.context, row)
        return int(np.ctypeslib.as_array(logits, (self.vocabulary,)).argmax())

    def prefill(self) -> float:
        prompt = [1000 + i * 7 % 5000 for i in range(self.trunk)]
        self.run([(token, i, 0, False) for i, token in enumerate(prompt[:64])])  # warm
        lib.llama_memory_clear(self.memory, True)
        began = time.perf_counter()
        for first in range(0, self.trunk, 512):
            chunk = prompt[first : first + 512]
            last = self.trunk - 1
            self.run([(t, first + i, 0, first + i == last) for i, t in enumerate(chunk)])
        self.first_token = self.likeliest((self.trunk - 1) % 512)
        return time.perf_counter() - began

    def round(self, branches: int) -> float:
        """Forks branches off the trunk and decodes them; seconds of the decoding."""
        for branch in range(1, branches + 1):
            lib.llama_memory_seq_rm(self.memory, branch, -1, -1)
            lib.llama_memory_seq_cp(self.memory, 0, branch, -1, -1)
        nexts = [self.first_token] * branches
        began = time.perf_counter()
        for step in range(self.tokens - 1):
            self.run([(t, self.trunk + step, b + 1, True) for b, t in enumerate(nexts)])
            nexts = [self.likeliest(row) for row in range(branches)]
        return time.perf_counter() - began


def main() -> None:
    path, trunk, branches, tokens, threads = sys.argv[1:]
    trunk, tokens, threads = int(trunk), int(tokens), int(threads)
    branches = [int(n) for n in branches.split(",")]

    @lib.llama_log_callback
    def quiet(_level, _text, _data):
        pass

    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    contexts = {
        name: Context(model, trunk, max(branches), tokens, threads, flash)
        for name, flash in FLASH_ATTENTION.items()
    }
    prefill_s = min(context.prefill_s for context in contexts.values())
    rows = []
    for n in branches:
        first = {name: context.round(n) for name, context in contexts.items()}
        best = min(first, key=first.get)
        rounds = [first[best]] + [contexts[best].round(n) for _ in range(ROUNDS - 1)]
        decode_s = statistics.median(rounds)
        rows.append(
            {
                "prefill_tok_s": trunk / prefill_s,
                "decode_tok_s": n * (tokens - 1) / decode_s,
                "from_empty_tok_s": n * tokens / (prefill_s + decode_s),
                "flash_attention": best,
            }
        )
    print(json.dumps(rows))


main()
