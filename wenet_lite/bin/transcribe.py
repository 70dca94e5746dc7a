"""Recognise audio files, folders of them, standard input or the microphone with an exported model.

Exit status: 0 if all was recognised, 1 if some was not (it is named, with its reason), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_model, load_recognizer

if TYPE_CHECKING:
    from wenet_lite.decoding.hotword_list import Phrase
    from wenet_lite.decoding.options import DecodingMode
    from wenet_lite.runtime.recognizer import Recognizer
    from wenet_lite.runtime.transcribing.audio_inputs import AudioInput
    from wenet_lite.runtime.transcribing.live_audio import LiveAudio
    from wenet_lite.runtime.transcribing.transcript_files import TranscriptFolder, TranscriptPrinter
    from wenet_lite.runtime.transcript import Transcript

    Writer = TranscriptPrinter | TranscriptFolder

_DEFAULT_MODE: DecodingMode = "attention_rescoring"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite transcribe`."""
    args = _parse(argv)

    import torch

    from wenet_lite.decoding.hotword_list import read_phrases
    from wenet_lite.runtime.transcribing.audio_inputs import (
        MICROPHONE,
        STANDARD_INPUT,
        find_inputs,
        require_distinct_outputs,
    )
    from wenet_lite.runtime.transcribing.transcript_files import TranscriptFolder, TranscriptPrinter

    if args.threads:
        torch.set_num_threads(args.threads)
    barren: list[str] = []
    if args.microphone:
        inputs = [MICROPHONE]
    elif args.audio == ["-"]:
        inputs = [STANDARD_INPUT]
    else:
        inputs, barren = find_inputs(args.audio)
    if args.output_dir:
        require_distinct_outputs(inputs)
    hotwords: list[Phrase] = [*args.hotword, *(read_phrases(args.hotwords_file) if args.hotwords_file else [])]
    recognizer = load_recognizer(args)
    writer: Writer
    if args.output_dir:
        writer = TranscriptFolder(args.output_dir, args.format)
    else:
        writer = TranscriptPrinter(sys.stdout, args.format, named=len(inputs) > 1)
    for folder in barren:
        print(f"transcribe: {folder}: holds no audio files", file=sys.stderr)
    transcribe = _transcribe_streams if args.streaming or args.microphone else _transcribe_whole
    try:
        failed = transcribe(args, recognizer, inputs, hotwords, writer)
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 1 if failed or barren else 0


def _transcribe_whole(
    args: argparse.Namespace,
    recognizer: Recognizer,
    inputs: Sequence[AudioInput],
    hotwords: Sequence[Phrase],
    writer: Writer,
) -> int:
    """Inputs that failed."""
    from tqdm import tqdm

    from wenet_lite.runtime.transcribing.transcription import transcribe_files, transcribe_standard_input
    from wenet_lite.runtime.transcript import Transcript

    mode: DecodingMode = args.mode or _DEFAULT_MODE
    if args.audio == ["-"]:
        results = transcribe_standard_input(recognizer, _standard_input(args), mode, hotwords)
    else:
        results = transcribe_files(recognizer, inputs, mode, hotwords)
    failed = 0
    hidden = None if len(inputs) > 1 else True  # None: where standard error is no terminal
    for source, result in tqdm(results, total=len(inputs), unit="file", disable=hidden):
        with tqdm.external_write_mode():
            if isinstance(result, Transcript):
                writer.add(source, result)
                writer.end(source, [result])
            else:
                print(f"transcribe: {result}", file=sys.stderr)
                failed += 1
    return failed


def _transcribe_streams(
    args: argparse.Namespace,
    recognizer: Recognizer,
    inputs: Sequence[AudioInput],
    hotwords: Sequence[Phrase],
    writer: Writer,
) -> int:
    """Inputs that failed."""
    from wenet_lite.errors import AudioError, InputError
    from wenet_lite.runtime.endpoint import Endpointing
    from wenet_lite.runtime.transcribing.live_text import LiveText
    from wenet_lite.runtime.transcribing.transcription import transcribe_stream

    failed = 0
    left_chunks = -1 if args.left_chunks is None else args.left_chunks
    shown = LiveText(sys.stderr)
    for source in inputs:
        segments: list[Transcript] = []
        try:
            audio = _live_audio(args, source, args.chunk_ms or recognizer.chunk_ms)
            session = recognizer.stream(
                audio.sample_rate, chunk_ms=args.chunk_ms, left_chunks=left_chunks, hotwords=hotwords,
                endpointing=Endpointing(),
            )  # fmt: skip
            for segment in transcribe_stream(session, audio, shown):
                segments.append(segment)
                writer.add(source, segment)
        except (AudioError, InputError) as error:
            shown.clear()
            print(f"transcribe: {error}", file=sys.stderr)
            failed += 1
            continue
        except KeyboardInterrupt:
            writer.end(source, segments)
            raise
        writer.end(source, segments)
    return failed


