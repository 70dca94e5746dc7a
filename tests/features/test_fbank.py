"""Filterbank features are Kaldi's, and padding never changes them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.data.audio import read_audio
from wenet_lite.features.fbank import Fbank, FbankConfig, num_frames
from wenet_lite.features.stream import StreamingFrontEnd


def speech_like(num_samples: int, seed: int = 0) -> torch.Tensor:
    """Noise with a falling spectrum, a tone and an offset, (samples,)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(num_samples, generator=generator).cumsum(0)
    noise = noise / max(num_samples, 1) ** 0.5
    return 0.3 * noise + 0.1 * torch.sin(torch.arange(num_samples) * 0.3) + 0.01


def oracle(waveform: np.ndarray, num_mel_bins: int) -> np.ndarray:
    """Kaldi's definition, frame by frame in float64."""
    samples = waveform.astype(np.float64) * 32768
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    mel = lambda f: 1127 * np.log(1 + f / 700)
    edges = np.linspace(mel(20.0), mel(8000.0), num_mel_bins + 2)
    bins = mel(np.arange(256) * 31.25)
    weights = np.zeros((256, num_mel_bins))
    for m in range(num_mel_bins):
        left, centre, right = edges[m : m + 3]
        rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
        weights[:, m] = np.clip(np.minimum(rising, falling), 0, None)
    frames = []
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400]
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
        frames.append(np.log(np.maximum(power[:256] @ weights, 1.1920928955078125e-07)))
    return np.array(frames)


@pytest.mark.parametrize("num_mel_bins", [40, 80])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_error_against_float64_is_no_worse_than_torchaudios(num_mel_bins: int, offset: float) -> None:
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    waveform = speech_like(64000) + offset
    expected = oracle(waveform.numpy(), num_mel_bins)
    ours, lens = Fbank(FbankConfig(num_mel_bins)).eval()(waveform[None], torch.tensor([64000]))
    theirs = kaldi.fbank(waveform[None] * 32768, num_mel_bins=num_mel_bins, dither=0.0, energy_floor=0.0)
    assert lens.tolist() == [len(expected)] == [len(theirs)]
    rms = lambda features: np.sqrt(np.square(features.numpy() - expected).mean())
    assert rms(ours[0]) <= rms(theirs)
    assert np.abs(ours[0].numpy() - expected).max() < 1e-3


def test_it_can_be_scripted() -> None:
    fbank = Fbank(FbankConfig()).eval()
    waveforms, num_samples = speech_like(5000).repeat(2, 1), torch.tensor([5000, 400])
    for scripted, eager in zip(torch.jit.script(fbank)(waveforms, num_samples), fbank(waveforms, num_samples)):
        assert torch.equal(scripted, eager)


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=30, deadline=None)
def test_alone_equals_in_a_padded_batch(first: int, second: int) -> None:
    fbank = Fbank(FbankConfig()).eval()
    rows = [speech_like(first, 1), speech_like(second, 2)]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    together, lens = fbank(padded, torch.tensor([first, second]))
    for row, length, features in zip(rows, lens, together):
        assert length == num_frames(len(row))
        alone, _ = fbank(row[None], torch.tensor([len(row)]))
        torch.testing.assert_close(features[:length], alone[0], rtol=0, atol=1e-4)


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_stream_in_any_portions_has_the_frames_of_the_whole(portions: list[int]) -> None:
    fbank = Fbank(FbankConfig()).eval()
    waveform = speech_like(sum(portions))
    expected, lens = fbank(waveform[None], torch.tensor([len(waveform)]))
    stream = StreamingFrontEnd(fbank)
    frames = torch.cat([stream.accept(part.numpy()) for part in waveform.split(portions)])
    assert len(frames) == lens
    torch.testing.assert_close(frames, expected[0], rtol=0, atol=1e-4)


def test_features_are_wenets(golden) -> None:
    """The features that WeNet's pipeline made of the same recordings."""
    batches = torch.load(golden / "misc" / "dataset.pt", weights_only=True)["datasets"]["static3"]["batches"]
    fbank = Fbank(FbankConfig()).eval()
    compared = 0
    for batch in batches:
        for key, expected, length in zip(batch["keys"], batch["feats"], batch["feats_lengths"]):
            if not key.startswith("utt"):  # a segment of another file
                continue
            samples, rate = read_audio(golden / "misc" / f"{key}.wav")
            assert rate == 16000
            features, _ = fbank(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
            # In the quiet bins of these pure tones float32 itself errs by up to 5e-3.
            torch.testing.assert_close(features[0], expected[:length], rtol=0, atol=1e-2)
            assert (features[0] - expected[:length]).abs().mean() < 5e-5
            compared += 1
    assert compared >= 5
