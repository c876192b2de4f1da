"""Speech recognition with a CTC network: PCM in, n-best texts with word times out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.artifacts.manifest import Manifest
from model_store.engines.paddle import PaddleEngine
from model_store.errors import PredictFailed
from model_store.predictors.alignment import peaks
from model_store.predictors.batching import features_of, runs_of, warm_up_features
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import AsrOptions, Hypothesis, Options, Recognition
from model_store.predictors.predictor import FloatArray, Prediction
from model_store.predictors.search import Path, greedy, prefix_beam
from model_store.predictors.stages import Stopwatch
from model_store.predictors.tokens import TokenTable
from model_store.predictors.words import confidence_of, words_of

_BLANK = 0
_SEARCHED = ("top_log_probs", "top_ids", "blank_log_probs", "encoded_frames")
_NOTHING = Recognition(hypotheses=(Hypothesis(text="", score=0.0, confidence=1.0),))


class AsrPredictor:
    """A recogniser that is loaded."""

    def __init__(self, manifest: Manifest, engine: PaddleEngine, table: TokenTable) -> None:
        """`engine` runs the exported graph of the version that `manifest` describes; `table` names its units."""
        self.manifest = manifest
        self._engine = engine
        self._table = table
        self._fbank = Fbank(manifest.sample_rate_hz, manifest.encoder.n_mels)

    def predict(self, batch: Sequence[FloatArray], options: Sequence[Options]) -> Prediction:
        """See `Predictor.predict`; a clip too short for one encoder frame has an empty text."""
        chosen = [_asr_options(option) for option in options]
        watch = Stopwatch()
        with watch.stage("features"):
            features = features_of(batch, self._fbank)
        found = [_NOTHING] * len(batch)
        for run in runs_of(features):
            with watch.stage("encoder"):
                outputs = self._engine.run({"feats": run.feats, "lengths": run.lengths}, _SEARCHED)
            with watch.stage("search"):
                for row, item in enumerate(run.items):
                    duration_s = len(batch[item]) / self.manifest.sample_rate_hz
                    found[item] = self._search(_Frames(outputs, row), chosen[item], duration_s)
        return Prediction(outcomes=list(found), stages_s=watch.seconds)

    def log_probs(self, batch: Sequence[FloatArray]) -> list[FloatArray]:
        """All log-probabilities of each clip, (T', V) float32, natural log; for tests and for tools that compare."""
        return self.log_probs_of(features_of(batch, self._fbank))

    def log_probs_of(self, features: Sequence[FloatArray]) -> list[FloatArray]:
        """`log_probs` from features, each (T, n_mels) float32."""
        found = [np.zeros((0, self.manifest.units), np.float32)] * len(features)
        for run in runs_of(features):
            outputs = self._engine.run({"feats": run.feats, "lengths": run.lengths}, ("log_probs", "encoded_frames"))
            for row, item in enumerate(run.items):
                found[item] = outputs["log_probs"][row, : outputs["encoded_frames"][row]]
        return found

    def warm_up(self) -> None:
        """See `Predictor.warm_up`."""
        for features in warm_up_features(self.manifest.encoder.n_mels):
            for run in runs_of(features):
                outputs = self._engine.run({"feats": run.feats, "lengths": run.lengths}, _SEARCHED)
                self._search(_Frames(outputs, 0), AsrOptions(), 30.0)

    def _search(self, frames: "_Frames", options: AsrOptions, duration_s: float) -> Recognition:
        if options.beam_size == 1:
            paths = [greedy(frames.log_probs, frames.ids)]
        else:
            paths = prefix_beam(*frames.with_blank(), options.beam_size)
        return Recognition(tuple(self._hypothesis(path, frames, duration_s) for path in paths[: options.n_best]))

    def _hypothesis(self, path: Path, frames: "_Frames", duration_s: float) -> Hypothesis:
        at, log_probs = peaks(np.array(path.tokens, np.int32), frames.log_probs, frames.ids, frames.blank)
        # A text is as sure as its tokens; silence is as sure as the blanks that it is made of.
        evidence = log_probs.tolist() if path.tokens else frames.blank.tolist()
        return Hypothesis(
            text=self._table.text(path.tokens),
            score=path.score,
            confidence=confidence_of(evidence),
            words=words_of(path.tokens, at.tolist(), log_probs.tolist(), self._table, duration_s),
        )


class _Frames:
    """What the graph said of one clip: K best log-probabilities and units, (T', K), and the blank's, (T',)."""

    def __init__(self, outputs: Mapping[str, npt.NDArray[Any]], row: int) -> None:
        n_frames = int(outputs["encoded_frames"][row])
        self.log_probs = outputs["top_log_probs"][row, :n_frames]
        self.ids = outputs["top_ids"][row, :n_frames]
        self.blank = outputs["blank_log_probs"][row, :n_frames]
        if not np.isfinite(self.log_probs).all():
            raise PredictFailed("The network's answer is not finite. Load the version in fp32, or import it again.")

    def with_blank(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The K best of each frame, where the blank takes the place of the K-th when it is not among them.

        Without it a prefix could not outlive the frame unchanged.
        """
        lacks_blank = ~(self.ids == _BLANK).any(axis=1)
        if not lacks_blank.any():
            return self.log_probs, self.ids
        log_probs, ids = self.log_probs.copy(), self.ids.copy()
        log_probs[lacks_blank, -1], ids[lacks_blank, -1] = self.blank[lacks_blank], _BLANK
        return log_probs, ids


def _asr_options(options: Options) -> AsrOptions:
    if not isinstance(options, AsrOptions):
        raise PredictFailed("A recogniser was asked to classify.")
    return options
