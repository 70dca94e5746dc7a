"""N-gram language models in ARPA files, the format of SRILM, KenLM and Kaldi."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress, islice, repeat

import numpy as np

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.gzip_files import read_any_lines, write_any_lines
from wenet_lite.decoding.ngram import SENTENCE_END, SENTENCE_START, UNKNOWN_WORD, Floats, Ints, NgramLm
from wenet_lite.decoding.ngram_building import RepeatedNgramError, find_nodes, unigram_lm, with_order
from wenet_lite.errors import DataError

_LN_10 = math.log(10)
_LOG10_ZERO = -999.0  # what -inf is read as: times a weight of 0 it is nothing
_LOG10_UNKNOWN = -10.0
_LINES_AT_ONCE = 50_000
_COUNT = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)\s*")


def read_arpa(path: PathLike) -> NgramLm:
    """Read a model of any order; a name in `.gz` is unpacked.

    Text before `\\data\\`, empty lines, CRLF, and n-grams without a back-off weight are taken as they come; `<UNK>`
    becomes `<unk>`, which has 10^-10 where the file has neither. An n-gram whose context, the n-gram without its last
    word, is not in the file is refused: its back-off weight would have to be invented.

    Args:
        path: the file.
    Raises:
        DataError: if the file cannot be read or is no such model.
    """
    lines = _Lines(path)
    counts = _read_counts(lines)
    lm, ids = _read_unigrams(lines, counts[0])
    for order, count in enumerate(counts[1:], 2):
        lines.expect(b"\\%d-grams:" % order)
        lm = _read_order(lines, lm, ids, order, count)
    lines.expect(b"\\end\\")
    return lm


def write_arpa(lm: NgramLm, path: PathLike) -> None:
    """Write a model, n-grams in ascending order of their words; a name in `.gz` is packed.

    Raises:
        DataError: if there is no such folder.
    """
    write_any_lines(path, _arpa_lines(lm))


def _arpa_lines(lm: NgramLm) -> Iterator[bytes]:
    yield b"\\data\\"
    for order, count in enumerate(lm.num_ngrams, 1):
        yield b"ngram %d=%d" % (order, count)
    vocabulary = list(lm.words)
    texts: list[str] = []
    for order, (start, end) in enumerate(zip(lm.order_starts, lm.order_starts[1:]), 1):
        yield b"\n\\%d-grams:" % order
        parents, words = np.divmod(lm.keys[start - 1 : end - 1], lm.vocab_size)
        if order == 1:
            texts = vocabulary
        else:
            parents -= lm.order_starts[order - 2]
            texts = [f"{texts[p]} {vocabulary[w]}" for p, w in zip(parents.tolist(), words.tolist())]
        log_probs = (lm.log_probs[start:end] / _LN_10).tolist()
        backoffs = (lm.backoffs[start:end] / _LN_10).tolist()
        for text, log_prob, backoff in zip(texts, log_probs, backoffs):
            yield (f"{log_prob:.7g}\t{text}\t{backoff:.7g}" if backoff else f"{log_prob:.7g}\t{text}").encode()
    yield b"\n\\end\\"


class _Lines:
    """The lines of a file, one after the other or many at once; `number` is the last one's, from 1."""

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self.number = 0
        self._lines = read_any_lines(path)

    def next(self) -> bytes:
        """The next line that is not empty, without the blanks around it; empty at the end of the file."""
        for line in self._lines:
            self.number += 1
            if stripped := line.strip():
                return stripped
        return b""

    def block(self, count: int) -> list[bytes]:
        """The next lines, at most `count`."""
        lines = list(islice(self._lines, count))
        self.number += len(lines)
        return lines

    def expect(self, heading: bytes) -> None:
        """Take a heading."""
        line = self.next()
        if line == heading:
            return
        if not line:
            raise DataError(f"ends before {heading.decode()}", path=self.path, cure="fetch or make it again")
        if not line.startswith(b"\\"):
            message = f"the section before {heading.decode()} has more n-grams than \\data\\ announces"
        else:
            message = f"expected {heading.decode()}, found {_shown(line)}"
        raise self.error(message)

    def error(self, message: str) -> DataError:
        """A mistake in the line that was read last."""
        return DataError(message, path=self.path, line=self.number)


