"""Where streams are cut into utterances: nothing is lost, nothing is heard twice, and memory stays."""

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wenet_lite.config import dump_yaml
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import NO_FUSION
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.features.fbank import Fbank, FbankConfig
from wenet_lite.heap import HeapTrimmer
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.runtime.backend import Backend
from wenet_lite.runtime.endpoint import NO_ENDPOINTS, Endpointing
from wenet_lite.runtime.server.metrics import Metrics
from wenet_lite.runtime.server.protocol import Start
from wenet_lite.runtime.server.refusals import Refusal
from wenet_lite.runtime.server.scheduler import Progress, Scheduler
from wenet_lite.runtime.session import StreamingSession
from wenet_lite.runtime.stepper import StreamStepper
from wenet_lite.runtime.stream import Stream, StreamConfig
from wenet_lite.runtime.transcript import Transcriber, Transcript
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import CharTokenizer, write_units

RATE, BINS, CHUNK = 16000, 80, 16
TONES = dict(zip("abcde", (400, 800, 1500, 2600, 4500)))
RULES = Endpointing(rule1_silence_s=2.4, rule2_silence_s=1.2, rule3_utterance_s=20.0)


class ToneEncoder:
    """Hears features as they are: an encoder frame is the feature frame in its middle."""

    dim = input_dim = BINS
    embed = SimpleNamespace(rate=4, right_context=6)

    def empty_cache(self, batch_size: int, cache_frames: int, like: Tensor) -> EncoderCache:
        counts = torch.zeros(batch_size, dtype=torch.long)
        return EncoderCache(
            torch.zeros(1, batch_size, 1, cache_frames, 2), torch.zeros(1, batch_size, 1, 0), counts, counts
        )

    def forward_chunk(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        out_lens = (lens - 7) // 4 + 1
        room = torch.zeros(1, len(lens), 1, next_cache_frames, 2)
        next_cache = EncoderCache(room, cache.convolution, cache.lens, cache.offset + out_lens)
        return features.unfold(1, 7, 4)[..., 3], out_lens, next_cache


class ToneModel:
    """Writes the letter of the tone that it hears, and nothing in silence."""

    blank_id, sos_id, eos_id = 0, 2, 2
    config = ModelConfig()
    encoder, right_decoder = ToneEncoder(), None

    def __init__(self, units: tuple[str, ...]) -> None:
        self.left_decoder, self.vocab_size = self, len(units)
        self.tokens = torch.tensor([units.index(letter) for letter in TONES])
        self.peaks = torch.stack([spectrum(frequency).argmax() for frequency in TONES.values()])

    def ctc_log_probs(self, encoder_out: Tensor) -> Tensor:
        loudest = encoder_out.argmax(dim=-1, keepdim=True)
        nearest = self.tokens[(loudest - self.peaks).abs().argmin(dim=-1)]
        heard = torch.where(encoder_out.amax(dim=-1) > 15.0, nearest, self.blank_id)
        return (torch.nn.functional.one_hot(heard, self.vocab_size) * 10.0).log_softmax(dim=-1)

    def tree_logits(self, memory: Tensor, lens: Tensor, tokens: Tensor, positions: Tensor, visible: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, self.vocab_size)


def tone(frequency: float, seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def spectrum(frequency: float) -> Tensor:
    waveform = torch.from_numpy(tone(frequency, 0.1)).unsqueeze(0)
    features, _ = Fbank(FbankConfig(BINS)).eval()(waveform, torch.tensor([waveform.shape[1]]))
    return features[0, 0]


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def spoken(letters: str) -> np.ndarray:
    """0.36 s a letter."""
    return np.concatenate([part for letter in letters for part in (tone(TONES[letter], 0.2), silence(0.16))])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CharTokenizer:
    folder = tmp_path_factory.mktemp("lang")
    write_units("".join(TONES), folder / "units.txt")
    dump_yaml(TextRules(), folder / "text_rules.yaml")
    return CharTokenizer(folder)


def listen(
    tokenizer: CharTokenizer, endpointing: Endpointing, left_chunks: int = -1, chunk_size: int = CHUNK
) -> StreamingSession:
    model: Any = ToneModel(tuple(tokenizer.units))
    decoder = Decoder(model, DecodingOptions(reverse_weight=0.0))
    config = StreamConfig(RATE, chunk_size, left_chunks, endpointing, NO_FUSION)
    backend = Backend(model, Fbank(FbankConfig(BINS)).eval(), tokenizer, torch.device("cpu"), "float32")
    stream = Stream(model, decoder, tokenizer, config, torch.zeros(1))
    return StreamingSession(stream, StreamStepper(backend, decoder, Transcriber(tokenizer, 40)))


def heard(session: StreamingSession, samples: np.ndarray, portions: int = 50) -> list[Transcript]:
    """Utterances in the order in which they ended; the last is what is left at the end."""
    found = []
    for portion in np.array_split(samples, portions):
        session.accept(portion)
        found.extend(session.take())
    return [*found, session.finish()]


@pytest.mark.parametrize("portions", [1, 7, 300])
def test_a_pause_ends_an_utterance(tokenizer: CharTokenizer, portions: int) -> None:
    texts = ["abc", "d", "ecab"]
    samples = np.concatenate([part for text in texts for part in (spoken(text), silence(2.0))])
    found = heard(listen(tokenizer, RULES), samples, portions)
    assert [transcript.text for transcript in found] == [*texts, ""]
    begins = 0.0
    for transcript, text in zip(found, texts):
        (word,) = transcript.words
        assert word.start_s == pytest.approx(begins, abs=0.2)
        assert word.end_s == pytest.approx(begins + 0.36 * len(text), abs=0.3)
        assert transcript.start <= word.start_s < word.end_s <= transcript.start + transcript.duration
        begins += 0.36 * len(text) + 2.0


def test_a_short_pause_does_not(tokenizer: CharTokenizer) -> None:
    samples = np.concatenate([spoken("abc"), silence(0.5), spoken("de"), silence(3.0)])
    assert [transcript.text for transcript in heard(listen(tokenizer, RULES), samples)] == ["abcde", ""]


def test_a_sound_that_begins_where_an_utterance_ends_is_not_lost(tokenizer: CharTokenizer) -> None:
    for pause in np.arange(1.0, 1.8, 0.04):
        samples = np.concatenate([spoken("ab"), silence(pause), spoken("cd"), silence(0.5)])
        found = heard(listen(tokenizer, RULES), samples)
        assert "".join(transcript.text for transcript in found) == "abcd", pause


@pytest.mark.parametrize("chunk_size", [2, 4, CHUNK])
def test_endpoints_after_little_silence_hear_nothing_twice(tokenizer: CharTokenizer, chunk_size: int) -> None:
    session = listen(tokenizer, Endpointing(rule1_silence_s=0.1, rule2_silence_s=0.2), chunk_size=chunk_size)
    samples = np.concatenate([spoken("ab"), silence(1.0), spoken("cd"), silence(1.0)])
    assert "".join(transcript.text for transcript in heard(session, samples)) == "abcd"


def test_what_was_not_taken_comes_at_the_end(tokenizer: CharTokenizer) -> None:
    session = listen(tokenizer, RULES)
    session.accept(np.concatenate([spoken("ab"), silence(2.0), spoken("cd"), silence(2.0)]))
    assert session.partial == ""
    session.accept(spoken("e"))
    transcript = session.finish()
    assert transcript.text == "ab cd e"
    assert [word.text for word in transcript.words] == ["ab", "cd", "e"]
    assert transcript.duration == pytest.approx(5 * 0.36 + 4.0)


def test_silence_has_no_transcripts(tokenizer: CharTokenizer) -> None:
    assert [transcript.text for transcript in heard(listen(tokenizer, RULES), silence(60.0))] == [""]


@pytest.mark.parametrize("endpointing", [RULES, NO_ENDPOINTS])
def test_speech_without_a_pause_is_cut_where_it_is_silent(tokenizer: CharTokenizer, endpointing: Endpointing) -> None:
    letters = "".join(np.random.default_rng(0).choice(list("abcde"), size=300))
    samples = spoken(letters)
    found = heard(listen(tokenizer, endpointing), samples)
    assert "".join(transcript.text for transcript in found) == letters
    assert max(transcript.duration for transcript in found) <= endpointing.rule3_utterance_s
    assert sum(transcript.duration for transcript in found) == pytest.approx(len(samples) / RATE)
    assert all(after.start == pytest.approx(one.start + one.duration) for one, after in zip(found, found[1:]))


def held_values(session: StreamingSession) -> int:
    stream = session._stream
    kept = [*stream.cache, *stream._encoder_out, *stream._portions]
    return sum(each.size if isinstance(each, np.ndarray) else each.numel() for each in kept)


@pytest.mark.parametrize("endpointing", [RULES, NO_ENDPOINTS])
@pytest.mark.parametrize("left_chunks", [-1, 4])
def test_memory_does_not_grow_with_a_stream(
    tokenizer: CharTokenizer, endpointing: Endpointing, left_chunks: int
) -> None:
    session, peaks = listen(tokenizer, endpointing, left_chunks), []
    for _ in range(12):
        for portion in np.array_split(spoken("abcdeabcde" * 8), 40):
            session.accept(portion)
            session.take()
            peaks.append(held_values(session))
    assert max(peaks[len(peaks) // 2 :]) <= max(peaks[: len(peaks) // 2])


def test_a_history_that_was_never_heard_takes_no_memory(tokenizer: CharTokenizer) -> None:
    unlimited, huge = (listen(tokenizer, RULES, left_chunks) for left_chunks in (-1, 10_000))
    for portion in np.array_split(spoken("abcde" * 15), 20):
        unlimited.accept(portion)
        huge.accept(portion)
        assert held_values(huge) <= held_values(unlimited)


def test_samples_may_be_overwritten_once_they_were_taken(tokenizer: CharTokenizer) -> None:
    session, buffer = listen(tokenizer, RULES), np.empty(1440, dtype=np.float32)
    for portion in spoken("abcde").reshape(-1, len(buffer)):
        buffer[:] = portion
        session.accept(buffer)
    assert session.finish().text == "abcde"


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Endpointing(rule2_silence_s=0.0)
    with pytest.raises(ValueError, match="at least 1"):
        Endpointing(rule3_utterance_s=0.5)


def test_what_is_heard_again_does_not_count_twice(tokenizer: CharTokenizer) -> None:
    session = listen(tokenizer, RULES, chunk_size=4)
    stream, stepper, seconds = session._stream, session._stepper, [0.0]
    stream.accept(np.concatenate([spoken("ab"), silence(2.0), spoken("c")]))
    stream.end()
    while stream.ready:
        stepper.step([stream])
        seconds.append(stream.heard_s)
    assert [transcript.text for transcript in stream.take()] == ["ab", "c"]
    assert seconds == sorted(seconds) and seconds[-1] == pytest.approx(3 * 0.36 + 2.0)


class Client:
    """Who listens to a server's stream."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done = asyncio.Event()

    def on_open(self) -> None: ...

    def on_progress(self, progress: Progress) -> None:
        self.texts += [segment.text for segment in progress.segments]
        if progress.ended:
            self.done.set()

    def on_refusal(self, refusal: Refusal) -> None:
        self.texts.append(refusal.message)
        self.done.set()


def test_a_servers_streams_survive_endpoints_between_small_chunks(tokenizer: CharTokenizer) -> None:
    session = listen(tokenizer, RULES, chunk_size=4)
    recognizer: Any = SimpleNamespace(stepper=lambda: session._stepper, open_stream=lambda *_, **__: session._stream)
    samples = np.concatenate([spoken("ab"), silence(2.0), spoken("c")])

    async def served() -> list[str]:
        client, scheduler = Client(), Scheduler(recognizer, RULES, Metrics(), HeapTrimmer(2.0))
        scheduler.run(asyncio.get_running_loop())
        stream = scheduler.open(Start(continuous_decoding=True), client)
        stream.accept((samples * 32767).astype("<i2").tobytes())
        stream.end()
        await asyncio.wait_for(client.done.wait(), 60)
        scheduler.stop()
        return client.texts

    assert asyncio.run(served()) == ["ab", "c"]