def _live_audio(args: argparse.Namespace, source: AudioInput, chunk_ms: int) -> LiveAudio:
    from wenet_lite.runtime.transcribing.live_audio import play_file
    from wenet_lite.runtime.transcribing.microphone import open_microphone

    if args.microphone:
        return open_microphone()
    return _standard_input(args) if args.audio == ["-"] else play_file(source.name, chunk_ms)


def _standard_input(args: argparse.Namespace) -> LiveAudio:
    from wenet_lite.runtime.transcribing.live_audio import read_stream

    return read_stream(sys.stdin.buffer, args.sample_rate or 16000, args.encoding or "s16le")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    from wenet_lite.decoding.options import DECODING_MODES
    from wenet_lite.runtime.sample_rates import ACCEPTED_RATES
    from wenet_lite.runtime.transcribing.live_audio import ENCODINGS
    from wenet_lite.runtime.transcribing.transcript_files import TRANSCRIPT_FORMATS

    parser = command.Parser(
        prog="transcribe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model(parser)
    parser.add_argument("audio", nargs="*", help="audio files and folders of them; - for standard input")
    parser.add_argument("--microphone", action="store_true", help="listen until Ctrl-C")
    parser.add_argument("--sample-rate", type=int, metavar="HZ", help="of raw standard input (16000)")
    parser.add_argument("--encoding", choices=ENCODINGS, help="of raw standard input (s16le)")
    parser.add_argument("--format", choices=TRANSCRIPT_FORMATS, default="text", help="of what is written (%(default)s)")
    parser.add_argument("--output-dir", type=Path, help="a file for each input goes there (standard output)")
    parser.add_argument("--streaming", action="store_true", help="hear it as a stream, with partial results")
    parser.add_argument("--chunk-ms", type=int, help="length of a stream's chunk (as trained, or 16 encoder frames)")
    parser.add_argument("--left-chunks", type=int, help="chunks of a stream's history, -1: all (-1)")
    parser.add_argument("--mode", choices=DECODING_MODES, help=f"search of whole recordings ({_DEFAULT_MODE})")
    parser.add_argument("--hotword", action="append", default=[], metavar="PHRASE", help="listen for it; repeatable")
    parser.add_argument("--hotwords-file", type=Path, metavar="FILE", help="phrases, one a line; <tab> and score")
    parser.add_argument("--threads", type=int, help="of the CPU (as many as torch takes)")
    args = parser.parse_intermixed_args(argv)
    if not args.audio and not args.microphone:
        parser.error("give audio files or folders, - for standard input, or --microphone")
    if args.audio and args.microphone:
        parser.error("--microphone takes no audio files")
    if "-" in args.audio and len(args.audio) > 1:
        parser.error("standard input goes alone")
    if args.audio != ["-"] and not (args.sample_rate is args.encoding is None):
        parser.error("--sample-rate and --encoding are of raw standard input: give - as audio")
    if args.sample_rate is not None and args.sample_rate not in ACCEPTED_RATES:
        parser.error(f"--sample-rate must be from {ACCEPTED_RATES[0]} to {ACCEPTED_RATES[-1]}")
    streams = args.streaming or args.microphone
    if not streams and not (args.chunk_ms is args.left_chunks is None):
        parser.error("--chunk-ms and --left-chunks are of streams: give --streaming")
    if streams and args.mode not in (None, _DEFAULT_MODE):
        parser.error(f"--mode {args.mode} is of whole recordings: streams have {_DEFAULT_MODE}")
    if args.mode == "ctc_greedy_search" and (args.lm or args.hotword or args.hotwords_file):
        parser.error("ctc_greedy_search hears neither --lm nor hotwords: take ctc_prefix_beam_search")
    if args.threads is not None and args.threads < 1:
        parser.error("--threads must be at least 1")
    return args


if __name__ == "__main__":
    raise SystemExit(command.run(main))
