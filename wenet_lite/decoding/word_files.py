"""Files of timed words: one of a list, or one of each recording."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, TextIO, get_args

from wenet_lite.decoding.subtitles import cues, to_srt, to_vtt
from wenet_lite.decoding.word_formats import TimedUtterance, to_ctm, to_json, to_textgrid

WordFormat = Literal["ctm", "json", "srt", "vtt", "textgrid"]
WORD_FORMATS: tuple[WordFormat, ...] = get_args(WordFormat)

_OF_A_LIST: dict[WordFormat, tuple[str, Callable[[TimedUtterance], str]]] = {
    "ctm": ("words.ctm", to_ctm),
    "json": ("words.jsonl", to_json),
}
_OF_A_RECORDING: dict[WordFormat, tuple[str, Callable[[TimedUtterance], str]]] = {
    "srt": ("srt", lambda utterance: to_srt(cues(utterance.timed))),
    "vtt": ("vtt", lambda utterance: to_vtt(cues(utterance.timed))),
    "textgrid": ("TextGrid", to_textgrid),
}


class WordFiles:
    """Writes utterances as they come, in several formats; used as a context manager.

    A list's words are in `words.ctm` and `words.jsonl`, each in the order of `add`; those of a recording in
    `srt/<id>.srt`, `vtt/<id>.vtt` and `textgrid/<id>.TextGrid` (`/` of an id becomes `%2F`). Files and folders appear
    when all is written, by rename, in place of older ones.

    Args:
        folder: exists.
        formats: any of `WORD_FORMATS`.
    """

    def __init__(self, folder: Path, formats: Sequence[WordFormat]) -> None:
        self._folder, self._formats = folder, tuple(dict.fromkeys(formats))
        self._streams: dict[WordFormat, TextIO] = {}
        self._stack = ExitStack()

    def __enter__(self) -> WordFiles:
        for name in self._formats:
            temporary = self._temporary(name)
            if name in _OF_A_LIST:
                self._streams[name] = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
            else:
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir()
        return self

    def add(self, utterance: TimedUtterance) -> None:
        """Write an utterance; one that lasts no time has no file of its own."""
        for name in self._formats:
            if name in _OF_A_LIST:
                self._streams[name].write(_OF_A_LIST[name][1](utterance))
            elif utterance.duration_s > 0:
                suffix, text = _OF_A_RECORDING[name]
                file_name = f"{utterance.key.replace('/', '%2F')}.{suffix}"
                (self._temporary(name) / file_name).write_text(text(utterance), encoding="utf-8")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is not None:
            return
        for name in self._formats:
            target = self._folder / self._name(name)
            if name in _OF_A_RECORDING and target.exists():
                shutil.rmtree(target)
            self._temporary(name).replace(target)

    def _name(self, name: WordFormat) -> str:
        return _OF_A_LIST[name][0] if name in _OF_A_LIST else name

    def _temporary(self, name: WordFormat) -> Path:
        return self._folder / f"{self._name(name)}.tmp"
