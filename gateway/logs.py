"""Logging of the whole process: one stream on stderr, structured, with the request's id on every line.

What people said is never logged: the values of telling keys, and anything that may be audio, are withheld wherever
they come from, tracebacks show no local variables, and uvicorn's access lines lose their query.
"""

import json
import logging
import sys
from contextlib import AbstractContextManager
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# fmt: off
PRIVATE_KEYS = frozenset({
    "audio", "pcm", "samples", "body",
    "text", "texts", "transcript", "hypothesis", "hypotheses", "word", "words",
    "phrase", "phrases", "hotwords", "prompt",
    "authorization", "api_key", "bootstrap_key", "password",
})
# fmt: on
WITHHELD = "[withheld]"
_PLAIN = frozenset({str, int, float, bool, type(None)})
CHATTY_LOGGERS = ("alembic", "aiosqlite", "httpcore", "httpx", "numba", "asyncio")
UVICORN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def configure(
    level: Literal["debug", "info", "warning", "error"], form: Literal["json", "console"], stream: TextIO | None = None
) -> None:
    """Send structlog's and the standard library's events to `stream`, stderr if None; may be called again.

    Start uvicorn with `log_config=None`, or it sets its own handlers again.
    """
    stream = stream or sys.stderr
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_access_fields, *first],
        pass_foreign_args=True,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_last(form, stream)],
    )
    _route_standard_library(formatter, level, stream)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def request_context(request_id: str, **more: str) -> AbstractContextManager[None]:
    """Puts the request's id, and what else is given, on every event of this task and those that it starts."""
    return structlog.contextvars.bound_contextvars(request_id=request_id, **more)


def withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what may be audio or text of a user, at any depth."""
    return {key: WITHHELD if key in PRIVATE_KEYS else _without_private(value) for key, value in event.items()}


def _without_private(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {key: WITHHELD if key in PRIVATE_KEYS else _without_private(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_private(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)) or hasattr(value, "__array_interface__"):
        return WITHHELD
    return value


def _access_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """uvicorn's access line as fields, its query left out."""
    arguments = event.pop("positional_args", None)
    if event["_record"].name == "uvicorn.access" and isinstance(arguments, tuple) and len(arguments) == 5:
        client, method, target, _, status = arguments
        path = str(target).partition("?")[0]
        event.update(event="access", client=client, method=method, path=path, status=status)
    return event


def _last(form: str, stream: TextIO) -> list[Processor]:
    if form == "console":
        is_terminal = stream.isatty()
        rich = structlog.dev.RichTracebackFormatter(show_locals=False)
        shown = rich if is_terminal else structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=shown)]
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(transformer), structlog.processors.JSONRenderer(_as_json)]


def _nearest(value: Any) -> Any:
    """What JSON has for a value that it does not know; msgspec knows no class but the plain ones themselves."""
    return next((plain(value) for plain in (str, int, float) if isinstance(value, plain)), repr(value))


_ENCODER = msgspec.json.Encoder(enc_hook=_nearest)


def _as_json(event: EventDict, **how: Any) -> str:
    try:
        return _ENCODER.encode(event).decode()
    except UnicodeEncodeError:  # the name of a file need not be UTF-8
        return json.dumps(event, **how)


def _route_standard_library(formatter: logging.Formatter, level: str, stream: TextIO) -> None:
    # Nobody is shown these, and to find the line that logs costs more than the rest ("Optimization" in Python's guide).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in UVICORN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
