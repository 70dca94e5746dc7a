"""Recognise live streams (WeNet's websocket protocol) and files (OpenAI's file API) over the network."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_model, load_recognizer

TOKEN_VARIABLE = "WENET_LITE_TOKEN"
_LOCAL = ("127.0.0.1", "::1", "localhost")
_KERNELS = 64
_LIMITS = (
    ("--max-connections", "connections", int, "websockets at a time"),
    ("--max-message-bytes", "message_bytes", int, "of one websocket message"),
    ("--max-stream-s", "stream_s", float, "seconds of audio of a stream"),
    ("--max-unheard-s", "unheard_s", float, "seconds of a stream's audio that may wait for the model"),
    ("--max-unread-results", "unread_results", int, "final results that may wait for a client to read them"),
    ("--idle-s", "idle_s", float, "seconds without a message, or without reading"),
    ("--max-hotwords", "hotwords", int, "phrases of a stream or file"),
    ("--max-files", "files", int, "uploads received, waiting or recognised at a time"),
    ("--max-file-s", "file_s", float, "seconds of audio of a file"),
    ("--max-upload-bytes", "upload_bytes", int, "of a file, as it is coded"),
    ("--max-upload-s", "upload_s", float, "seconds that an upload may take"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite serve`."""
    parser = _parser()
    args = parser.parse_args(argv)

    from wenet_lite.runtime.server.options import Limits, ServerOptions

    try:
        options = ServerOptions(
            model_name=args.model_name or Path(args.model).resolve().name,
            host=args.host,
            port=args.port,
            token=os.environ.get(TOKEN_VARIABLE) if args.token is None else args.token,
            certificate=args.certificate,
            key=args.key,
            allow_origins=tuple(args.allow_origin),
            drain_s=args.drain_s,
            threads=args.threads,
            file_threads=args.file_threads,
            log_text=args.log_text,
            limits=Limits(**{name: getattr(args, name) for _, name, _, _ in _LIMITS}),
        )
    except ValueError as error:
        parser.error(str(error))

    # Each new shape of a batch leaves kernels in oneDNN, by itself up to 1024: memory that grows for long.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))
    import torch

    from wenet_lite.runtime.server.app import serve
    from wenet_lite.runtime.server.logs import set_up_logs

    set_up_logs(log_text=options.log_text)
    torch.set_num_threads(1)  # threads that compute together wait for the slowest where others want their cores
    if options.token is None and options.host not in _LOCAL:
        print(f"serve: everybody who reaches this port may use it ({TOKEN_VARIABLE} restricts it)", file=sys.stderr)
    serve(
        lambda: load_recognizer(args),
        options,
        lambda address: print(f"serving {options.model_name} at {address}", flush=True),
    )
    return 0


def _parser() -> command.Parser:
    from wenet_lite.runtime.server.options import Limits, ServerOptions

    parser = command.Parser(prog="serve", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_model(parser)
    parser.add_argument(
        "--host", default=ServerOptions.host, help="address to listen at; 0.0.0.0 is all of this machine's"
    )
    parser.add_argument("--port", type=int, default=ServerOptions.port, help="to listen at; 0 takes a free one")
    parser.add_argument("--model-name", help="name for clients of the file API (the directory's)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="that hear streams, each on a core")
    access = parser.add_argument_group("access")
    access.add_argument("--token", help=f"that clients must know; better in the environment, as {TOKEN_VARIABLE}")
    access.add_argument("--certificate", type=Path, metavar="PEM", help="chain of certificates: https and wss")
    access.add_argument("--key", type=Path, metavar="PEM", help="its key")
    access.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN", help="of web pages from elsewhere; * is any"
    )
    limits = parser.add_argument_group("limits")
    for option, name, kind, purpose in _LIMITS:
        limits.add_argument(option, dest=name, type=kind, default=getattr(Limits, name), help=purpose)
    limits.add_argument(
        "--file-threads", type=int, default=ServerOptions.file_threads, help="files recognised at a time"
    )
    limits.add_argument(
        "--drain-s", type=float, default=ServerOptions.drain_s, help="seconds for work under way after SIGTERM"
    )
    parser.add_argument("--log-text", action="store_true", help="recognised text may go into the log")
    return parser


if __name__ == "__main__":
    raise SystemExit(command.run(main))
