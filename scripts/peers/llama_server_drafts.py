"""llama.cpp's server on recorded conversations, with each of its n-gram drafts.

llama_server_drafts.py SERVER MODEL.gguf TEXTS.jsonl THREADS
Each turn is decoded greedily, as long as it was recorded; then the recorded turn is read.
Prints a JSON list, an object a setting: tokens decoded, and how many a second.
"""

import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# Look-ups of many lengths, the server's own defaults among them.
SETTINGS = {
    "off": [],
    "ngram-simple": ["--spec-type", "ngram-simple"],
    "ngram-simple 6, 16": ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "6"]
    + ["--spec-ngram-simple-size-m", "16"],
    "ngram-simple 3, 8": ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "3"]
    + ["--spec-ngram-simple-size-m", "8"],
    "ngram-map-k": ["--spec-type", "ngram-map-k"],
    "ngram-map-k 6, 16": ["--spec-type", "ngram-map-k", "--spec-ngram-map-k-size-n", "6"]
    + ["--spec-ngram-map-k-size-m", "16"],
    "ngram-mod": ["--spec-type", "ngram-mod"],
    "ngram-mod 8": ["--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", "8"],
    "ngram-cache": ["--spec-type", "ngram-cache"],
}

# The server answers within this time once it is asked to start, seconds.
START_MAX = 120


class Server:
    """A server of one setting, for the time of a `with`."""

    def __init__(self, command: list[str]):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [*command, "--port", str(self.port)]

    def __enter__(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.command, **quiet)
        deadline = time.monotonic() + START_MAX
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health"):
                    return self
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{self.command[0]} does not start")
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, path: str, body: dict) -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


def decode(server: Server, texts: list[dict]) -> tuple[int, float]:
    """Tokens decoded, and the seconds of decoding them."""
    tokens, seconds = 0, 0.0
    for text in texts:
        so_far = text["prompt"]
        for turn in text["turns"]:
            said = server.ask("tokenize", {"content": turn["said"], "parse_special": True})
            n = len(said["tokens"])
            if n > 0:
                asked = {"prompt": so_far, "n_predict": n, "temperature": 0}
                asked |= {"ignore_eos": True, "cache_prompt": True}
                timings = server.ask("completion", asked)["timings"]
                tokens += timings["predicted_n"]
                seconds += timings["predicted_ms"] / 1000
            so_far += turn["said"] + turn["seen"]
    return tokens, seconds


def main() -> None:
    server, model, texts, threads = sys.argv[1:]
    lines = pathlib.Path(texts).read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line) for line in lines]
    command = [server, "-m", model, "-c", "16384", "-np", "1", "-t", threads, "--no-warmup"]
    rows = []
    for name, options in SETTINGS.items():
        with Server(command + options) as running:
            tokens, seconds = decode(running, texts)
        rows.append({"setting": name, "tokens": tokens, "decode_tok_s": tokens / seconds})
        print(f"{name}: {tokens / seconds:.1f} tokens a second", file=sys.stderr, flush=True)
    print(json.dumps(rows))


main()
