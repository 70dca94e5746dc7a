"""Turn a part of a corpus in LibriSpeech's layout into a Kaldi data directory; a speaker is a reader."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.data.audio import audio_info
from wenet_lite.data.kaldi import spk2utt_from, write_table
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

_AUDIO = (".flac", ".wav", ".opus")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="prepare_data", description=__doc__)
    parser.add_argument("part", type=Path, help="such as corpus/LibriSpeech/dev-clean")
    parser.add_argument("data_dir", type=Path, help="Kaldi data directory to make")
    args = parser.parse_args(argv)
    count = prepare(args.part, args.data_dir)
    print(f"prepare_data: {args.data_dir}: {count} utterances")
    return 0


def prepare(part: Path, data_dir: Path) -> int:
    """Write wav.scp, text, utt2spk, spk2utt, utt2dur and spk2gender, whole or not at all.

    Returns:
        the number of utterances.
    Raises:
        DataError: naming the transcript or audio file that is missing, empty or unreadable.
    """
    wav, text, utt2spk = read_part(part)
    with ThreadPoolExecutor() as pool:
        infos = pool.map(audio_info, wav.values())
        utt2dur = {key: f"{info.duration:.4f}".rstrip("0").rstrip(".") for key, info in zip(wav, infos)}
    for key, duration in utt2dur.items():
        if float(duration) <= 0:
            raise DataError("holds no audio", path=wav[key])
    readers = set(utt2spk.values())
    tables = {
        "wav.scp": wav,
        "text": text,
        "utt2spk": utt2spk,
        "spk2utt": spk2utt_from(utt2spk),
        "utt2dur": utt2dur,
        "spk2gender": {
            reader: gender for reader, gender in _genders(part.parent / "SPEAKERS.TXT") if reader in readers
        },
    }
    temporary = data_dir.with_name(data_dir.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, table in tables.items():
        write_table(temporary / name, table)
    validate(temporary, no_feats=True)
    shutil.rmtree(data_dir, ignore_errors=True)
    temporary.rename(data_dir)
    return len(wav)


def read_part(part: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Audio path, transcript and reader of each utterance."""
    wav: dict[str, str] = {}
    text: dict[str, str] = {}
    utt2spk: dict[str, str] = {}
    transcripts = sorted(part.glob("*/*/*.trans.txt"))
    if not transcripts:
        raise DataError("holds no <speaker>/<chapter>/*.trans.txt", path=part, cure="stage 0 makes it")
    for path in transcripts:
        audio = {file.stem: file for file in sorted(path.parent.iterdir()) if file.suffix in _AUDIO}
        for number, (key, words) in enumerate(_lines(path), 1):
            if not words:
                raise DataError(f"utterance '{key}' has an empty transcript", path=path, line=number, cure="remove it")
            if key not in audio:
                raise DataError(f"utterance '{key}' has no audio file beside it", path=path, line=number)
            if key in text:
                raise DataError(f"utterance '{key}' occurs twice", path=path, line=number)
            wav[key], text[key] = os.path.abspath(audio[key]), words
            utt2spk[key] = path.parent.parent.name
        missing = sorted(audio.keys() - text.keys())
        if missing:
            raise DataError("has no transcript", path=audio[missing[0]], cure=f"add it to {path.name}")
    return wav, text, utt2spk


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, words = line.strip().partition(" ")
        yield key, words.strip()


def _genders(path: Path) -> Iterator[tuple[str, str]]:
    """Reader and m or f, from LibriSpeech's SPEAKERS.TXT; nothing where the file is absent."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = [field.strip() for field in line.split("|")]
        if not line.startswith(";") and len(fields) > 1:
            yield fields[0], fields[1].lower()


if __name__ == "__main__":
    raise SystemExit(command.run(main))
