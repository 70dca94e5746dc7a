"""What stands out in a description, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from wenet_lite.data.describe import DataDescription, SetDescription
from wenet_lite.data.describe_layout import percent
from wenet_lite.data.describe_overlap import Overlap

_MUCH_UNKNOWN = 0.001
_MUCH_REPEATED = 0.05


def findings_of(description: DataDescription) -> list[str]:
    """A sentence for each thing that somebody should look at before training."""
    found = [_shared(overlap) for overlap in description.overlaps if overlap.count]
    rates = sorted({rate for s in description.sets for rate in s.sample_rates})
    if len(rates) > 1:
        found.append(f"Sampling rates differ: {', '.join(map(str, rates))} Hz.")
    for s in description.sets:
        found += [f"{s.name}: {sentence}" for sentence in _of_set(s)]
    return found


def _shared(overlap: Overlap) -> str:
    share = f"{overlap.second_utterances} utterances ({percent(overlap.second_share)}) of {overlap.second}"
    kind = overlap.kind.removesuffix("s") if overlap.count == 1 else overlap.kind
    return f"{overlap.first} and {overlap.second} share {overlap.count} {kind}: {share}."


def _of_set(s: SetDescription) -> Iterator[str]:
    text, audio = s.text, s.audio
    if s.left_out:
        yield f"{_utterances(len(s.left_out))} cannot be used and {_are(len(s.left_out))} left out."
    if text.num_empty:
        yield f"{_utterances(text.num_empty)} without a word."
    if text.num_repeated > _MUCH_REPEATED * s.num_utterances:
        yield f"{_utterances(text.num_repeated)} of {s.num_utterances} repeat an earlier transcript."
    wrong = text.suspects.count - text.num_empty
    if wrong > 0:
        yield f"{_utterances(wrong)} with a transcript that does not fit the length of the audio."
    if text.unseen is not None and text.unseen.characters:
        number = len(text.unseen.characters)
        yield f"{number} character{'s' * (number > 1)} that the first set lacks."
    if text.unknown is not None and text.unknown.share > _MUCH_UNKNOWN:
        yield f"{percent(text.unknown.share)} of the units are unknown."
    if audio is not None and audio.unreadable:
        yield f"{_utterances(len(audio.unreadable))} with audio that cannot be read."
    if audio is not None and audio.num_faulty:
        kinds = ", ".join(f"{kind} {count}" for kind, count in audio.faults.items())
        yield f"{_utterances(audio.num_faulty)} of the {audio.num_read} that were read with faulty audio: {kinds}."


def _utterances(number: int) -> str:
    return f"{number} utterance{'s' * (number != 1)}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
