"""`python -m tests.bench.side.paddlespeech start --config_file FILE`: `paddlespeech_server`, but for one import.

To be run in the archive, for the paths in PaddleSpeech's settings start there.
"""

import importlib

from tests.reference.answering import keep_pip_out


def main() -> int:
    """Be the command."""
    keep_pip_out()
    return int(importlib.import_module("paddlespeech.server.entry").server_execute())


if __name__ == "__main__":
    raise SystemExit(main())
