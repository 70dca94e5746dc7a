"""The files of a finished decode, put together from its parts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from wenet_lite.decoding.calibration import Calibration
from wenet_lite.decoding.options import DecodingMode
from wenet_lite.decoding.part_files import Part, RecognizedUtterance, read_utterance
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.decoding.word_files import WordFiles, WordFormat
from wenet_lite.decoding.word_formats import TimedUtterance
from wenet_lite.decoding.words import UntimedWord
from wenet_lite.scoring.nbest import SCHEMA

_LOG = logging.getLogger(__name__)
_FILES = ("nbest.jsonl", "decode.json", "text")


@dataclass(frozen=True)
class Summary:
    """Attributes:
    num_utterances, num_failed: in the results, and of these with an empty hypothesis and a reason.
    audio_seconds: recognised.
    padding: part of the encoded feature frames that was padding.
    real_time_factor: of each mode: features, encoder, its own search and alignment, as a part of the audio's length.
    hours_per_hour, utterances_per_second: of all ranks together, reading included.
    """

    num_utterances: int
    num_failed: int
    audio_seconds: float
    padding: float
    real_time_factor: dict[DecodingMode, float]
    hours_per_hour: float
    utterances_per_second: float


@dataclass(frozen=True)
class WordOutput:
    """Attributes:
    formats: in which words are written.
    calibration: of their confidences; None leaves these raw.
    """

    formats: tuple[WordFormat, ...] = ()
    calibration: Calibration | None = None


def write_results(
    parts: Sequence[Part],
    rejected: Mapping[str, str],
    options: RecognitionOptions,
    frame_ms: int,
    result_dir: Path,
    words: WordOutput,
) -> Summary:
    """Write `text` (sorted by id), `nbest.jsonl`, `decode.json` and words of each mode, by rename.

    Args:
        parts: of all ranks.
        rejected: id and reason of what the list has besides; without hypotheses it gets an empty one.
        options: of the decode.
        frame_ms: milliseconds an encoder frame.
        result_dir: holds the folders of the modes.
        words: how those of the best hypotheses are written.
    """
    folders = {mode: result_dir / options.folder(mode) for mode in options.modes}
    num_utterances = num_failed = 0
    with ExitStack() as stack:
        outputs: dict[DecodingMode, list[TextIO]] = {}
        word_files: dict[DecodingMode, WordFiles] = {}
        untimed = dict.fromkeys(options.modes, 0)
        for mode, folder in folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            paths = [_temporary(folder, name) for name in ("text", "nbest.jsonl")]
            outputs[mode] = [stack.enter_context(path.open("w", encoding="utf-8")) for path in paths]
            word_files[mode] = stack.enter_context(WordFiles(folder, words.formats))
        for utterance in _merged(parts, rejected, options):
            num_utterances += 1
            if utterance.reason is not None:
                num_failed += 1
                _LOG.warning("utterance %s has an empty hypothesis: %s", utterance.key, utterance.reason)
            for mode, (texts, nbests) in outputs.items():
                texts.write(f"{utterance.key} {utterance.nbest[mode][0]['text']}".rstrip() + "\n")
                nbests.write(_nbest_line(utterance, mode))
                timed = _timed(utterance, mode, words.calibration)
                word_files[mode].add(timed)
                untimed[mode] += len(timed.words) - len(timed.timed)
    for mode, count in untimed.items():
        if count:
            _LOG.warning("%s: %d words have no times: more units than frames", folders[mode], count)
    summary = _summary(parts, options, num_utterances, num_failed)
    for mode, folder in folders.items():
        tree = _decode_json(summary, mode, options, words, frame_ms)
        _temporary(folder, "decode.json").write_text(json.dumps(tree) + "\n", encoding="utf-8")
        for name in _FILES:
            _temporary(folder, name).replace(folder / name)
    return summary


def _merged(
    parts: Sequence[Part], rejected: Mapping[str, str], options: RecognitionOptions
) -> Iterator[RecognizedUtterance]:
    """All utterances by id; the lines stay on the disk until their turn."""
    places = {key: (part, offset) for part in parts for key, offset in part.offsets.items()}
    with ExitStack() as stack:
        streams = {part.path: stack.enter_context(part.path.open("rb")) for part in parts}
        for key in sorted({*places, *rejected}, key=str.encode):
            if key not in places:
                yield empty(key, rejected[key], options)
                continue
            if key in rejected:
                _LOG.warning("a second utterance %s is left out: %s", key, rejected[key])
            part, offset = places[key]
            streams[part.path].seek(offset)
            yield read_utterance(streams[part.path].readline())


def empty(key: str, reason: str, options: RecognitionOptions) -> RecognizedUtterance:
    """An utterance that could not be heard."""
    nothing = [{"text": "", "score": 0.0, "times": []}]
    return RecognizedUtterance(key, dict.fromkeys(options.modes, nothing), reason)


def _timed(utterance: RecognizedUtterance, mode: DecodingMode, calibration: Calibration | None) -> TimedUtterance:
    found = utterance.words.get(mode, [])
    words = tuple(word if isinstance(word, UntimedWord) else word.judged(calibration) for word in found)
    return TimedUtterance(utterance.key, utterance.duration_s, words)


def _nbest_line(utterance: RecognizedUtterance, mode: DecodingMode) -> str:
    reason = {} if utterance.reason is None else {"reason": utterance.reason}
    tree = {"schema": SCHEMA, "key": utterance.key, "nbest": utterance.nbest[mode], **reason}
    return json.dumps(tree, ensure_ascii=False) + "\n"


def _decode_json(
    summary: Summary, mode: DecodingMode, options: RecognitionOptions, words: WordOutput, frame_ms: int
) -> dict[str, object]:
    return {
        "schema": 1,
        "mode": mode,
        "chunk_size": options.chunk_size,
        "num_left_chunks": options.num_left_chunks,
        "streaming": options.streaming,
        "dtype": options.dtype,
        "frame_ms": frame_ms,
        "beam_size": options.decoding.beam_size,
        "lm": {name: getattr(options.decoding, name) for name in ("lm_weight", "word_bonus")} if options.lm else None,
        "hotwords": {"score": options.decoding.hotword_score} if options.hotwords else None,
        "words": words.formats,
        "calibrated": words.calibration is not None,
        "real_time_factor": round(summary.real_time_factor[mode], 5),
        "padding": round(summary.padding, 4),
        "speed": {
            "hours_per_hour": round(summary.hours_per_hour, 1),
            "utterances_per_second": round(summary.utterances_per_second, 2),
        },
    }


def _summary(parts: Sequence[Part], options: RecognitionOptions, num_utterances: int, num_failed: int) -> Summary:
    work = [work for part in parts for work in part.work.values()]
    audio_seconds = sum(batch.audio_seconds for batch in work)
    padded = sum(batch.padded_frames for batch in work)
    # ranks work side by side
    wall = max((sum(batch.wall_seconds for batch in part.work.values()) for part in parts), default=0.0)
    factors = {mode: sum(batch.seconds[mode] for batch in work) / max(audio_seconds, 1e-9) for mode in options.modes}
    return Summary(
        num_utterances,
        num_failed,
        audio_seconds,
        1 - sum(batch.frames for batch in work) / padded if padded else 0.0,
        factors,
        audio_seconds / max(wall, 1e-9),
        num_utterances / max(wall, 1e-9),
    )


def _temporary(folder: Path, name: str) -> Path:
    return folder / f"{name}.tmp"
