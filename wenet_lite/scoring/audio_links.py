"""Where a page finds the audio of its utterances: by path, as seen from the page's folder."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from wenet_lite.data.kaldi import PathLike, read_lines, read_table
from wenet_lite.data.list_line import parse_line
from wenet_lite.errors import DataError


def audio_links(path: PathLike, page: PathLike) -> dict[str, str]:
    """Links to audio files, relative to the folder of a page, percent-encoded.

    A page that held the audio itself would have the size of the corpus. Commands (`... |`) and URLs are left out: a
    page runs nothing and loads nothing from elsewhere. A segment has the fragment `#t=<start>,<end>`, in seconds.

    Args:
        path: a `data.list`, whose paths are relative to it, or a `wav.scp` keyed by utterance, whose paths are relative
            to the working directory.
        page: the HTML file that will hold the links.
    Raises:
        DataError: if the file is malformed, or names no file that a page could play.
    """
    first = next(iter(read_lines(path)), b"")
    sources = _of_list(path) if first.startswith(b"{") else _of_wav_scp(path)
    folder = os.path.dirname(os.path.abspath(page))
    links = {
        key: quote(os.path.relpath(wav, folder)) + span
        for key, (wav, span) in sources.items()
        if wav and not wav.endswith("|") and "://" not in wav
    }
    if not links:
        raise DataError("names no audio file", path=path, cure="commands and shards cannot be played: give files")
    return links


def _of_list(path: PathLike) -> dict[str, tuple[str, str]]:
    """Utterance -> path and fragment."""
    folder = Path(path).parent
    sources = {}
    for number, line in enumerate(read_lines(path), 1):
        tree = parse_line(line, path, number)
        if "error" not in tree:
            wav = tree["wav"] if "://" in tree["wav"] else os.path.join(folder, tree["wav"])
            sources[tree["key"]] = wav, _fragment(tree.get("start"), tree.get("end"))
    return sources


def _fragment(start: float | None, end: float | None) -> str:
    """A span with one end lasts from the beginning of the recording, or to its end."""
    if end is None:
        return "" if start is None else f"#t={start}"
    return f"#t={start or 0},{end}"


def _of_wav_scp(path: PathLike) -> dict[str, tuple[str, str]]:
    return {key: (wav, "") for key, wav in read_table(path).items()}
