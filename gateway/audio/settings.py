"""What an operator may set about audio."""

from typing import Annotated

import msgspec
from msgspec import Meta


class AudioSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on what is accepted, and how speech is found in it and cut."""

    max_upload_bytes: Annotated[
        int, Meta(ge=1024, description="Largest upload in bytes; the wire protocols stop reading when it is passed.")
    ] = 1 << 30
    max_duration_s: Annotated[
        float, Meta(gt=0, le=86_400, description="Longest recording in seconds, counted while it is decoded.")
    ] = 4 * 3600.0
    max_segment_s: Annotated[
        float, Meta(ge=3, le=120, description="Longest segment in seconds; recordings up to this length stay whole.")
    ] = 30.0
    target_segment_s: Annotated[
        float, Meta(ge=0, le=120, description="Speech across short pauses is kept together up to this many seconds.")
    ] = 10.0
    pause_s: Annotated[
        float, Meta(ge=0.09, le=5, description="Shortest pause in seconds at which speech may be cut.")
    ] = 0.35
    sentence_pause_s: Annotated[
        float,
        Meta(ge=0.09, le=10, description="Pause in seconds at which speech is always cut, save for scraps of it."),
    ] = 0.6
    margin_s: Annotated[
        float, Meta(ge=0, le=1, description="Seconds kept before the first and after the last speech of a segment.")
    ] = 0.25
    min_level_dbfs: Annotated[
        float, Meta(ge=-100, le=0, description="Frames quieter than this, in dB below full scale, are never speech.")
    ] = -75.0
    vad_mode: Annotated[
        int, Meta(ge=0, le=3, description="WebRTC voice activity mode: 0 keeps most, 3 is the strictest.")
    ] = 1
    spool_dir: Annotated[
        str, Meta(description="Directory of the unnamed files that hold decoded audio; empty for the system's own.")
    ] = ""

    def __post_init__(self) -> None:
        if self.sentence_pause_s < self.pause_s:
            raise ValueError("audio.sentence_pause_s must not be shorter than audio.pause_s")
