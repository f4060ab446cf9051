"""Says which files do not compile, without running them.

Called as `python3 -I compile.py REQUEST REPLY`: `{"files"}` in, a list of
sentences out.
"""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        names = json.load(file)["files"]
    faults = []
    for name in names:
        try:
            with open(name, "rb") as file:
                compile(file.read(), name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            place = f"{name}:{line}" if line else name
            faults.append(f"{place} does not compile: {getattr(error, 'msg', error)}")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(faults, file)


if __name__ == "__main__":
    main()
