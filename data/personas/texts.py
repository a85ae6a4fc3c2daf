"""Texts that personas speak: sentences composed of phrases, to fill a clip of given length."""

from __future__ import annotations

import numpy as np

_OPENINGS = (
    "yesterday evening",
    "as far as we know",
    "on the way to the station",
    "a few years ago",
    "after the storm",
    "every other Sunday",
    "to our surprise",
    "before breakfast",
    "in the old part of town",
    "when nobody was looking",
    "late in September",
    "at the end of the road",
)

_SUBJECTS = (
    "the woman with the red umbrella",
    "a friend of my brother",
    "our new piano teacher",
    "the man from the bakery",
    "one of the two pilots",
    "the youngest of the sailors",
    "a doctor from the islands",
    "everybody at the market",
    "the owner of the grey horse",
    "my cousin Laura",
    "an engineer I used to know",
    "the choir of the village school",
    "the boy who lives upstairs",
    "a very patient waiter",
    "the last of the visitors",
    "some people in the front row",
)

_ACTIONS = (
    "opened the door for",
    "wanted to know more about",
    "was quietly thinking of",
    "left a short message for",
    "drew a picture of",
    "would gladly pay for",
    "had never heard of",
    "kept on asking about",
    "took good care of",
    "made a long journey for",
    "told us a story about",
    "finally found",
)

_OBJECTS = (
    "a bridge of stone and iron",
    "the oldest tree in the park",
    "three baskets of green apples",
    "the lighthouse on the cliff",
    "a pair of leather boots",
    "the cat behind the curtain",
    "a loaf of bread and some honey",
    "the little boat in the harbour",
    "an empty chair by the fire",
    "the first snow of the winter",
    "a map of the northern coast",
    "the music from across the street",
    "a cup of black coffee",
    "the long queue at the counter",
    "two tickets to the opera",
    "a house with a yellow roof",
)

_CLOSINGS = (
    "and smiled at the idea",
    "without any hurry",
    "though it was already dark",
    "just as the bell rang",
    "because the train was late",
    "and that was the end of it",
    "while the others went home",
    "for no reason at all",
    "until the lamps were lit",
    "as we all do now and then",
    "before anyone could answer",
    "in spite of the heavy rain",
)


def compose_text(rng: np.random.Generator, num_words: int) -> str:
    """Compose one or more sentences at random.

    Args:
        rng: Random numbers that choose the phrases.
        num_words: Least number of words.
    """
    sentences: list[str] = []
    missing = num_words
    while missing > 0:
        sentence = f"{_pick(rng, _SUBJECTS)} {_pick(rng, _ACTIONS)} {_pick(rng, _OBJECTS)}"
        opening, closing = _pick(rng, _OPENINGS), _pick(rng, _CLOSINGS)
        if rng.random() < 0.5:
            sentence = f"{opening} {sentence}"
        if missing > len(sentence.split()):
            sentence = f"{sentence} {closing}"
        missing -= len(sentence.split())
        sentences.append(sentence[0].upper() + sentence[1:] + ".")
    return " ".join(sentences)


def _pick(rng: np.random.Generator, phrases: tuple[str, ...]) -> str:
    return phrases[rng.integers(len(phrases))]
