"""Whether a directory keeps Kaldi's rules for data directories, told in Kaldi's words.

The messages are those of `utils/validate_data_dir.sh` to the letter, so that what people grep for is
found; the line at fault and the cure follow in parentheses where Kaldi is silent about them.
"""

from __future__ import annotations

import logging
import math
import operator
import os
import re
import unicodedata
from collections.abc import Collection

from wenet_lite.data.kaldi import PathLike
from wenet_lite.data.kaldi_check import CheckedDir, CheckedTable, show

logger = logging.getLogger(__name__)

# what `grep -w` finds for the symbols that Kaldi's lexicons and graphs keep for themselves
_ILLEGAL_SYMBOLS = {
    symbol: re.compile(rb"(?<![A-Za-z0-9_])" + re.escape(symbol) + rb"(?![A-Za-z0-9_])")
    for symbol in (b"<s>", b"</s>", b"#0")
}


def validate(
    directory: PathLike,
    *,
    no_wav: bool = False,
    no_text: bool = False,
    no_feats: bool = False,
    non_print: bool = False,
    no_spk_sort: bool = False,
    program: str = "validate_data_dir.sh",
) -> None:
    """Check a data directory; a file that may be absent is checked where it is present.

    Args:
        directory: the data directory.
        no_wav, no_text, no_feats: whether wav.scp, text, feats.scp may be absent.
        non_print: whether `text` may hold non-printable characters.
        no_spk_sort: whether speaker ids need not be prefixes of utterance ids.
        program: the name that messages start with.
    Raises:
        DataError: for the first rule that is broken.
    """
    data = CheckedDir(os.fspath(directory), program)
    utt2spk, spk2utt = _check_speakers(data, no_spk_sort)
    _check_presence(data, "text", no_text)
    if data.has("text"):
        _check_text(data, utt2spk, non_print)
    _check_audio(data, utt2spk, no_wav)
    _check_presence(data, "feats.scp", no_feats)
    if data.has("feats.scp"):
        data.require_same_ids(utt2spk, data.table("feats.scp"), "utterance-ids extracted from utt2spk and features")
    _check_speaker_tables(data, spk2utt)
    _check_utterance_tables(data, utt2spk)
    logger.info("%s: Successfully validated data-directory %s", program, data.path)


def transcript_fault(text: str) -> str | None:
    """What `validate` would find wrong with a transcript; None where it would find nothing."""
    characters = set(text)
    if unprintable := _unprintable(characters):
        return f"contains the non-printable character U+{ord(min(unprintable)):04X}"
    if blanks := _unicode_blanks(characters):
        return f"contains the disallowed whitespace U+{ord(min(blanks)):04X}"
    symbols = [show(symbol) for symbol, pattern in _ILLEGAL_SYMBOLS.items() if pattern.search(text.encode())]
    return f"contains illegal symbol {symbols[0]}" if symbols else None


def _check_speakers(data: CheckedDir, no_spk_sort: bool) -> tuple[CheckedTable, CheckedTable]:
    if not os.path.isdir(data.path):
        raise data.error(f"no such directory {data.path}")
    for name in ("spk2utt", "utt2spk"):
        if not data.has(name):
            raise data.error(f"no such file {name}", f"in {data.path}")
        if os.path.getsize(data.file(name)) == 0:
            raise data.error(f"empty file {name}", f"in {data.path}")
    records = [line.split() for line in data.lines("utt2spk")]
    for number, fields in enumerate(records, 1):
        if len(fields) != 2:  # exits 1; Kaldi's bare `exit` hands on the 0 of its echo
            raise data.error(f"{data.file('utt2spk')} has wrong format.", f"line {number}: not two fields")
    speakers = [speaker for _, speaker in records]
    if len(set(speakers)) == 1:
        logger.warning(
            "%s: WARNING: you have only one speaker.  This probably a bad idea.\n"
            "   Search for the word 'bold' in http://kaldi-asr.org/doc/data_prep.html\n"
            "   for more information.",
            data.program,
        )
    utt2spk = data.table("utt2spk")
    if not no_spk_sort and not all(map(operator.le, speakers, speakers[1:])):
        raise data.error(
            "utt2spk is not in sorted order when sorted first on speaker-id "
            "(fix this by making speaker-ids prefixes of utt-ids)"
        )
    spk2utt = data.table("spk2utt")
    listed = [[utterance, speaker] for speaker, *utts in map(bytes.split, spk2utt.lines) for utterance in utts]
    # the exact inverse: speakers without utterances are no part of it, and a speaker's utterances are in order
    if listed != sorted(records, key=operator.itemgetter(1)) or spk2utt.keys != sorted(set(speakers)):
        cure = f"fix_data_dir.sh {data.path} makes spk2utt anew"
        raise data.error("spk2utt and utt2spk do not seem to match", cure)
    return utt2spk, spk2utt


