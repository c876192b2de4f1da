"""OpenAI's audio protocol: transcriptions and models, as the `openai` clients speak it."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from gateway import metrics
from gateway.api import docs, formats, headers, subtitles
from gateway.api.bodies import ModelBody, ModelExtras, ModelList
from gateway.api.disconnect import unless_gone
from gateway.api.events import EventStream, Growing, Steps
from gateway.api.form import TranscriptionForm, read_form
from gateway.api.record import finished, record_of
from gateway.api.upload import Upload, received
from gateway.api.whole import Whole
from gateway.transcript import Ask, ServedModel, SpokenSegment, Transcript
from model_store.errors import ModelUnknown, NoSpeech

if TYPE_CHECKING:
    from gateway.pipeline import Pipeline
else:
    # Litestar reads annotations at run time; what the provider gives is not checked again.
    Pipeline = Any

GivenPipeline = NamedDependency[SkipValidation[Pipeline]]
AnyRequest = Request[Any, Any, Any]


@post(
    "/v1/audio/transcriptions",
    status_code=200,
    tags=["OpenAI"],
    operation_id="createTranscription",
    operation_class=docs.TranscriptionOperation,
    responses=docs.TRANSCRIPTION_RESPONSES,
)
async def create_transcription(request: AnyRequest, pipeline: GivenPipeline) -> Response[Any]:
    """Transcribe a recording in any common container and codec, up to hours long.

    Takes what OpenAI's clients send. Language and model are found where the caller does not say them. A recording
    without speech is answered with an empty text and the code `no_speech`.
    """
    async with AsyncExitStack() as held:
        upload = await held.enter_async_context(received(request, request.app.state.limits))
        metrics.UPLOAD_BYTES.observe(upload.size_bytes)
        form = read_form(upload.fields)
        if form.stream:
            return await _streamed(request, pipeline, upload, form, held)
        ask = form.ask(record_of(request.scope).request_id)
        transcript = await unless_gone(request.receive, _transcript(pipeline, upload, ask))
        finished(record_of(request.scope), transcript)
        return _answer(formats.Answered(transcript=transcript, form=form, request_id=ask.request_id))


@get(
    "/v1/models",
    tags=["OpenAI"],
    operation_id="listModels",
    response_description="The models.",
    responses=docs.MODELS_RESPONSES,
    summary="List the models",
)
async def list_models(pipeline: GivenPipeline) -> ModelList:
    """The models that can be asked for by name."""
    return ModelList(data=[_model_body(model) for model in pipeline.models()])


@get(
    "/v1/models/{model:str}",
    tags=["OpenAI"],
    operation_id="showModel",
    response_description="The model.",
    responses=docs.MODEL_RESPONSES,
    summary="Show a model",
)
async def show_model(model: FromPath[str], pipeline: GivenPipeline) -> ModelBody:
    """One model by its name."""
    models = {served.name: served for served in pipeline.models()}
    if model not in models:
        message = f"There is no model {model[:60]!r}; there are: {', '.join(models) or 'none yet'}."
        raise ModelUnknown(message, param="model", allowed=list(models))
    return _model_body(models[model])


HANDLERS = [create_transcription, list_models, show_model]


async def _transcript(pipeline: Pipeline, upload: Upload, ask: Ask) -> Transcript:
    try:
        return await pipeline.transcribe(upload.audio, ask)
    except NoSpeech as exc:
        return _silent(exc)


def _silent(exc: NoSpeech) -> Transcript:
    # The protocol has room for an empty text, and clients expect one: silence is no error here.
    return Transcript(
        text="",
        duration_s=float(exc.details.get("duration_s", 0.0)),
        segments=(),
        decisions=(),
        stages_ms={},
        is_cold=bool(exc.details.get("is_cold", False)),
        devices=tuple(exc.details.get("devices", ())),
        is_degraded=bool(exc.details.get("is_degraded", False)),
        code=exc.code,
    )


async def _streamed(
    request: AnyRequest, pipeline: Pipeline, upload: Upload, form: TranscriptionForm, held: AsyncExitStack
) -> EventStream:
    """Waits for the first step, so that what goes wrong before it is an ordinary HTTP error."""
    record = record_of(request.scope)
    steps = pipeline.stream(upload.audio, form.ask(record.request_id))
    held.push_async_callback(steps.aclose)
    first = await unless_gone(request.receive, _first(steps))
    decisions = [first.decision] if isinstance(first, SpokenSegment) else first.decisions
    events = Growing(form=form, record=record).events(first, steps)
    return EventStream(events, held.pop_all(), {**headers.of_decisions(decisions), **headers.of_form(form)})


async def _first(steps: Steps) -> SpokenSegment | Transcript:
    try:
        return await anext(steps)
    except NoSpeech as exc:
        return _silent(exc)


def _answer(answered: formats.Answered) -> Whole:
    transcript, by_channel = answered.transcript, answered.by_channel
    facts = headers.of_transcript(transcript, answered.form)
    match answered.form.response_format:
        case "json":
            return Whole(msgspec.json.encode(formats.json_body(answered)), "application/json", facts)
        case "verbose_json":
            return Whole(msgspec.json.encode(formats.verbose_body(answered)), "application/json", facts)
        case "text":
            text, media_type = f"{transcript.text}\n" if transcript.text else "", "text/plain"
        case "srt":
            text, media_type = subtitles.srt(transcript, by_channel=by_channel), "text/plain"
        case "vtt":
            text, media_type = subtitles.vtt(transcript, by_channel=by_channel), "text/vtt"
    return Whole(text.encode(), f"{media_type}; charset=utf-8", facts)


def _model_body(model: ServedModel) -> ModelBody:
    facts = ModelExtras(kind=model.kind, language=model.language, domain=model.domain, version=model.version)
    return ModelBody(id=model.name, created=int(model.created_at.timestamp()), voxgate=facts)
