"""One recognition, top to bottom: plan, decode, hear the language, recognise segment by segment, put together."""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, BinaryIO

import numpy as np
from msgspec import Meta, Struct

from gateway.audio import SAMPLE_RATE_HZ, AudioSettings, Recording, Segment, open_recording
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.jobs import Done, Urgency
from gateway.routing.router import Router, Undecided
from gateway.transcript import Ask, Decision, ServedModel, SpokenSegment, Transcript, joined
from model_store.errors import DeadlineExceeded, NoSpeech
from model_store.predictors.hypotheses import AsrOptions, Identification, LidOptions, Recognition, Word
from model_store.runtime.seam import Pcm


class PipelineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one recording is worked through."""

    beam_size: Annotated[int, Meta(ge=1, le=64, description="Hypotheses that the search keeps; 1 is greedy.")] = 10
    rescoring: Annotated[
        bool, Meta(description="Whether attention decoders, where models have one, rescore what the search keeps.")
    ] = True
    segments_in_flight: Annotated[
        int, Meta(ge=1, description="Segments of one recording that may wait or compute at the same time.")
    ] = 16
    interactive_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds of speech up to which a recording is interactive: its segments go before those of "
            "longer ones, which are bulk. A request may say that it is bulk.",
        ),
    ] = 30.0


@dataclass
class _Run:
    """What one request has gathered so far."""

    ask: Ask
    began_s: float = field(default_factory=time.monotonic)
    duration_s: float = 0.0
    decisions: dict[int, Decision] = field(default_factory=dict)
    spoken: list[SpokenSegment] = field(default_factory=list)
    stages_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    is_cold: bool = False
    devices: set[str] = field(default_factory=set)
    is_degraded: bool = False
    urgency: Urgency = Urgency.INTERACTIVE
    is_begun: bool = False

    @property
    def deadline_s(self) -> float | None:
        """On CLOCK_MONOTONIC, which is the event loop's clock too."""
        return None if self.ask.timeout_s is None else self.began_s + self.ask.timeout_s

    def note(self, done: Done) -> None:
        """Take in the stages of one segment: what was computed adds up, of the waits the longest counts."""
        self.is_begun = True
        self.note_lease(done)
        for stage, seconds in done.computed_s.items():
            self.stages_s[stage] += seconds
        for stage, seconds in done.waited_s.items():
            self.stages_s[stage] = max(self.stages_s[stage], seconds)

    def note_lease(self, done: Done) -> None:
        """Take in where it was computed: one part that was degraded makes the answer so."""
        self.is_cold |= done.is_cold
        self.devices.add(done.device)
        self.is_degraded |= done.is_degraded

    def transcript(self) -> Transcript:
        """The answer as it stands."""
        stages = self.stages_s | {"total": time.monotonic() - self.began_s}
        return Transcript(
            text=joined(segment.text for segment in self.spoken),
            duration_s=self.duration_s,
            segments=tuple(self.spoken),
            decisions=tuple(decision for _, decision in sorted(self.decisions.items())),
            stages_ms={stage: round(seconds * 1000, 2) for stage, seconds in stages.items()},
            is_cold=self.is_cold,
            devices=tuple(sorted(self.devices)),
            is_degraded=self.is_degraded,
        )