def _check_presence(data: CheckedDir, name: str, may_be_absent: bool) -> None:
    if not may_be_absent and not data.has(name):
        option = "--no-" + {"wav.scp": "wav", "feats.scp": "feats", "text": "text"}[name]
        raise data.error(f"no such file {data.file(name)} (if this is by design, specify {option})")


def _check_text(data: CheckedDir, utt2spk: CheckedTable, non_print: bool) -> None:
    path = data.file("text")
    content = b"\n".join(data.lines("text"))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise data.error("text is not UTF-8", f"line {number} of {path}; convert it with iconv") from None
    characters = set(text)
    unprintable = _unprintable(characters)
    if unprintable and not non_print:
        numbers = _lines_with(text, unprintable)
        where = f"the first is line {numbers[0]} of {path}; --non-print allows them"
        raise data.error(f"text contains {len(numbers)} lines with non-printable characters", where)
    for blanks, what in (
        ({"\r"} & characters, "CR (0x0D) character"),
        (_unicode_blanks(characters), "disallowed Unicode whitespaces"),
    ):
        if blanks:
            number = _lines_with(text, blanks)[0]
            utterance = text.split("\n")[number - 1].split()[:1]
            message = f"The line for utterance {''.join(utterance)} contains {what}"
            raise data.error(message, f"line {number} of {path}; use spaces and line feeds alone")
    table = data.table("text")
    for symbol, pattern in _ILLEGAL_SYMBOLS.items():
        found = pattern.search(content)
        if found:
            number = content.count(b"\n", 0, found.start()) + 1
            message = f"Error: in {data.path}, text contains illegal symbol {show(symbol)}"
            raise data.error(message, f"line {number} of {path}; take it out")
    data.require_same_ids(utt2spk, table, "utterance lists extracted from utt2spk and text")


def _check_audio(data: CheckedDir, utt2spk: CheckedTable, no_wav: bool) -> None:
    if data.has("segments") and not data.has("wav.scp"):
        raise data.error(f"in directory {data.path}, segments file exists but no wav.scp")
    _check_presence(data, "wav.scp", no_wav)
    recordings = utt2spk
    source = "wav.scp"
    if data.has("wav.scp"):
        wav_scp = data.table("wav.scp")
        if any(re.match(rb"\S+\s+~", line) for line in wav_scp.lines):
            raise data.error("Please do not use tilde (~) in your wav.scp.")
        data.require_lines(wav_scp, lambda fields: len(fields) > 1, f"{wav_scp.path} has wrong format.")
        if data.has("segments"):
            recordings = _check_segments(data, utt2spk)
            source = "segments"
            data.require_same_ids(recordings, wav_scp, "recording-ids extracted from segments and wav.scp")
        else:
            data.require_same_ids(recordings, wav_scp, "utterance lists extracted from utt2spk and wav.scp")
        if data.has("reco2file_and_channel"):
            _check_channels(data, recordings, "recording-ids" if source == "segments" else "utterance-ids")
    if data.has("reco2dur"):
        reco2dur = data.table("reco2dur")
        data.require_same_ids(recordings, reco2dur, f"recording-ids extracted from {source} and reco2dur file")
        data.require_lines(reco2dur, _is_duration, "Bad line : {line}")


