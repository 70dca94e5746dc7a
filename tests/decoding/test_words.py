"""Words of tokens: grouped as the tokenizer joins them, timed in order and within the audio."""

from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.decoding.alignment import TokenSpan
from wenet_lite.decoding.words import WordSpan, WordTiming, join_words, timed_words, word_spans
from wenet_lite.text.ideographs import split_words

UNITS = ["<blank>", "<unk>", "<sos/eos>", "▁THE", "▁CA", "T", "S", "▁", "A", "今", "天", "▁今", "カ", "▁한국"]
ID = {unit: i for i, unit in enumerate(UNITS)}


def spans_of(*pieces: str) -> list[TokenSpan]:
    return [TokenSpan(ID[piece], 3 * i, 3 * i + 2, (-0.1, -0.2)) for i, piece in enumerate(pieces)]


def texts(*pieces: str) -> list[str]:
    return [word.text for word in word_spans(spans_of(*pieces), UNITS)]


def test_sentencepiece_characters_and_ideographs_become_words() -> None:
    assert texts("▁THE", "▁CA", "T", "S") == ["THE", "CATS"]
    assert texts("T", "A", "▁", "A", "T", "▁") == ["TA", "AT"]
    assert texts("▁", "▁", "<unk>", "S") == ["<unk>S"]
    assert texts("▁今", "天", "T", "A", "カ", "▁한국") == ["今", "天", "TA", "カ", "한국"]
    assert texts() == []


def test_a_lone_word_start_is_no_part_of_a_word() -> None:
    tokens = spans_of("▁", "A", "▁", "T", "S")
    assert [word.tokens for word in word_spans(tokens, UNITS)] == [(tokens[1],), (tokens[3], tokens[4])]


def test_silent_units_are_no_part_of_a_word() -> None:
    assert texts("▁THE", "<blank>", "<sos/eos>", "S") == ["THES"]


def test_ideographs_are_joined_without_blanks_and_split_again() -> None:
    words = ["今", "天", "TA", "カ", "한국", "한국"]
    assert join_words(words) == "今天 TA カ 한국 한국"
    assert split_words(join_words(words)) == split_words("今天TAカ한국 한국") == words


def test_a_word_starts_before_its_peak_and_ends_at_the_next_or_after_its_tail() -> None:
    words = [WordSpan(text, (TokenSpan(5, start, end, (0.0,)),)) for text, start, end in (("A", 5, 6), ("B", 7, 8))]
    first, second = timed_words(words, [0.5, 0.25], 40, 1.0, WordTiming(lag_ms=100, max_tail_frames=2))
    assert (first.text, first.start_s, first.end_s, first.confidence) == ("A", 0.1, 0.18, 0.5)
    assert (second.start_s, second.end_s, second.confidence) == (0.18, 0.3, 0.25)


@given(runs=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=20), lag=st.integers(0, 300))
def test_times_are_in_order_and_within_the_audio(runs: list[tuple[int, int]], lag: int) -> None:
    words, frame = [], 0
    for pause, length in runs:
        words.append(WordSpan("A", (TokenSpan(8, frame + pause, frame + pause + length, (0.0,) * length),)))
        frame += pause + length
    duration = frame * 0.04 + 0.0451
    timed = timed_words(words, [1.0] * len(words), 40, duration, WordTiming(lag, 4))
    edges = [0.0] + [edge for word in timed for edge in (word.start_s, word.end_s)] + [duration]
    assert edges == sorted(edges)
    assert all(word.end_s > word.start_s for word in timed)
