"""What hotwords and a language model add to whole texts, by definition."""

from dataclasses import dataclass

from hypothesis import strategies as st

from wenet_lite.decoding.fusion import Fusion, WordLm
from wenet_lite.decoding.hotwords import Hotword
from wenet_lite.decoding.ngram_estimation import EstimationOptions, estimate_lm
from wenet_lite.text.tokenizer import BLANK, SOS_EOS, WORD_START

PIECES = (BLANK, "\u2581A", "\u2581B", "C")
CHARACTERS = (BLANK, "A", "B", "\u2581")
IDEOGRAPHS = (BLANK, "\u4e00", "\u4e01", "\u4e03")
LM = estimate_lm(["A B", "AC A", "B B AC", "C A", "A", "\u4e00 \u4e01 \u4e00"], EstimationOptions(order=3))


@dataclass(frozen=True)
class FusedTexts:
    """Texts of a vocabulary, with phrases to listen for and a language model.

    Attributes:
        units: by id.
        hotwords: the phrases.
        word_lm: the language model, if there is one.
    """

    units: tuple[str, ...]
    hotwords: tuple[Hotword, ...]
    word_lm: WordLm | None

    @property
    def fusion(self) -> Fusion:
        return Fusion(self.units, self.hotwords, self.word_lm)

    def earned(self, tokens: tuple[int, ...]) -> float:
        """What hotwords and language model add to a whole text."""
        return self._hotword_score(tokens) + (self._lm_score(tokens, self.word_lm) if self.word_lm else 0.0)

    def _begins_word(self, tokens: tuple[int, ...], i: int) -> bool:
        """Whether a word begins at token i of a text, or the text has ended there."""
        marked = any(WORD_START in unit for unit in self.units)
        return i == len(tokens) or not marked or self.units[tokens[i]].startswith(WORD_START)

    def _hotword_score(self, tokens: tuple[int, ...]) -> float:
        """Each whole occurrence of each phrase earns its score."""
        total = 0.0
        if WORD_START in self.units:  # the beginning of a text begins a word
            tokens = (self.units.index(WORD_START), *tokens)
        by_score = sorted(self.hotwords, key=lambda hotword: hotword.score)  # of doubles the last one stays
        for hotword in {hotword.tokens: hotword for hotword in by_score}.values():
            for start in range(len(tokens)):
                end = start + len(hotword.tokens)
                if tokens[start:end] == hotword.tokens and self._begins_word(tokens, end):
                    total += len(hotword.tokens) * hotword.score
        return total

    def _lm_score(self, tokens: tuple[int, ...], word_lm: WordLm) -> float:
        """The language model's score of the words that the tokens spell, and a bonus for each."""
        separator = "" if any(WORD_START in unit for unit in self.units) else " "
        spelt = separator.join(self.units[token] for token in tokens if self.units[token] != BLANK)
        words = spelt.replace(WORD_START, " ").split()
        return word_lm.weight * float(word_lm.lm.score([" ".join(words)])[0]) + word_lm.word_bonus * len(words)


@st.composite
def fused_texts(draw: st.DrawFn, with_end: bool = False) -> FusedTexts:
    """Texts of three units after the blank; with the end symbol, it is unit 2."""
    units = draw(st.sampled_from([PIECES, CHARACTERS, IDEOGRAPHS]))
    words: tuple[int, ...] = (1, 2, 3)
    if with_end:
        units, words = (*units[:2], SOS_EOS, *units[2:]), (1, 3, 4)
    phrases = draw(st.lists(st.lists(st.sampled_from(words), min_size=1, max_size=3), max_size=3))
    marked = [token for token in words if units[token].startswith(WORD_START)]
    if len(marked) == 1:
        phrases = [[*marked, *phrase] for phrase in phrases]
    elif marked:  # a phrase begins a word
        phrases = [[marked[phrase[0] % 2], *phrase[1:]] for phrase in phrases]
    word_lm = WordLm(LM, weight=0.7, word_bonus=draw(st.floats(-1, 2))) if draw(st.booleans()) else None
    hotwords = (Hotword("", tuple(phrase), draw(st.sampled_from([0.5, 1.5, 4.0]))) for phrase in phrases)
    return FusedTexts(units, tuple(hotwords), word_lm)