def _check_segments(data: CheckedDir, utt2spk: CheckedTable) -> CheckedTable:
    segments = data.table("segments")
    data.require_lines(segments, _is_segment, "Bad line in segments file {line}")
    if segments.keys != utt2spk.keys:
        raise data.error(
            f"Utterance list differs between {utt2spk.path} and {segments.path} \n"
            f"{data.program}: Lengths are {len(segments.keys)} vs {len(utt2spk.keys)}"
        )
    recordings = sorted({line.split()[1] for line in segments.lines})
    return CheckedTable(segments.path, recordings, recordings)


def _check_channels(data: CheckedDir, recordings: CheckedTable, ids: str) -> None:
    channels = data.table("reco2file_and_channel")
    data.require_lines(channels, lambda fields: len(fields) == 3 and fields[2] in (b"A", b"B", b"1"), "Bad line {line}")
    if any(line.split()[2] == b"1" for line in channels.lines):
        logger.warning("The channel should be marked as A or B, not 1! You should change it ASAP! ")
    data.require_same_ids(recordings, channels, f"{ids} extracted from segments and reco2file_and_channel")


def _check_speaker_tables(data: CheckedDir, spk2utt: CheckedTable) -> None:
    for name, short in (("cmvn.scp", "cmvn"), ("spk2gender", "spk2gender")):
        if not data.has(name):
            continue
        table = data.table(name)
        if name == "spk2gender":
            data.require_lines(table, _is_gender, "Mal-formed spk2gender file")
        data.require_same_ids(spk2utt, table, f"speaker lists extracted from spk2utt and {short}")


def _check_utterance_tables(data: CheckedDir, utt2spk: CheckedTable) -> None:
    for name in ("vad.scp", "utt2lang", "utt2uniq"):
        if data.has(name) and data.table(name).keys != utt2spk.keys:
            raise data.error(f"error: in {data.path}, {name} and utt2spk do not have identical utterance-id list")
    for name, rule in (("utt2dur", _is_duration), ("utt2num_frames", _is_frame_count)):
        if data.has(name):
            table = data.table(name)
            data.require_same_ids(utt2spk, table, f"utterance-ids extracted from utt2spk and {name} file")
            data.require_lines(table, rule, f"Bad line {name}:{{number}}:{{line}}")


def _unprintable(characters: Collection[str]) -> set[str]:
    return {c for c in characters if unicodedata.category(c) in ("Cc", "Cn", "Cs") and c not in "\t\n\v\f\r"}


def _unicode_blanks(characters: Collection[str]) -> set[str]:
    return {c for c in characters if c.isspace() and c not in "\t\n "}


def _is_segment(fields: list[bytes]) -> bool:
    return len(fields) == 4 and _number(fields[2]) < _number(fields[3]) < math.inf


def _is_duration(fields: list[bytes]) -> bool:
    return len(fields) == 2 and 0 < _number(fields[1]) < math.inf


def _is_frame_count(fields: list[bytes]) -> bool:
    return len(fields) == 2 and fields[1].isdigit() and int(fields[1]) > 0


def _is_gender(fields: list[bytes]) -> bool:
    return len(fields) == 2 and fields[1] in (b"m", b"f")


def _number(field: bytes) -> float:
    try:
        return float(field)
    except ValueError:
        return math.nan


def _lines_with(text: str, characters: Collection[str]) -> list[int]:
    search = re.compile("[" + re.escape("".join(characters)) + "]").search
    return [number for number, line in enumerate(text.split("\n"), 1) if search(line)]
