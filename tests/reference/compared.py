"""One network, imported by us and asked of PaddleSpeech, and how the two are held against each other."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_store.artifacts.store import ArtifactStore
from model_store.predictors.asr import AsrPredictor
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import AsrOptions, Recognition
from model_store.predictors.load import load
from tests.reference.asked import Answers, ask_paddlespeech
from tests.reference.clips import clips_of
from tests.reference.networks import BEAM_SIZE, NETWORKS

FEATURES_WITHIN, LOG_PROBS_WITHIN = 1e-3, 1e-4
# How to ask us for what PaddleSpeech calls by other names. Its executor never passes on how much the decoder from right
# to left counts, so that it counts nothing; the model beneath is told.
OPTIONS = {
    "searched": AsrOptions(beam_size=BEAM_SIZE, rescoring=False),
    "rescored": AsrOptions(beam_size=BEAM_SIZE, reverse_weight=0.0),
    "rescored_by_model": AsrOptions(beam_size=BEAM_SIZE),
}


@dataclass(frozen=True)
class Compared:
    """The clips, PaddleSpeech's answers to them, and our predictor of the same archive."""

    clips: list[NDArray[np.float32]]
    answers: Answers
    predictor: AsrPredictor

    def features_agree(self) -> None:
        """On every frame."""
        filter_bank = Fbank.of(self.predictor.manifest)
        for clip, expected in zip(self.clips, self.answers.features, strict=True):
            np.testing.assert_allclose(filter_bank(clip), expected, rtol=0, atol=FEATURES_WITHIN)

    def log_probs_agree(self, *, together: int) -> None:
        """On every frame, in batches of so many clips."""
        for first in range(0, len(self.clips), together):
            batch = slice(first, first + together)
            found = self.predictor.log_probs(self.clips[batch])
            for ours, expected in zip(found, self.answers.log_probs[batch], strict=True):
                np.testing.assert_allclose(ours, expected, rtol=0, atol=LOG_PROBS_WITHIN)

    def texts_agree(self, method: str) -> None:
        """Of all clips in one batch, by a method of `OPTIONS`."""
        expected = [texts[method] for texts in self.answers.texts]
        outcomes = self.predictor.predict(self.clips, [OPTIONS[method]] * len(self.clips)).outcomes
        found = [outcome.hypotheses[0].text for outcome in outcomes if isinstance(outcome, Recognition)]
        # Random networks say spaces anywhere; of several in a row, or at an end, we keep none.
        assert found == [" ".join(text.split()) for text in expected]


@contextmanager
def compare(network: str, lengths_s: Sequence[float], folder: Path) -> Iterator[Compared]:
    """Ask PaddleSpeech about clips of these lengths, and import what it was asked of; leaves nothing in `folder`."""
    from model_store.importers.paddlespeech import import_paddlespeech
    from model_store.importers.request import ImportRequest

    try:
        clips = clips_of(lengths_s)
        answers = ask_paddlespeech(network, clips, folder / "paddlespeech")
        # Were it otherwise, agreeing about the texts would be no feat.
        assert any(texts["rescored"] not in ("", texts["searched"]) for texts in answers.texts)
        store = ArtifactStore(folder / "store")
        language = NETWORKS[network].language
        request = ImportRequest(source=str(answers.archive), name=network, language=language)
        version = import_paddlespeech(request, store).version
        shutil.rmtree(answers.archive)
        predictor = load(store.version_dir(version), store.graph_dir(version), precision="fp32", threads=2)
        assert isinstance(predictor, AsrPredictor)
        yield Compared([(clip / 32768).astype(np.float32) for clip in clips], answers, predictor)
    finally:
        shutil.rmtree(folder)
