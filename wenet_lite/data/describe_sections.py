"""What a description shows, subject by subject."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from wenet_lite.data.describe import DataDescription, SetDescription
from wenet_lite.data.describe_audio import AudioDescription
from wenet_lite.data.describe_distribution import Distribution
from wenet_lite.data.describe_layout import MOST_ROWS, Plot, Row, Section, Table, numbers, percent, problem_table
from wenet_lite.data.describe_measures import FRAME_S, SILENCE_DB
from wenet_lite.data.describe_rate import RateRule
from wenet_lite.data.describe_text import CharacterCount

_RARE = 10
_MOST_CHARACTERS = 200
_MOST_SHARED = 5
_CHARACTER_HEADER = ("character", "code point", "name", "occurrences", "such as in")


def sections_of(description: DataDescription) -> list[Section]:
    """All there is to show; tables without rows, plots without values and sections without either are not in it."""
    sets = description.sets
    sections = [_overview(sets), _shared(description), _wrong_transcripts(sets), _repeated(sets), _words(sets)]
    sections += [_characters(sets), _unknown(sets), _audio(sets), _left_out(sets)]
    filled = [
        replace(
            section,
            tables=tuple(table for table in section.tables if table.rows),
            plots=tuple(plot for plot in section.plots if plot.panels),
        )
        for section in sections
    ]
    return [section for section in filled if section.tables or section.plots]


def _overview(sets: Sequence[SetDescription]) -> Section:
    figures: dict[str, Callable[[SetDescription], str]] = {
        "hours": lambda s: f"{s.hours:.2f}",
        "utterances": lambda s: f"{s.num_utterances}",
        "left out": lambda s: f"{len(s.left_out)}",
        "speakers": lambda s: f"{s.num_speakers}" if s.num_speakers else "not named",
        "hours a speaker: min / median / max": lambda s: numbers(s.speaker_hours, "min median max", 3),
        "seconds: min / median / mean / p95 / max": lambda s: numbers(s.durations, "min median mean p95 max", 1),
        "sampling rates, Hz": _sample_rates,
        "words": lambda s: f"{s.text.num_words}",
        "distinct words": lambda s: f"{s.text.vocabulary}",
        "words that occur once": lambda s: f"{s.text.num_once}",
        "distinct characters": lambda s: f"{len(s.text.characters)}",
        "words a second, median": lambda s: numbers(s.text.words_per_second, "median", 2),
        "characters a second, median": lambda s: numbers(s.text.characters_per_second, "median", 1),
        "empty transcripts": lambda s: f"{s.text.num_empty}",
        "repeated transcripts": lambda s: f"{s.text.num_repeated}",
        "likely wrong transcripts": lambda s: f"{s.text.suspects.count}",
    }
    plots = (
        _plot("Length of the utterances, seconds", sets, lambda s: s.durations),
        _plot("Hours a speaker", sets, lambda s: s.speaker_hours),
        _plot("Characters a second, without white space", sets, lambda s: s.text.characters_per_second),
        _plot("Words a second", sets, lambda s: s.text.words_per_second),
    )
    note = (
        "p95 is the 95th percentile. Transcripts are described as they stand in the files; a repeated one is one that "
        "an earlier utterance of the set has."
    )
    rows = tuple((name, *(figure(s) for s in sets)) for name, figure in figures.items())
    table = Table("", ("", *(s.name for s in sets)), rows)
    return Section("Overview", note, (table,), plots)


def _shared(description: DataDescription) -> Section:
    found = [overlap for overlap in description.overlaps if overlap.count]
    counts = [
        (
            overlap.kind,
            f"{overlap.first} and {overlap.second}",
            str(overlap.count),
            f"{overlap.first_utterances} ({percent(overlap.first_share)})",
            f"{overlap.second_utterances} ({percent(overlap.second_share)})",
        )
        for overlap in found
    ]
    examples = [
        (overlap.kind, overlap.first, example.first_key, overlap.second, example.second_key, example.item)
        for overlap in found
        for example in overlap.examples[:_MOST_SHARED]
        if overlap.kind != "utterance ids"
    ]
    note = (
        "Compared letter for letter. A dev or test set that shares speakers, recordings or transcripts with the "
        "training set measures less than it seems to. Short transcripts may well be shared by chance: the longest "
        "come first."
    )
    tables = (
        Table("", ("what", "sets", "shared", "utterances of the first", "utterances of the second"), tuple(counts)),
        Table("Examples", ("what", "set", "utterance", "set", "utterance", "shared"), tuple(examples)),
    )
    return Section("In more than one set", note, tables)


def _wrong_transcripts(sets: Sequence[SetDescription]) -> Section:
    rule = RateRule()
    rows = [
        (s.name, w.key, f"{w.rate:.1f}", f"{w.duration:.2f}", w.reason, w.txt)
        for s in sets
        for w in s.text.suspects.worst
    ]
    ranges = [
        f"{s.name} {s.text.suspects.slowest:.1f} to {s.text.suspects.fastest:.1f}" for s in sets if s.num_utterances
    ]
    note = (
        f"Characters a second outside of the set's range ({', '.join(ranges)}): more than {rule.num_deviations:g} "
        "robust standard deviations (median absolute deviation of the logarithm) from its median, or slower than "
        f"{rule.slowest:g} or faster than {rule.fastest:g}. The worst come first. Listen to them: the transcript may "
        "belong to another recording, be cut off, or the recording may."
    )
    header = ("set", "utterance", "characters a second", "seconds", "that is", "transcript")
    return Section("Likely wrong transcripts", note, (Table("", header, tuple(rows)),))


def _repeated(sets: Sequence[SetDescription]) -> Section:
    rows = [(s.name, str(entry.count), entry.item) for s in sets for entry in s.text.repeated]
    note = "Transcripts of several utterances of one set, the most frequent first."
    table = Table("", ("set", "utterances", "transcript"), tuple(rows))
    return Section("Repeated transcripts", note, (table,))


def _words(sets: Sequence[SetDescription]) -> Section:
    later = [(s, s.text.unseen) for s in sets if s.text.unseen is not None]
    counts = [(s.name, str(u.num_words), str(u.num_running_words), percent(u.share)) for s, u in later]
    examples = [(s.name, str(entry.count), entry.item) for s, u in later for entry in u.words]
    characters = [(s.name, *_character(entry)) for s, u in later for entry in u.characters[:MOST_ROWS]]
    tables = (
        Table("", ("set", "distinct words", "running words", "of the set's"), tuple(counts)),
        Table("The most frequent of these words", ("set", "occurrences", "word"), tuple(examples)),
        Table("Characters that the first set lacks", ("set", *_CHARACTER_HEADER), tuple(characters)),
    )
    return Section(f"Words that {sets[0].name} lacks", "", tables)


def _character(entry: CharacterCount) -> Row:
    point = f"U+{ord(entry.character):04X}"
    name = unicodedata.name(entry.character, "no name").lower()
    return entry.character, point, name, str(entry.count), entry.word


def _characters(sets: Sequence[SetDescription]) -> Section:
    inventory = [
        (
            s.name,
            str(len(s.text.characters)),
            " ".join(entry.character for entry in s.text.characters[:_MOST_CHARACTERS]),
        )
        for s in sets
    ]
    rare = [(s.name, *_character(entry)) for s in sets for entry in _rare(s)]
    note = (
        "The most frequent first. What is rare is often a slip: a foreign letter, a sign that should have been "
        "removed, an odd blank."
    )
    tables = (
        Table("", ("set", "distinct", "characters"), tuple(inventory)),
        Table(f"Rare characters, fewer than {_RARE} occurrences", ("set", *_CHARACTER_HEADER), tuple(rare)),
    )
    return Section("Characters", note, tables)


def _rare(s: SetDescription) -> list[CharacterCount]:
    rare = [entry for entry in s.text.characters if entry.count < _RARE]
    return sorted(rare, key=lambda entry: (entry.count, entry.character))[:MOST_ROWS]


def _unknown(sets: Sequence[SetDescription]) -> Section:
    known = [(s, s.text.unknown) for s in sets if s.text.unknown is not None]
    counts = [(s.name, str(u.num_units), str(u.num_unknown), percent(u.share), str(u.num_utterances)) for s, u in known]
    worst = [(s.name, problem.key, problem.reason) for s, u in known for problem in u.utterances]
    tables = (
        Table("", ("set", "units", "unknown", "part", "utterances with some"), tuple(counts)),
        Table("Utterances with the most", ("set", "utterance", "unknown"), tuple(worst)),
    )
    note = "Pieces that the lang directory has no unit for, after its text rules."
    return Section("Unknown units", note, tables)


def _audio(sets: Sequence[SetDescription]) -> Section:
    heard = [(s, s.audio) for s in sets if s.audio is not None]
    figures: dict[str, Callable[[AudioDescription], str]] = {
        "utterances read": lambda a: str(a.num_read),
        "hours read": lambda a: f"{a.hours:.2f}",
        "unreadable": lambda a: str(len(a.unreadable)),
        "level, dBFS: min / median / max": lambda a: numbers(a.level, "min median max", 1),
        "silent part of the time": lambda a: percent(a.silence_share),
        "before / after the speech": lambda a: f"{percent(a.leading_share)} / {percent(a.trailing_share)}",
        "seconds before the speech: median / p95": lambda a: numbers(a.leading, "median p95", 2),
        "seconds after the speech: median / p95": lambda a: numbers(a.trailing, "median p95", 2),
        "clipped part of the samples": lambda a: percent(a.clipped_share),
        "DC offset: median / max": lambda a: numbers(a.offset, "median max", 4),
        "utterances with a fault": lambda a: str(a.num_faulty),
        "which faults": lambda a: ", ".join(f"{kind} {count}" for kind, count in a.faults.items()) or "none",
    }
    overview = [(name, *(figure(audio) for _, audio in heard)) for name, figure in figures.items()] if heard else []
    tables = (
        Table("", ("", *(s.name for s, _ in heard)), tuple(overview)),
        problem_table("Faulty audio, the worst first", [(s.name, audio.faulty) for s, audio in heard]),
        problem_table("Unreadable audio", [(s.name, audio.unreadable) for s, audio in heard]),
    )
    plots = (
        _plot("Level, dBFS", sets, lambda s: s.audio.level if s.audio else None),
        _plot("Silent part of an utterance", sets, lambda s: s.audio.silence if s.audio else None),
        _plot("Silence before the speech, seconds", sets, lambda s: s.audio.leading if s.audio else None),
        _plot("Silence after the speech, seconds", sets, lambda s: s.audio.trailing if s.audio else None),
    )
    note = (
        f"A frame of {1000 * FRAME_S:g} ms is silent where it is more than {SILENCE_DB:g} dB below the loudest 200 ms "
        "of its utterance; where noise is louder than that, none is. The level is the root mean square, 0 dBFS that of "
        "a full-scale square wave. Clipped are three or more samples in a row at full scale."
    )
    return Section("Audio", note, tables, plots)


def _left_out(sets: Sequence[SetDescription]) -> Section:
    note = "What is listed but cannot be used; it is in no other figure of this page."
    table = problem_table("", [(s.name, s.left_out) for s in sets])
    return Section("Left out", note, (table,))


def _plot(title: str, sets: Sequence[SetDescription], of: Callable[[SetDescription], Distribution | None]) -> Plot:
    spreads = [(s.name, of(s)) for s in sets]
    return Plot(title, tuple((name, spread) for name, spread in spreads if spread is not None))


def _sample_rates(s: SetDescription) -> str:
    if len(s.sample_rates) == 1:
        return str(next(iter(s.sample_rates)))
    return ", ".join(f"{rate}: {count} utt." for rate, count in s.sample_rates.items()) or "not read"
