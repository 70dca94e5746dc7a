"""Turn a part of a corpus in LibriSpeech's layout into a Kaldi data directory; a speaker is a reader."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.data.audio import audio_info
from wenet_lite.data.kaldi import read_lines, spk2utt_from
from wenet_lite.data.kaldi_dir import replace_dir, require_replaceable
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

_AUDIO = (".flac", ".wav", ".opus")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = command.Parser(prog="prepare_data", description=__doc__)
    parser.add_argument("part", type=Path, help="such as corpus/LibriSpeech/dev-clean")
    parser.add_argument("data_dir", type=Path, help="Kaldi data directory to make")
    args = parser.parse_args(argv)
    count = prepare(args.part, args.data_dir)
    print(f"prepare_data: {args.data_dir}: {count} utterances")
    return 0


def prepare(part: Path, data_dir: Path) -> int:
    """Write wav.scp, text, utt2spk, spk2utt, utt2dur and (given SPEAKERS.TXT) spk2gender, whole or not at all.

    An earlier data directory of this name is replaced with all that was derived from it; a link to one stays a link.

    Returns:
        the number of utterances.
    Raises:
        DataError: naming the transcript or audio file that is missing, empty or unreadable, or a folder of this name
            that is no data directory.
    """
    require_replaceable(data_dir)  # before hours of audio are looked into
    wav, text, utt2spk = read_part(part)
    with ThreadPoolExecutor() as pool:
        infos = pool.map(audio_info, wav.values())
        utt2dur = {key: f"{info.duration:.4f}".rstrip("0").rstrip(".") for key, info in zip(wav, infos)}
    for key, duration in utt2dur.items():
        if float(duration) <= 0:
            raise DataError("holds no audio", path=wav[key], cure="restore it, or remove it and its transcript")
    tables = {
        "wav.scp": wav,
        "text": text,
        "utt2spk": utt2spk,
        "spk2utt": spk2utt_from(utt2spk),
        "utt2dur": utt2dur,
    }
    speakers = part.parent / "SPEAKERS.TXT"
    if speakers.exists():
        tables["spk2gender"] = _spk2gender(speakers, set(utt2spk.values()))
    replace_dir(data_dir, tables, check=lambda written: validate(written, no_feats=True))
    return len(wav)


def read_part(part: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Audio path, transcript and reader of each utterance.

    Raises:
        DataError: if a transcript has no audio or no words, or an audio file no transcript.
    """
    wav: dict[str, str] = {}
    text: dict[str, str] = {}
    utt2spk: dict[str, str] = {}
    chapters = sorted(folder for folder in part.glob("*/*") if folder.is_dir())
    if not chapters:
        raise DataError("holds no <speaker>/<chapter>/*.trans.txt", path=part, cure="stage 0 makes it")
    for chapter in chapters:
        path = chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt"
        audio = {file.stem: file for file in sorted(chapter.iterdir()) if file.suffix in _AUDIO}
        for number, (key, words) in enumerate(_lines(path), 1):
            if not words:
                raise DataError(
                    f"utterance '{key}' has an empty transcript", path=path, line=number, cure="remove it and its audio"
                )
            if key not in audio:
                raise DataError(
                    f"utterance '{key}' has no audio file beside it", path=path, line=number, cure="remove the line"
                )
            if key in text:
                raise DataError(f"utterance '{key}' occurs twice", path=path, line=number, cure="keep one of them")
            wav[key], text[key] = os.path.abspath(audio[key]), words
            utt2spk[key] = chapter.parent.name
        missing = sorted(audio.keys() - text.keys())
        if missing:
            raise DataError("has no transcript", path=audio[missing[0]], cure=f"add it to {path.name} or remove it")
    return wav, text, utt2spk


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for key, _, words in (line.strip().partition(" ") for line in _decoded_lines(path)):
        yield key, words.strip()


def _spk2gender(path: Path, readers: set[str]) -> dict[str, str]:
    """m or f of each reader, from LibriSpeech's SPEAKERS.TXT."""
    genders = {}
    for line in _decoded_lines(path):
        fields = [field.strip() for field in line.split("|")]
        if not line.startswith(";") and fields[0] in readers and len(fields) > 1:
            genders[fields[0]] = fields[1].lower()
    missing = sorted(readers - genders.keys())
    if missing:
        raise DataError(f"does not list reader '{missing[0]}'", path=path, cure="add the line or remove the file")
    return genders


def _decoded_lines(path: Path) -> list[str]:
    lines = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error
    return lines


if __name__ == "__main__":
    raise SystemExit(command.run(main))
