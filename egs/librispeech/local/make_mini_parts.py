"""Cut the small parts that RESULTS.md has figures of out of LibriSpeech, as links to its files.

Of train-clean-5 (OpenSLR 31), train-clean-100 and test-other (OpenSLR 12), which lie in <datadir>/LibriSpeech:

    dev-mini              four readers of train-clean-100, whole
    train-clean-100-1utt  the first utterance of each of its readers who is in neither dev-mini nor train-clean-5
    test-other-mini       the first ten utterances of the first ten readers of test-other

and <datadir>/train-clean-100.txt, the transcripts of train-clean-100 without dev-mini's, for language models.
"""

from __future__ import annotations

import argparse
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from prepare_data import read_part

from wenet_lite.bin import command

DEV_READERS = {"4088", "4406", "5652", "8226"}
TEST_READERS, TEST_UTTERANCES = 10, 10


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = command.Parser(
        prog="make_mini_parts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datadir", required=True, type=Path, help="folder of LibriSpeech")
    args = parser.parse_args(argv)
    corpus = args.datadir / "LibriSpeech"
    heard = set(read_part(corpus / "train-clean-5")[2].values()) | DEV_READERS
    wav, text, of_reader = read_part(corpus / "train-clean-100")
    utterances = by_reader(of_reader)
    link(corpus / "dev-mini", [key for reader in sorted(DEV_READERS) for key in utterances[reader]], wav, text)
    link(
        corpus / "train-clean-100-1utt",
        [keys[0] for reader, keys in utterances.items() if reader not in heard],
        wav,
        text,
    )
    sentences = [f"{words}\n" for key, words in text.items() if of_reader[key] not in DEV_READERS]
    (args.datadir / "train-clean-100.txt").write_text("".join(sentences), encoding="utf-8")
    wav, text, of_reader = read_part(corpus / "test-other")
    utterances = by_reader(of_reader)
    readers = sorted(utterances, key=int)[:TEST_READERS]
    link(corpus / "test-other-mini", [key for each in readers for key in utterances[each][:TEST_UTTERANCES]], wav, text)
    return 0


def by_reader(of_reader: Mapping[str, str]) -> dict[str, list[str]]:
    """Keys of each reader's utterances, sorted."""
    utterances = defaultdict(list)
    for key in sorted(of_reader):
        utterances[of_reader[key]].append(key)
    return utterances


def link(part: Path, keys: Sequence[str], wav: Mapping[str, str], text: Mapping[str, str]) -> None:
    """Make a part of these utterances, or leave it as it is."""
    if part.exists():
        print(f"make_mini_parts: {part} is there already")
        return
    temporary = part.with_name(f"{part.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for key in keys:
        reader, chapter, _ = key.split("-")
        folder = temporary / reader / chapter
        folder.mkdir(parents=True, exist_ok=True)
        audio = Path(wav[key])
        (folder / audio.name).symlink_to(audio)
        with open(folder / f"{reader}-{chapter}.trans.txt", "a", encoding="utf-8") as transcripts:
            transcripts.write(f"{key} {text[key]}\n")
    temporary.rename(part)
    print(f"make_mini_parts: {part}: {len(keys)} utterances")


if __name__ == "__main__":
    raise SystemExit(command.run(main))
