"""mistral.rs on one piece of work: n choices of one prompt (one by one where it cannot
take them together), from an empty cache.

mistral_rs_bench.py MODEL.gguf TRUNK_TOKENS BRANCHES TOKENS THREADS
Prints one JSON object with the tokens a second of everything, prompt to last token, as
its last line: mistral.rs writes its own log to stdout before it.
"""

import json
import os
import pathlib
import sys
import time

path, *numbers = sys.argv[1:]
trunk, branches, tokens, threads = map(int, numbers)
# Its pools read these when the module is loaded.
os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ["HF_HUB_OFFLINE"] = "1"

from mistralrs import CompletionRequest, Runner, Which  # noqa: E402


def main() -> None:
    file = pathlib.Path(path)
    which = Which.GGUF(quantized_model_id=str(file.parent), quantized_filename=file.name)
    runner = Runner(which=which, token_source="none")

    def run(prompt: str, n: int, n_tokens: int):
        request = CompletionRequest(
            prompt=prompt,
            model="default",
            n_choices=n,
            max_tokens=n_tokens,
            temperature=1.0,
            ignore_eos=True,
        )
        return runner.send_completion_request(request)

    # As many words as make the trunk: each is one token.
    word = " return"
    extra = run(word * 8, 1, 1).usage.prompt_tokens - 8
    prompt = word * (trunk - extra)
    together = True
    began = time.perf_counter()
    try:
        usages = [run(prompt, branches, tokens).usage]
    except ValueError as e:
        # 0.9.5 cannot prefill several rows of a GGUF model on a CPU ("not contiguous"):
        # then the choices are asked for one by one, which share its prefix cache.
        print(f"mistral.rs: {str(e).splitlines()[0]}; one choice at a time", file=sys.stderr)
        together = False
        began = time.perf_counter()
        usages = [run(prompt, 1, tokens).usage for _ in range(branches)]
    seconds = time.perf_counter() - began
    if usages[0].prompt_tokens != trunk:
        sys.exit(f"mistral.rs: {usages[0].prompt_tokens} tokens of a prompt, not {trunk}")
    n_decoded = sum(usage.completion_tokens for usage in usages)
    print(
        json.dumps(
            {
                "from_empty_tok_s": n_decoded / seconds,
                "decoded_tokens": n_decoded,
                "together": together,
            }
        )
    )


main()
