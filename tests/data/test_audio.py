"""Audio is read whole or refused in one line that names the file."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wenet_lite.data.audio import audio_info, change_speed, read_audio, resample
from wenet_lite.errors import AudioError


def tone(seconds: float = 0.5, rate: int = 16000) -> np.ndarray:
    return (0.3 * np.sin(np.arange(int(seconds * rate)) * 0.1)).astype(np.float32)


@pytest.mark.parametrize(
    "suffix, subtype", [("flac", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "PCM_U8")]
)
def test_formats_give_the_same_samples(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(), 16000, subtype=subtype)
    samples, rate = read_audio(path)
    assert rate == 16000 and samples.dtype == np.float32
    np.testing.assert_allclose(samples, tone(), atol=1e-2 if subtype == "PCM_U8" else 1e-4)
    assert audio_info(path).num_samples == len(samples)


def test_the_first_channel_and_a_span(tmp_path: Path) -> None:
    path = tmp_path / "stereo.flac"
    stereo = np.stack([tone(), -tone()], axis=1)
    soundfile.write(path, stereo, 16000)
    samples, _ = read_audio(path, 0.1, 0.2)
    np.testing.assert_allclose(samples, tone()[1600:3200], atol=1e-4)


def test_speed_changes_length_and_pitch() -> None:
    assert len(change_speed(tone(), 16000, 1.1)) == pytest.approx(8000 / 1.1, abs=2)
    assert len(resample(tone(rate=8000), 8000, 16000)) == 8000
    spectrum = np.abs(np.fft.rfft(change_speed(tone(1.0), 16000, 0.8)))
    assert spectrum.argmax() / len(spectrum) == pytest.approx(0.8 * 0.1 / np.pi, rel=0.01)


def damaged(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.flac"
    if kind == "missing":
        return path
    soundfile.write(path, tone(2.0) + 0.01 * np.random.default_rng(0).standard_normal(32000), 16000)
    if kind == "zero bytes":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("this is not audio\n")
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), 16000)
    elif kind == "NaN":
        path = path.with_suffix(".wav")
        soundfile.write(path, np.full(100, np.nan), 16000, subtype="FLOAT")
    elif kind == "beyond any scale":
        path = path.with_suffix(".wav")
        soundfile.write(path, np.full(100, 1e14), 16000, subtype="FLOAT")
    elif kind == "raw samples":
        path = path.rename(path.with_suffix(".raw"))
    return path


@pytest.mark.parametrize(
    "kind",
    ["missing", "zero bytes", "truncated", "text", "no samples", "NaN", "beyond any scale", "raw samples"],
)
def test_damage_is_named_with_the_file(tmp_path: Path, kind: str) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