@dataclass(frozen=True)
class _Block:
    """Some n-grams of one order, a row each.

    Attributes:
        words: words of all rows, one row after the other.
        log_probs, backoffs: natural logs.
        numbers: line numbers.
    """

    words: list[bytes]
    log_probs: Floats
    backoffs: Floats
    numbers: Ints


def _read_counts(lines: _Lines) -> list[int]:
    while (line := lines.next()) != b"\\data\\":
        if not line:
            raise DataError("has no \\data\\, as an ARPA file has", path=lines.path)
    counts: list[int] = []
    while (line := lines.next()) != b"\\1-grams:":
        match = _COUNT.fullmatch(line)
        if not match or int(match[1]) != len(counts) + 1:
            found = _shown(line) or "the end of the file"
            raise lines.error(f"expected 'ngram {len(counts) + 1}=<count>' or \\1-grams:, found {found}")
        counts.append(int(match[2]))
    if not counts:
        raise lines.error("\\data\\ announces no n-grams")
    return counts


def _read_unigrams(lines: _Lines, count: int) -> tuple[NgramLm, dict[bytes, int]]:
    """The model of single words, and the ids of words as the file spells them."""
    blocks = list(_read_blocks(lines, 1, count))
    rows: dict[bytes, int] = {}
    words: list[str] = []
    for block in blocks:
        for word, number in zip(block.words, block.numbers.tolist()):
            if word in rows:
                raise _second_time(lines.path, number)
            rows[word] = len(words)
            words.append(_decode(word, lines.path, number))
    for symbol in (SENTENCE_START, SENTENCE_END):
        if symbol.encode() not in rows:
            cure = "estimate the model on sentences with their ends"
            raise DataError(f"has no unigram {symbol}", path=lines.path, cure=cure)
    log_probs = np.concatenate([*(block.log_probs for block in blocks), [_LOG10_UNKNOWN * _LN_10]])
    backoffs = np.concatenate([*(block.backoffs for block in blocks), [0.0]])
    if UNKNOWN_WORD.encode() not in rows:
        row = rows.get(b"<UNK>", len(words))
        words[row : row + 1] = [UNKNOWN_WORD]
    ascending = sorted(range(len(words)), key=words.__getitem__)
    lm = unigram_lm([words[row] for row in ascending], log_probs[ascending], backoffs[ascending])
    return lm, {word: lm.words[words[row]] for word, row in rows.items()}


