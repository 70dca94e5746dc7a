"""Recognise audio files with an exported model; --streaming shows the text while the audio goes in."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from wenet_lite.bin import command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite transcribe`."""
    parser = command.Parser(prog="transcribe", description=__doc__)
    parser.add_argument("model", help="model directory, as export wrote it")
    parser.add_argument("audio", nargs="+", help="audio files")
    parser.add_argument("--streaming", action="store_true", help="feed the audio in pieces and print partial results")
    parser.add_argument("--chunk-ms", type=int, help="length of a chunk (as trained, or 16 encoder frames)")
    parser.add_argument("--left-chunks", type=int, default=-1, help="chunks of history, -1: all (%(default)s)")
    parser.add_argument("--lm", action="store_true", help="with the language model that stage 8 put into the directory")
    parser.add_argument(
        "--hotword", action="append", default=[], metavar="PHRASE", help="listen for it; can be repeated"
    )
    args = parser.parse_args(argv)

    from wenet_lite.data.audio import read_audio
    from wenet_lite.errors import AudioError
    from wenet_lite.runtime.recognizer import Recognizer

    recognizer = Recognizer(args.model, lm=args.lm)
    frame_ms = recognizer.frame_ms
    chunk_ms = recognizer.chunk_ms if args.chunk_ms is None else args.chunk_ms
    if chunk_ms < frame_ms or chunk_ms % frame_ms:
        parser.error(f"--chunk-ms must be a multiple of {frame_ms}, the length of an encoder frame")
    failed = 0
    for path in args.audio:
        try:
            if not args.streaming:
                print(f"{path}: {recognizer.transcribe(path, hotwords=args.hotword).text}", flush=True)
                continue
            samples, rate = read_audio(path)
            session = recognizer.stream(rate, chunk_ms=chunk_ms, left_chunks=args.left_chunks, hotwords=args.hotword)
            portion = rate * chunk_ms // 1000
            shown = ""
            for start in range(0, len(samples), portion):
                session.accept(samples[start : start + portion])
                if session.partial != shown:
                    shown = session.partial
                    print(f"{min(start + portion, len(samples)) / rate:7.2f} s  {shown}", flush=True)
            print(f"{path}: {session.finish().text}", flush=True)
        except AudioError as error:
            print(f"transcribe: {error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
