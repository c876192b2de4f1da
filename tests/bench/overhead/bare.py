"""The least that takes the same upload: one Litestar handler, which decodes the WAV and has nothing to say.

Its argument is the descriptor of the socket that it serves.
"""

import io
import socket
import sys
import wave
from typing import Annotated

import numpy as np
import uvicorn
from litestar import Litestar, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from msgspec import Struct


class Form(Struct):
    """What the clients send."""

    file: UploadFile
    model: str
    response_format: str
    language: str = ""


@post("/v1/audio/transcriptions", status_code=200)
async def transcribe(data: Annotated[Form, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, str]:
    """Hear it out."""
    with wave.open(io.BytesIO(await data.file.read())) as sound:
        pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    return {"text": f"{len(pcm)} samples"}


if __name__ == "__main__":
    app = Litestar([transcribe], logging_config=None)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False))
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