class Pipeline:
    """From the bytes of a recording to its transcript."""

    def __init__(
        self, dispatcher: Dispatcher, router: Callable[[], Router], audio: AudioSettings, settings: PipelineSettings
    ) -> None:
        self._dispatcher = dispatcher
        self._router = router
        self._audio = audio
        self._settings = settings

    def models(self) -> list[ServedModel]:
        """The models that callers may ask for."""
        return [
            ServedModel(
                name=model.name,
                kind=model.kind,
                language=model.language,
                domain=model.domain,
                version=model.stable,
                created_at=model.created_at,
            )
            for model in self._router().models
            if model.stable is not None
        ]

    async def transcribe(self, source: BinaryIO, ask: Ask) -> Transcript:
        """The whole transcript; raises what `stream` raises."""
        async with contextlib.aclosing(self.stream(source, ask)) as parts:
            async for part in parts:
                if isinstance(part, Transcript):
                    return part
        raise AssertionError("a stream ends with its transcript")

    async def stream(self, source: BinaryIO, ask: Ask) -> AsyncGenerator[SpokenSegment | Transcript]:
        """The segments as they are finished, in order, then the transcript.

        Raises the leaves of RequestError, CapacityError and InternalError, and DeadlineExceeded with the transcript so
        far. What the caller said is checked before the audio is decoded, and the audio before a model is loaded.
        """
        run = _Run(ask)
        try:
            router = self._router()
            plan = router.plan(ask)
            run.urgency = Urgency.BULK if ask.urgency == "bulk" else Urgency.INTERACTIVE
            # Before anything is done in vain.
            self._dispatcher.check(plan.version if isinstance(plan, Decision) else plan.classifier, urgency=run.urgency)
            async with _in_time(run):
                with _timed(run, "decode"):
                    recording = await open_recording(source, self._audio, channels=ask.channels)
            with recording:
                run.duration_s = recording.duration_s
                if sum(segment.seconds for segment in recording.segments) > self._settings.interactive_s:
                    run.urgency = Urgency.BULK
                async with _in_time(run):
                    await self._decide(router, plan, recording, run)
                self._check_time(recording, run)
                async with contextlib.aclosing(self._recognise(recording, run)) as spoken:
                    async for segment in spoken:
                        run.spoken.append(segment)
                        yield segment
        except TimeoutError as exc:
            message = f"The time for this request ({ask.timeout_s:g} s) is up."
            raise DeadlineExceeded(message, partial=run.transcript()) from exc
        except DeadlineExceeded as exc:
            raise DeadlineExceeded(exc.message, partial=run.transcript()) from exc
        yield run.transcript()

    def _check_time(self, recording: Recording, run: _Run) -> None:
        """Raise DeadlineExceeded where not all can be done in time, unless a part of it will do."""
        if run.deadline_s is None or run.ask.partial:
            return
        for channel, decision in run.decisions.items():
            seconds = sum(segment.seconds for segment in recording.segments if segment.channel == channel)
            self._dispatcher.check_time(decision.version, seconds, run.deadline_s, urgency=run.urgency)

    async def _decide(self, router: Router, plan: Decision | Undecided, recording: Recording, run: _Run) -> None:
        """A decision per channel; raises NoSpeech when none of them speaks."""
        silent: NoSpeech | None = None
        for channel in sorted({segment.channel for segment in recording.segments}):
            try:
                run.decisions[channel] = await self._decision(router, plan, recording, channel, run)
            except NoSpeech as exc:
                silent = exc
        if not run.decisions and silent is not None:
            raise NoSpeech(
                silent.message,
                duration_s=recording.duration_s,
                is_cold=run.is_cold,
                devices=sorted(run.devices),
                is_degraded=run.is_degraded,
            ) from silent

    async def _decision(
        self, router: Router, plan: Decision | Undecided, recording: Recording, channel: int, run: _Run
    ) -> Decision:
        if isinstance(plan, Decision):
            return plan
        evidence = await _read(recording, lambda: _evidence(recording, channel, router.settings.evidence_s))
        with _timed(run, "language"):
            done = await self._dispatcher.submit(
                plan.classifier, evidence, LidOptions(), deadline_s=run.deadline_s, urgency=run.urgency
            )
        run.note_lease(done)
        assert isinstance(done.outcome, Identification)  # noqa: S101  (what a classifier answers)
        return router.settle(plan, done.outcome.posteriors)

    async def _recognise(self, recording: Recording, run: _Run) -> AsyncGenerator[SpokenSegment]:
        """The segments in order, some ahead of the one that is waited for."""
        decided = [segment for segment in recording.segments if segment.channel in run.decisions]
        if len(decided) == 1:  # as with most: nothing to have ahead, and no task for it
            async with _in_time(run):
                only = await self._segment(recording, decided[0], run)
            yield only
            return
        ahead: deque[asyncio.Task[SpokenSegment]] = deque()
        try:
            for segment in decided:
                ahead.append(asyncio.create_task(self._segment(recording, segment, run)))
                if len(ahead) >= self._settings.segments_in_flight:
                    yield await self._next(ahead, run)
            while ahead:
                yield await self._next(ahead, run)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    @staticmethod
    async def _next(ahead: "deque[asyncio.Task[SpokenSegment]]", run: _Run) -> SpokenSegment:
        async with _in_time(run):
            segment = await asyncio.shield(ahead[0])
        ahead.popleft()
        return segment

    async def _segment(self, recording: Recording, segment: Segment, run: _Run) -> SpokenSegment:
        decision = run.decisions[segment.channel]
        pcm = await _read(recording, lambda: recording.read(segment))
        options = AsrOptions(beam_size=self._settings.beam_size, rescoring=self._settings.rescoring)
        done = await self._dispatcher.submit(
            decision.version,
            pcm,
            options,
            deadline_s=run.deadline_s,
            urgency=run.urgency,
            is_begun=run.is_begun,
        )
        run.note(done)
        assert isinstance(done.outcome, Recognition)  # noqa: S101  (what a recogniser answers)
        return _spoken(segment, decision, done.outcome)


def _spoken(segment: Segment, decision: Decision, outcome: Recognition) -> SpokenSegment:
    best = outcome.hypotheses[0]
    words = (Word(w.text, segment.start_s + w.start_s, segment.start_s + w.end_s, w.confidence) for w in best.words)
    return SpokenSegment(
        index=segment.index,
        channel=segment.channel,
        start_s=segment.start_s,
        end_s=segment.end_s,
        text=best.text,
        confidence=best.confidence,
        words=tuple(words),
        decision=decision,
    )


async def _read(recording: Recording, read: Callable[[], Pcm]) -> Pcm:
    """What `read` reads of a recording; where that waits for a disk, in a thread."""
    return read() if recording.is_in_memory else await asyncio.to_thread(read)


def _evidence(recording: Recording, channel: int, wanted_s: float) -> Pcm:
    """The first `wanted_s` of a channel's speech, the pauses between its segments left out."""
    parts: list[Pcm] = []
    missing = int(wanted_s * SAMPLE_RATE_HZ)
    for segment in recording.segments:
        if segment.channel == channel and missing > 0:
            parts.append(recording.read(segment)[:missing])
            missing -= len(parts[-1])
    return np.concatenate(parts)


def _in_time(run: _Run) -> contextlib.AbstractAsyncContextManager[object]:
    return contextlib.nullcontext() if run.deadline_s is None else asyncio.timeout_at(run.deadline_s)


@contextlib.contextmanager
def _timed(run: _Run, stage: str) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    run.stages_s[stage] += time.monotonic() - began_s
