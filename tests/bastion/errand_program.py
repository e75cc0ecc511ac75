"""A program that a node starts, for tests: it repeats what it is told to do, and can die or hang when it is told so."""

import json
import os
import sys
import time


def main() -> None:
    for line in sys.stdin:
        said = json.loads(line)
        print(json.dumps({"pid": os.getpid(), "secrets": said["secrets"], "body": said["body"]}), flush=True)
        if "die" in said["body"]:
            os._exit(3)
        if "hang" in said["body"]:
            time.sleep(600)


if __name__ == "__main__":
    main()
