"""Stop words of the text's own language, listed or not."""

import numpy as np
import pytest

from calibration.clustering.lexical import LexicalEmbedder
from calibration.clustering.names import cluster_names
from calibration.clustering.stop_words import language_of, stop_words_of
from calibration.passage import Passage

ICH = "ich habe mir gedacht dass mich meine Freunde nicht mehr kennen und ich sie auch nicht"
DU = "du hast dir gedacht dass dich deine Freunde nicht mehr kennen und du sie auch nicht"
TOPICS = ("Steuer Haushalt Einnahmen Abgaben", "Walfisch Koralle Plankton Delfin")


def german():
    """Texts of two topics in two voices, crosswise; the topic of each."""
    rng = np.random.default_rng(0)
    texts, topics = [], []
    for i in range(80):
        topic = i % 2
        own = rng.choice(TOPICS[topic].split(), 6).tolist()
        texts.append(" ".join([*(ICH, DU)[(i // 2) % 2].split(), *own, f"wort{i}"]))
        topics.append(topic)
    return texts, np.array(topics)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ICH, "de"),
        ("it is what they have been told and we were not there when it was said to all of them", "en"),
        ("je ne sais pas ce que vous avez fait de tout ce qui était dans la maison de mon père", "fr"),
        ("def f(x): return tuple(map(g, zip(x, x)))", None),
        ("þau áttu þrjár dætur sem hétu Ása Signý Helga karlinn fór út sækja eldivið skóginn kom heim kvöldið", None),
        ("", None),
    ],
)
def test_the_language_is_told_by_its_stop_words(text, language):
    assert language_of([text] * 3) == language


def test_german_clusters_are_named_by_topic_not_by_voice():
    texts, _ = german()
    names = cluster_names(texts, np.array([(i // 2) % 2 for i in range(80)]))  # clusters of voices
    assert not {"ich", "mich", "mir", "meine", "dich", "dir", "deine"} & {t for name in names for t in name.split(", ")}


def test_lexical_vectors_follow_the_topic_not_the_voice():
    texts, topics = german()
    vectors = LexicalEmbedder("", 0).embed([Passage.of("d", str(i), text) for i, text in enumerate(texts)])
    alike = vectors @ vectors.T
    same_topic = topics[:, None] == topics[None]
    assert alike[same_topic].mean() > alike[~same_topic].mean() + 0.25
    voices = np.array([(i // 2) % 2 for i in range(80)])
    same_voice = voices[:, None] == voices[None]
    assert alike[same_voice].mean() < alike[~same_voice].mean() + 0.1


def test_without_a_list_what_many_texts_hold_is_a_stop_word():
    texts = [f"qzu zqn {'mqo' if i % 2 == 0 else 'tqi'} x{i}" + (f" topic{i % 8}" * 2) for i in range(80)]
    assert stop_words_of(texts) == {"qzu", "zqn", "mqo", "tqi"}
    assert stop_words_of(texts[:19]) == frozenset()
