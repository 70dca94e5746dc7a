"""Long audio is read block by block and cut without losing a sample."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.audio_blocks import read_blocks
from wenet_lite.data.segments import PauseCutter, longest_run
from wenet_lite.errors import AudioError

UNIT = 640


def noise(seconds: float, level: float = 0.3) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(int(seconds * 16000))).astype(np.float32)


@pytest.mark.parametrize(("suffix", "rate"), [("wav", 16000), ("flac", 8000), ("ogg", 16000), ("mp3", 44100)])
@pytest.mark.parametrize("span", [(None, None), (3.25, 24.5)])
def test_blocks_are_what_reading_at_once_gives(
    tmp_path: Path, suffix: str, rate: int, span: tuple[float | None, float | None]
) -> None:
    path = tmp_path / f"long.{suffix}"
    seconds = np.arange(27 * rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * seconds) * seconds)  # rising: a place that is missed shows
    soundfile.write(path, np.stack([tone, np.zeros_like(tone)], axis=1), rate)
    expected = resample(*read_audio(path, *span), 16000)
    blocks = list(read_blocks(path, *span, sample_rate=16000))
    assert len(blocks) >= 3 and max(map(len, blocks)) <= 11 * 16000
    assert np.concatenate(blocks) == pytest.approx(expected, abs=1e-4)


def test_what_cannot_be_read_to_its_end_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "torn.flac"
    soundfile.write(path, noise(30), 16000)
    path.write_bytes(path.read_bytes()[:-100000])
    with pytest.raises(AudioError, match=r"torn\.flac: (is truncated|cannot be decoded)"):
        list(read_blocks(path, sample_rate=16000))
    with pytest.raises(AudioError, match="holds no audio from 40 s"):
        list(read_blocks(path, 40, 50, sample_rate=16000))
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan), 16000, "FLOAT")
    with pytest.raises(AudioError, match="NaN"):
        list(read_blocks(tmp_path / "nan.wav", sample_rate=16000))


@given(
    lengths=st.lists(st.integers(0, 60000), max_size=12),
    max_samples=st.integers(40 * UNIT, 80 * UNIT),
    loud=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(deadline=None, max_examples=50)
def test_segments_hold_every_sample_in_order(lengths: list[int], max_samples: int, loud: list[bool]) -> None:
    blocks = [noise(length / 16000, 0.3 if is_loud else 1e-3) for length, is_loud in zip(lengths, loud)]
    whole = np.concatenate([np.zeros(0, np.float32), *blocks])
    end = 0
    for segment in PauseCutter(max_samples, 10 * UNIT, UNIT)(blocks):
        assert segment.start + segment.shared == end and segment.start % UNIT == 0
        assert 0 < len(segment.samples) <= max_samples
        end = segment.start + len(segment.samples)
        assert np.array_equal(segment.samples, whole[segment.start : end])
    assert end == len(whole)


def test_a_cut_lies_in_the_longest_pause_of_the_second_half() -> None:
    pieces = [noise(3), noise(1, 1e-3), noise(3), noise(0.5, 1e-3), noise(1), noise(0.3, 1e-3), noise(4)]
    first, second = PauseCutter(10 * 16000, 16000, UNIT)(pieces)
    assert 7.0 < len(first.samples) / 16000 < 7.5 and second.shared == 0


def test_where_there_is_no_pause_segments_overlap() -> None:
    first, second = PauseCutter(10 * 16000, 16000, UNIT)([noise(15)])
    assert len(first.samples) == 160000 and second.shared == 16000 and second.start == 144000


@pytest.mark.parametrize(
    ("flags", "expected"), [([], (0, 0)), ([0, 0], (0, 0)), ([1, 1, 0, 1, 1, 0, 1], (3, 2)), ([0, 1], (1, 1))]
)
def test_the_longest_run(flags: list[int], expected: tuple[int, int]) -> None:
    assert longest_run(np.array(flags, dtype=bool)) == expected
