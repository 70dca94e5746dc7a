"""The tree of an n-best holds each prefix once."""

from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.decoding.prefix_tree import build_prefix_tree


@given(st.lists(st.lists(st.integers(3, 4), max_size=5).map(tuple), max_size=6))
def test_nodes_are_the_distinct_prefixes(hypotheses: list[tuple[int, ...]]) -> None:
    tree = build_prefix_tree(hypotheses, start=2)
    prefixes: list[tuple[int, ...]] = [()]
    for token, parent in zip(tree.tokens[1:].tolist(), tree.parents[1:].tolist()):
        prefixes.append((*prefixes[parent], token))
    assert len(set(prefixes)) == len(prefixes)
    assert set(prefixes) == {()} | {hyp[:length] for hyp in hypotheses for length in range(len(hyp) + 1)}
    assert tree.tokens[0] == 2
    assert tree.depths.tolist() == [len(prefix) for prefix in prefixes]
    assert [prefixes[end] for end in tree.ends.tolist()] == hypotheses
    assert tree.path.tolist() == [[row[: len(column)] == column for column in prefixes] for row in prefixes]
