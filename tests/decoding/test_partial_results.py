"""Words that a stream shows: since when they have stood, and how many were taken back."""

from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.decoding.partial_results import ShownResult, Steadiness, steadiness

texts = st.lists(st.lists(st.sampled_from("AB"), max_size=5), min_size=1, max_size=4)


def follow(*lines: str) -> Steadiness:
    """Of results that are shown at 100 ms, 200 ms, ..."""
    return steadiness([ShownResult(100.0 * i, tuple(line.split())) for i, line in enumerate(lines, 1)])


def test_a_word_counts_from_when_it_is_shown_for_good() -> None:
    assert follow("", "THE", "THE CAT", "THE HAT", "THE CAT SAT") == Steadiness((200.0, 500.0, 500.0), 2)
    assert follow("A B", "", "A B") == Steadiness((300.0, 300.0), 2)
    assert follow("A B") == Steadiness((100.0, 100.0), 0)
    assert follow() == Steadiness((), 0)


def test_words_that_come_or_go_before_a_word_do_not_replace_it() -> None:
    assert follow("CAT SAT", "THE CAT SAT", "CAT SAT DOWN") == Steadiness((100.0, 100.0, 300.0), 1)
    assert follow("A WHILE AGO", "AWHILE AGO") == Steadiness((200.0, 100.0), 2)


def test_a_last_word_that_grows_is_not_taken_back_and_is_shown_when_complete() -> None:
    assert follow("THE C", "THE CAT", "THE CATS SAT") == Steadiness((100.0, 300.0, 300.0), 0)
    assert follow("THE C SAT", "THE CAT SAT").taken_back == 1  # it was not the last
    assert follow("C", "THE CAT").taken_back == 1


def longest_common(before: list[str], after: list[str]) -> int:
    if not before or not after:
        return 0
    if before[0] == after[0]:
        return 1 + longest_common(before[1:], after[1:])
    return max(longest_common(before[1:], after), longest_common(before, after[1:]))


@given(texts)
def test_as_many_words_stay_as_two_results_have_in_common(lines: list[list[str]]) -> None:
    found = follow(*(" ".join(line) for line in lines))
    taken_back = sum(len(before) - longest_common(before, after) for before, after in zip(lines, lines[1:]))
    assert found.taken_back == taken_back  # words of one letter do not grow
    assert len(found.shown_ms) == len(lines[-1])
    new = len(lines[-1]) - (longest_common(lines[-2], lines[-1]) if len(lines) > 1 else 0)
    assert found.shown_ms.count(100.0 * len(lines)) == new
