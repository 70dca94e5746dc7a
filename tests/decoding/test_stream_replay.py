"""Streams of posteriors made by hand: what is shown when, by the clock of the audio."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from wenet_lite.decoding.options import DecodingOptions, Hypothesis
from wenet_lite.decoding.partial_results import ShownResult, steadiness
from wenet_lite.decoding.stream_replay import StreamReplay

UNITS = ["<blank>", "<unk>", "<sos/eos>", "▁RED", "▁BLUE"]
BLANK, RED, BLUE = 0, 3, 4
RATE, RIGHT_CONTEXT = 4, 6


class ScriptedEncoder:
    """Its frames are the posteriors that stand in the first feature frame of each."""

    embed = SimpleNamespace(rate=RATE, right_context=RIGHT_CONTEXT)

    def __call__(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        out = features[:, : features.shape[1] - RIGHT_CONTEXT : RATE]
        return out, torch.tensor([out.shape[1]])

    def empty_cache(self, *_: object) -> Any:
        return SimpleNamespace(attention=torch.zeros(1, 1, 1, 0))

    def forward_chunk(self, features: Tensor, lens: Tensor, cache: Any, keep: int) -> tuple[Tensor, Tensor, Any]:
        return (*self(features, lens), cache)


def replay(frames: list[dict[int, float]], final: tuple[int, ...], *, chunk_size: int, **options: bool) -> Any:
    """What is shown of encoder frames with these posteriors, of 40 ms each; the audio ends 1 ms after the last."""
    features = torch.zeros(1, (len(frames) - 1) * RATE + RIGHT_CONTEXT + 1, len(UNITS))
    for i, posteriors in enumerate(frames):
        for token, probability in posteriors.items():
            features[0, RATE * i, token] = probability
    recognizer = SimpleNamespace(
        model=SimpleNamespace(encoder=ScriptedEncoder(), ctc_log_probs=torch.log, blank_id=BLANK),
        options=SimpleNamespace(chunk_size=chunk_size, num_left_chunks=-1, decoding=DecodingOptions()),
        search=lambda out, lens, modes: [{modes[0]: [Hypothesis(final, 0.0)]}],
    )
    duration_ms = 10.0 * (features.shape[1] - 1) + 25 + 1
    hear = StreamReplay(recognizer, UNITS, "attention_rescoring", **options)  # type: ignore[arg-type]
    return hear(features, duration_ms)


# RED is likelier than BLUE at first; then a frame that continues BLUE makes that the likelier of the two.
UNDECIDED = [{RED: 0.55, BLUE: 0.45}, {BLUE: 0.8, BLANK: 0.2}]


def test_each_chunk_shows_its_words_when_its_last_feature_frame_is_complete() -> None:
    found = replay([{BLANK: 1.0}, {RED: 1.0}, {BLUE: 1.0}, {BLANK: 1.0}], (RED, BLUE), chunk_size=2)
    assert found.results == (  # a chunk of 80 ms needs (1 + 6/4) * 40 ms and a window of 25 ms
        ShownResult(125.0, ("RED",)),
        ShownResult(205.0, ("RED", "BLUE")),
        ShownResult(206.0, ("RED", "BLUE")),
    )
    assert found.tokens == (RED, BLUE) and found.encoder_out.shape == (1, 4, len(UNITS))
    assert steadiness(found.results).shown_ms == (125.0, 205.0)


def test_a_word_that_the_beam_changes_its_mind_about_flickers() -> None:
    found = replay([*UNDECIDED, {BLANK: 1.0}], (BLUE,), chunk_size=1)
    assert [result.words for result in found.results] == [("RED",), ("BLUE",), ("BLUE",), ("BLUE",)]
    steady = steadiness(found.results)
    assert steady.taken_back == 1 and steady.shown_ms == (125.0,)


def test_a_word_that_the_final_search_replaces_flickers_and_comes_at_the_end() -> None:
    found = replay([{RED: 1.0}, {BLANK: 1.0}], (BLUE,), chunk_size=1)
    steady = steadiness(found.results)
    assert steady.taken_back == 1 and steady.shown_ms == (126.0,)


def test_a_last_chunk_that_the_audio_does_not_fill_shows_the_final_text() -> None:
    found = replay([{RED: 1.0}, {BLANK: 1.0}, {BLUE: 1.0}], (RED,), chunk_size=2)
    assert [result.words for result in found.results] == [("RED",), ("RED",)]
    assert found.results[-1].shown_ms == 166.0 and steadiness(found.results).taken_back == 0


def test_a_whole_utterance_is_shown_once_at_its_end() -> None:
    found = replay([{RED: 1.0}, {BLANK: 1.0}], (RED,), chunk_size=-1)
    assert found.results == (ShownResult(126.0, ("RED",)),)


def test_computation_comes_on_top_where_it_counts() -> None:
    frames = [{RED: 1.0}, {BLANK: 1.0}, {BLANK: 1.0}]
    audio = replay(frames, (RED,), chunk_size=2)
    machine = replay(frames, (RED,), chunk_size=2, counts_computation=True)
    for by_audio, by_machine in zip(audio.results, machine.results):
        assert by_audio.shown_ms < by_machine.shown_ms and by_audio.words == by_machine.words
