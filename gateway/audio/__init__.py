"""Any recording -> segments of 16 kHz mono float32; what is long off the event loop, and spooled on disk."""

from gateway.audio.recording import Recording, open_recording
from gateway.audio.resample import SAMPLE_RATE_HZ, ChannelMode
from gateway.audio.segments import Segment, segment_speech
from gateway.audio.settings import AudioSettings

__all__ = [
    "SAMPLE_RATE_HZ",
    "AudioSettings",
    "ChannelMode",
    "Recording",
    "Segment",
    "open_recording",
    "segment_speech",
]
