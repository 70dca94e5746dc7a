"""Augmentation belongs to an utterance's occurrence, and does what its words say."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_corpus import noise

from wenet_lite.data.audio import change_speed
from wenet_lite.data.augmentation import AugmentConfig, Augmenter, add_noise, read_audio_list, reverberate
from wenet_lite.errors import DataError


def tone(seconds: float, frequency: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * 16000)) * frequency * 2 * np.pi / 16000)).astype(np.float32)


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@pytest.fixture
def lists(tmp_path: Path) -> AugmentConfig:
    for i in range(3):
        soundfile.write(tmp_path / f"noise{i}.wav", noise(0.4 + 2 * i, i), 16000)
        soundfile.write(tmp_path / f"room{i}.wav", noise(0.2, i) * np.exp(-np.arange(3200) / 400), 16000)
    (tmp_path / "noise.scp").write_text("".join(f"n{i} noise{i}.wav\n" for i in range(3)))
    (tmp_path / "rir_list").write_text("".join(f"--rir-id {i} --room-id 1 room{i}.wav\n" for i in range(3)))
    return AugmentConfig(
        volume_db=(-6.0, 6.0),
        noise_list=str(tmp_path / "noise.scp"),
        noise_probability=0.5,
        rir_list=str(tmp_path / "rir_list"),
        rir_probability=0.5,
    )


def test_an_utterance_sounds_alike_in_every_process_and_anew_in_each_epoch(lists: AugmentConfig) -> None:
    samples = tone(1.0)
    first, second = (Augmenter(lists, 16000, seed=1) for _ in range(2))
    second(samples, "another", 0)  # what was drawn before does not matter
    np.testing.assert_array_equal(first(samples, "utt", 3), second(samples, "utt", 3))
    sounds = {first(samples, "utt", epoch).tobytes() for epoch in range(20)}
    assert len(sounds) == 20
    assert len({first(samples, f"utt{i}", 0).tobytes() for i in range(20)}) == 20
    assert all(len(first(samples, f"utt{i}", 0)) == len(samples) for i in range(20))


def test_what_is_not_asked_for_changes_nothing() -> None:
    samples = tone(0.5)
    assert Augmenter(AugmentConfig(), 16000, seed=0)(samples, "utt", 0) is samples


def test_probabilities_and_gains_are_kept(lists: AugmentConfig, tmp_path: Path) -> None:
    samples = tone(0.5)
    noisy = Augmenter(AugmentConfig(noise_list=lists.noise_list, noise_probability=0.3), 16000, 0)
    changed = sum(noisy(samples, f"u{i}", 0) is not samples for i in range(400))
    assert abs(changed - 0.3 * 400) < 4 * np.sqrt(400 * 0.3 * 0.7)
    louder = Augmenter(AugmentConfig(volume_db=(-6.0, 6.0)), 16000, 0)
    gains = [10 * np.log10(power(louder(samples, f"u{i}", 0)) / power(samples)) for i in range(200)]
    assert -6.001 < min(gains) < -5 and 5 < max(gains) < 6.001


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_is_added_at_its_ratio(snr_db: float) -> None:
    samples = tone(1.0)
    added = add_noise(samples, noise(1.0), snr_db) - samples
    assert 10 * np.log10(power(samples) / power(added)) == pytest.approx(snr_db, abs=0.01)
    assert add_noise(samples, np.zeros(16000, np.float32), snr_db) is samples


def test_a_room_keeps_time_and_loudness() -> None:
    clicks = np.zeros(16000, np.float32)
    clicks[4000] = 1.0
    response = np.zeros(3000, np.float32)
    response[700], response[1500] = 0.5, 0.2  # the direct sound comes late
    wet = reverberate(clicks, response)
    assert np.abs(wet).argmax() == 4000 and abs(wet[4800] / wet[4000] - 0.4) < 1e-5
    assert power(wet) == pytest.approx(power(clicks), rel=1e-6)
    assert not reverberate(np.zeros(100, np.float32), response).any()


def test_speed_moves_length_and_pitch_alike() -> None:
    for factor in (0.9, 1.1):
        faster = change_speed(tone(2.0), 16000, factor)
        assert len(faster) == pytest.approx(32000 / factor, abs=1)
        np.testing.assert_allclose(faster[500:-500], tone(2.5, 440 * factor)[500 : len(faster) - 500], atol=1e-3)


def test_lists_are_kaldis(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text('--noise-id n1 --noise-type point-source --bg-fg-type "foreground" /n/a.wav\n')
    assert read_audio_list(path) == ["/n/a.wav"]
    path.write_text("a /n/with blank.wav\n\nb b.wav\n")
    assert read_audio_list(path) == ["/n/with blank.wav", str(tmp_path / "b.wav")]


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "lists no recording"),
        ("a\n", ":1: has no path"),
        ("--rir-id 1 --room-id 2\n", ":1: has no path"),
        ("ok x.wav\na sox x |\n", ":2: is a command"),
        ('--rir-id "1 x.wav\n', "quotes"),
    ],
)
def test_a_malformed_list_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "list").write_text(content)
    with pytest.raises(DataError, match=message):
        read_audio_list(tmp_path / "list")
