"""The sentences of the smoke corpus: a small grammar of everyday commands.

No two words of it sound alike, so that every error of a recogniser is the recogniser's.
"""

from __future__ import annotations

import random
import re

WORDS: dict[str, tuple[str, ...]] = {
    "NUMBER": (
        *("three", "five", "six", "seven", "nine", "ten", "eleven", "twelve"),
        *("fourteen", "sixteen", "twenty", "thirty", "fifty", "ninety", "a hundred"),
    ),
    "CLOCK": ("noon", "midnight", "seven thirty", "nine fifteen", "eleven forty", "half past five", "quarter past six"),
    "DAY": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday"),
    "NAME": ("anna", "peter", "maria", "oliver", "julia", "martin", "susan", "henry"),
    "PLACE": ("london", "berlin", "madrid", "oslo", "chicago", "vienna", "boston", "sydney"),
    "ROOM": ("kitchen", "bedroom", "garden", "office", "cellar"),
    "DEVICE": ("light", "radio", "heating", "music", "camera"),
    "VEHICLE": ("train", "bus", "flight", "ferry"),
    "THING": ("letter", "box", "ticket", "picture", "book"),
    "UNIT": ("minutes", "seconds", "degrees", "miles"),
}

TEMPLATES: tuple[str, ...] = (
    "turn on the DEVICE in the ROOM at CLOCK",
    "turn off the DEVICE in the ROOM after NUMBER minutes",
    "switch the ROOM DEVICE off on DAY at CLOCK",
    "the VEHICLE from PLACE leaves at CLOCK on DAY",
    "the VEHICLE into PLACE will arrive NUMBER minutes after CLOCK",
    "please call NAME in PLACE on DAY at CLOCK",
    "call NAME and NAME NUMBER minutes after CLOCK",
    "send the THING from NAME and the THING from NAME on DAY",
    "NAME will bring NUMBER THINGs from PLACE on DAY",
    "NAME and NAME arrive in PLACE at CLOCK",
    "is the VEHICLE from PLACE NUMBER minutes late",
    "how far is PLACE from PLACE in miles",
    "PLACE is NUMBER miles from PLACE",
    "set a timer of NUMBER minutes and NUMBER seconds",
    "set the heating in the ROOM at NUMBER degrees",
    "what is NUMBER plus NUMBER",
    "what is NUMBER minus NUMBER plus NUMBER",
    "open the THING from NAME and play the music in the ROOM",
    "please show the camera in the ROOM on DAY at CLOCK",
    "book NUMBER THINGs from PLACE on DAY",
)

_SLOT = re.compile(r"[A-Z]{3,}")


def sentence(random_source: random.Random) -> str:
    """Draw a sentence, upper-cased as LibriSpeech's transcripts are."""
    template = random_source.choice(TEMPLATES)
    words = _SLOT.sub(lambda slot: random_source.choice(WORDS[slot.group()]), template)
    return words.replace("boxs", "boxes").upper()


def vocabulary() -> set[str]:
    """All words that a sentence can hold."""
    fixed = {word for template in TEMPLATES for word in template.split() if not _SLOT.search(word)}
    filled = {word for values in WORDS.values() for value in values for word in value.split()}
    plurals = {"boxes" if thing == "box" else thing + "s" for thing in WORDS["THING"]}
    return {word.upper() for word in fixed | filled | plurals}
