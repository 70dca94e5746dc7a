"""What every command shares: one-line errors, exit codes and logging to standard error."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from wenet_lite.errors import WenetLiteError

_AFTER_RANK_0_S = 3.0
_DISK_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
)
Main = Callable[[Sequence[str] | None], int]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, with exit status 1."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and stop."""
        self.exit(1, f"{self.prog}: {message} (see --help)\n")


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Run a command's `main` and turn a user's mistake into one line and exit status 1.

    Returns:
        the exit status: what `main` returned, 1 for a mistake in input, 130 when interrupted.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    name = main.__module__.rpartition(".")[2]
    if name == "__main__":
        name = os.path.basename(sys.argv[0]).removesuffix(".py")
    try:
        return main(argv)
    except WenetLiteError as error:
        if int(os.environ.get("RANK", 0)) > 0:
            # All ranks meet the same mistake; the first one tells it, and torchrun ends the others meanwhile.
            time.sleep(_AFTER_RANK_0_S)
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        print(
            f"{name}: {error.filename or 'output'}: {error.strerror} (free space or choose another folder)",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
