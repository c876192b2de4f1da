"""Speech recognition with a CTC network: PCM in, n-best texts with word times out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.artifacts.graphs import TOP_TOKENS
from model_store.artifacts.manifest import Manifest
from model_store.engines.seam import Engine
from model_store.errors import PredictFailed
from model_store.predictors.alignment import peaks
from model_store.predictors.batching import SHORT_CLIP, Run, features_of, runs_of, warm_up_features
from model_store.predictors.features import Fbank
from model_store.predictors.frames import Frames
from model_store.predictors.hypotheses import AsrOptions, Hypothesis, Options, Recognition
from model_store.predictors.predictor import PCM_RATE_HZ, FloatArray, Prediction
from model_store.predictors.rescoring import Rescored, Rescorer
from model_store.predictors.search import Path, greedy, prefix_beam
from model_store.predictors.stages import Stopwatch
from model_store.predictors.tokens import TokenTable
from model_store.predictors.words import FrameTimes, confidence_of, words_of

Array = npt.NDArray[Any]

_SEARCHED = ("top_log_probs", "top_ids", "blank_log_probs", "encoded_frames")
_NOTHING = Recognition(hypotheses=(Hypothesis(text="", score=0.0, confidence=1.0),))


class AsrPredictor:
    """A recogniser that is loaded."""

    def __init__(self, manifest: Manifest, encoder: Engine, decoder: Engine | None, table: TokenTable) -> None:
        """`encoder` and `decoder` run the graphs of the version that `manifest` describes; `table` names its units."""
        self.manifest = manifest
        self._encoder = encoder
        self._rescorer = Rescorer(manifest.decoder, decoder) if manifest.decoder and decoder else None
        self._table = table
        self._fbank = Fbank.of(manifest)
        self._times = FrameTimes.of(manifest.encoder)

    def predict(self, batch: Sequence[FloatArray], options: Sequence[Options]) -> Prediction:
        """See `Predictor.predict`; a clip too short for one encoder frame has an empty text."""
        chosen = [_asr_options(option) for option in options]
        watch = Stopwatch()
        with watch.stage("features"):
            features = features_of(batch, self._fbank)
        found = [_NOTHING] * len(batch)
        for run in self._runs(features):
            with watch.stage("encoder"):
                outputs = self._run(run, self._wanted([chosen[item] for item in run.items]))
            for row, item in enumerate(run.items):
                duration_s = len(batch[item]) / PCM_RATE_HZ
                found[item] = self._recognition(Frames(outputs, row), chosen[item], duration_s, watch)
        return Prediction(outcomes=list(found), stages_s=watch.seconds)

    def log_probs(self, batch: Sequence[FloatArray]) -> list[FloatArray]:
        """All log-probabilities of each clip, (T', V) float32, natural log; for tests and for tools that compare."""
        return self.log_probs_of(features_of(batch, self._fbank))

    def log_probs_of(self, features: Sequence[FloatArray]) -> list[FloatArray]:
        """`log_probs` from features, each (T, n_mels) float32."""
        found = [np.zeros((0, self.manifest.units), np.float32)] * len(features)
        for run in self._runs(features):
            outputs = self._run(run, ("log_probs", "encoded_frames"))
            for row, item in enumerate(run.items):
                found[item] = outputs["log_probs"][row, : outputs["encoded_frames"][row]]
        return found

    def warm_up(self) -> Iterator[None]:
        """See `Predictor.warm_up`."""
        options, longest = AsrOptions(), None
        for features in warm_up_features(self.manifest.encoder.n_mels):
            for run in self._runs(features):
                frames = Frames(self._run(run, self._wanted([options])), 0)
                self._recognition(frames, options, 30.0, Stopwatch())
                longest = frames if longest is None else longest
                yield
        if self._rescorer and longest:
            self._rescorer.warm_up(longest.encoded)
            yield
        self.predict([SHORT_CLIP], [options])
        yield

    def _runs(self, features: Sequence[FloatArray]) -> Iterator[Run]:
        return runs_of(features, self.manifest.encoder.min_frames)

    def _run(self, run: Run, wanted: Sequence[str]) -> dict[str, Array]:
        return self._encoder.run({"feats": run.feats, "lengths": run.lengths}, wanted)

    def _wanted(self, options: Sequence[AsrOptions]) -> list[str]:
        """The outputs that a run needs; the others are large, and stay where they are."""
        wanted = list(_SEARCHED)
        if any(option.beam_size > TOP_TOKENS for option in options):
            wanted.append("log_probs")
        if any(self._rescorer_for(option) for option in options):
            wanted.append("encoded")
        return wanted

    def _rescorer_for(self, options: AsrOptions) -> Rescorer | None:
        return self._rescorer if options.rescoring and options.beam_size > 1 else None

    def _recognition(self, frames: Frames, options: AsrOptions, duration_s: float, watch: Stopwatch) -> Recognition:
        rescorer = self._rescorer_for(options)
        with watch.stage("search"):
            best = frames.best(options.beam_size)
            paths = [greedy(*best)] if options.beam_size == 1 else prefix_beam(*best, options.beam_size)
            if rescorer is None:
                found = [self._heard(path, frames, best, duration_s) for path in paths[: options.n_best]]
                return Recognition(tuple(found))
        with watch.stage("rescoring"):
            judged = rescorer(frames.encoded, paths, options)[: options.n_best]
            return Recognition(tuple(self._judged(one, frames, best, duration_s) for one in judged))

    def _heard(self, path: Path, frames: Frames, best: tuple[Array, Array], duration_s: float) -> Hypothesis:
        """The hypothesis of a text that the CTC search found."""
        at, log_probs = peaks(np.array(path.tokens, np.int32), *best, frames.blank)
        # A text is as sure as its tokens; silence is as sure as the blanks that it is made of.
        evidence = log_probs.tolist() if path.tokens else frames.blank.tolist()
        return self._hypothesis(path, at, log_probs.tolist(), confidence_of(evidence), duration_s)

    def _judged(self, one: Rescored, frames: Frames, best: tuple[Array, Array], duration_s: float) -> Hypothesis:
        """The hypothesis of a text that was rescored; where its tokens are, CTC knows alone."""
        at, _ = peaks(np.array(one.path.tokens, np.int32), *best, frames.blank)
        confidence = confidence_of([one.confidence_log_prob])
        return self._hypothesis(one.path, at, one.token_log_probs, confidence, duration_s)

    def _hypothesis(
        self, path: Path, frames: Array, log_probs: Sequence[float], confidence: float, duration_s: float
    ) -> Hypothesis:
        spans = self._times.spans(frames.tolist(), duration_s)
        words = words_of(path.tokens, spans, log_probs, self._table)
        return Hypothesis(self._table.text(path.tokens), path.score, confidence, words)


def _asr_options(options: Options) -> AsrOptions:
    if not isinstance(options, AsrOptions):
        raise PredictFailed("A recogniser was asked to classify.")
    return options