def _read_order(lines: _Lines, lm: NgramLm, ids: dict[bytes, int], order: int, count: int) -> NgramLm:
    """`lm` with the n-grams of the next order."""
    keys, numbers = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    log_probs, backoffs = [np.zeros(0, dtype=np.float32)], [np.zeros(0, dtype=np.float32)]
    for block in _read_blocks(lines, order, count):
        found = np.fromiter(map(ids.get, block.words, repeat(-1)), np.int64, len(block.words))
        missing = np.flatnonzero(found < 0)
        if len(missing):
            message = f"'{_shown(block.words[missing[0]])}' is no unigram of the file"
            raise DataError(message, path=lines.path, line=int(block.numbers[missing[0] // order]))
        ngrams = found.reshape(-1, order)
        parents = find_nodes(lm, ngrams[:, :-1])
        orphans = np.flatnonzero(parents == 0)
        if len(orphans):
            context = _shown(b" ".join(block.words[orphans[0] * order :][: order - 1]))
            message = f"the context '{context}' of the n-gram is no {order - 1}-gram of the file"
            cure = "add it, or estimate the model anew"
            raise DataError(message, path=lines.path, line=int(block.numbers[orphans[0]]), cure=cure)
        keys.append(parents * lm.vocab_size + ngrams[:, -1])
        log_probs.append(block.log_probs.astype(np.float32))
        backoffs.append(block.backoffs.astype(np.float32))
        numbers.append(block.numbers)
    try:
        return with_order(lm, np.concatenate(keys), np.concatenate(log_probs), np.concatenate(backoffs))
    except RepeatedNgramError as error:
        raise _second_time(lines.path, int(np.concatenate(numbers)[error.row])) from error


def _read_blocks(lines: _Lines, order: int, count: int) -> Iterator[_Block]:
    """The n-grams of a section, many at once."""
    remaining = count
    while remaining:
        first = lines.number + 1
        block = lines.block(min(remaining, _LINES_AT_ONCE))
        if not block:
            message = f"ends with {remaining} of {count} {order}-grams missing"
            raise DataError(message, path=lines.path, cure="fetch or make it again")
        parsed = _parse(block, first, order)
        if parsed is None:
            raise _first_mistake(lines.path, block, first, order, count)
        yield parsed
        remaining -= len(parsed.numbers)


def _parse(block: list[bytes], first: int, order: int) -> _Block | None:
    """The n-grams of lines, the first of which has the number `first`; nothing if there is a mistake among them."""
    text = b"".join(block)
    fields = text.split()
    num_fields = _count_fields(text, len(block))
    numbers = np.flatnonzero(num_fields)
    num_fields = num_fields[numbers]
    if ((num_fields < order + 1) | (num_fields > order + 2)).any():
        return None
    prob_fields = num_fields.cumsum() - num_fields
    with_backoff = num_fields == order + 2
    backoff_fields = prob_fields[with_backoff] + order + 1
    backoffs = np.zeros(len(numbers))
    try:
        log_probs = np.array([float(fields[index]) for index in prob_fields.tolist()])
        backoffs[with_backoff] = [float(fields[index]) for index in backoff_fields.tolist()]
    except ValueError:
        return None
    if not ((log_probs <= 0).all() and np.isfinite(backoffs).all()):
        return None
    is_word = np.ones(len(fields), dtype=bool)
    is_word[prob_fields] = is_word[backoff_fields] = False
    words = list(compress(fields, is_word.tolist()))
    return _Block(words, log_probs.clip(min=_LOG10_ZERO) * _LN_10, backoffs * _LN_10, first + numbers)


def _count_fields(text: bytes, num_lines: int) -> Ints:
    """Fields of each line: what `len(line.split())` is, many times faster."""
    codes = np.frombuffer(b"\n" + text + b"\n", dtype=np.uint8)
    blank = (codes == ord(" ")) | ((codes >= ord("\t")) & (codes <= ord("\r")))
    starts = blank[:-1] & ~blank[1:]
    line_ends = np.flatnonzero(codes[1:] == ord("\n"))[:num_lines]
    return np.diff(starts.cumsum()[line_ends], prepend=0)


def _first_mistake(path: PathLike, block: list[bytes], first: int, order: int, count: int) -> DataError:
    rows = [(number, line.split()) for number, line in enumerate(block, first)]
    mistakes = ((number, _mistake(fields, order, count)) for number, fields in rows if fields)
    number, message = next((number, message) for number, message in mistakes if message)
    return DataError(message, path=path, line=number)


def _mistake(fields: list[bytes], order: int, count: int) -> str | None:
    """What is wrong with a line of a section."""
    if fields[0].startswith(b"\\"):
        return f"the section of {order}-grams has fewer than the {count} that \\data\\ announces"
    if not order < len(fields) < order + 3:
        wanted = f"a log probability, {order} words and perhaps a back-off weight"
        return f"expected {wanted}, found {len(fields)} fields"
    numbers = [fields[0], *fields[order + 1 :]]
    for text, highest in zip(numbers, (0.0, math.inf)):
        try:
            value = float(text)
        except ValueError:
            return f"expected a number, found {_shown(text)}"
        if not (value <= highest and value < math.inf) or (highest and value == -math.inf):
            return f"expected a {'finite number' if highest else 'logarithm of a probability'}, found {_shown(text)}"
    return None


def _decode(word: bytes, path: PathLike, number: int) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error


def _second_time(path: PathLike, number: int) -> DataError:
    return DataError("has an n-gram a second time", path=path, line=number, cure="keep one of them")


def _shown(text: bytes) -> str:
    return text[:80].decode(errors="replace")
