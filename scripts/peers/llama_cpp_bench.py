"""llama.cpp on one piece of work: branches off a trunk, forked by seq_cp.

llama_cpp_bench.py MODEL.gguf TRUNK_TOKENS BRANCHES TOKENS THREADS
Prints one JSON object with the tokens a second of the prefill, of decoding all
branches together, and of both from empty.
"""

import ctypes
import json
import sys
import time

import llama_cpp as lib
import numpy as np


def main() -> None:
    path, *numbers = sys.argv[1:]
    trunk, branches, tokens, threads = map(int, numbers)

    @lib.llama_log_callback
    def quiet(_level, _text, _data):
        pass

    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    settings = lib.llama_context_default_params()
    settings.n_ctx = (trunk + (branches + 1) * tokens + 255) // 256 * 256
    settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max = branches + 1
    settings.n_threads = settings.n_threads_batch = threads
    settings.kv_unified = True
    context = lib.llama_init_from_model(model, settings)
    memory = lib.llama_get_memory(context)
    vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    batch = lib.llama_batch_init(512, 0, 1)

    def run(rows: list[tuple[int, int, int, bool]]) -> None:
        """Rows of (token, position, sequence, whether its logits are wanted)."""
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = int(wanted)
        status = lib.llama_decode(context, batch)
        if status != 0:
            sys.exit(f"llama_decode: status {status}")

    def likeliest(row: int) -> int:
        logits = lib.llama_get_logits_ith(context, row)
        return int(np.ctypeslib.as_array(logits, (vocabulary,)).argmax())

    prompt = [1000 + i * 7 % 5000 for i in range(trunk)]
    run([(token, i, 0, False) for i, token in enumerate(prompt[:64])])  # warm
    lib.llama_memory_clear(memory, True)

    began = time.perf_counter()
    for first in range(0, trunk, 512):
        chunk = prompt[first : first + 512]
        last = trunk - 1
        run([(t, first + i, 0, first + i == last) for i, t in enumerate(chunk)])
    first_token = likeliest((trunk - 1) % 512)
    prefill_s = time.perf_counter() - began

    rates = []
    for _ in range(5):
        for branch in range(1, branches + 1):
            lib.llama_memory_seq_rm(memory, branch, -1, -1)
            lib.llama_memory_seq_cp(memory, 0, branch, -1, -1)
        nexts = [first_token] * branches
        began = time.perf_counter()
        for step in range(tokens - 1):
            run([(t, trunk + step, b + 1, True) for b, t in enumerate(nexts)])
            nexts = [likeliest(row) for row in range(branches)]
        rates.append(branches * (tokens - 1) / (time.perf_counter() - began))
    decode = sorted(rates)[len(rates) // 2]
    print(
        json.dumps(
            {
                "prefill_tok_s": trunk / prefill_s,
                "decode_tok_s": decode,
                "from_empty_tok_s": branches * tokens / (prefill_s + branches * (tokens - 1) / decode),
            }
        )
    )


main()
