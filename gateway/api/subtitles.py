"""Subtitles of a transcript: SubRip and WebVTT, pure text to text."""

import html
from collections.abc import Iterator

from gateway.transcript import SpokenSegment, Transcript


def srt(transcript: Transcript, *, by_channel: bool) -> str:
    """SubRip: numbered cues; "[1] " before the text of the first channel where channels are apart."""
    return "".join(
        f"{number}\n{_times(segment, ',')}\n{_srt_text(segment, by_channel)}\n\n"
        for number, segment in enumerate(_spoken(transcript), start=1)
    )


def vtt(transcript: Transcript, *, by_channel: bool) -> str:
    """WebVTT (W3C, "WebVTT cue text"): `&`, `<` and `>` escaped, so that no text can look like an arrow or a tag."""
    cues = (f"{_times(segment, '.')}\n{_vtt_text(segment, by_channel)}\n\n" for segment in _spoken(transcript))
    return "WEBVTT\n\n" + "".join(cues)


def timestamp(seconds: float, mark: str) -> str:
    """`HH:MM:SS` with milliseconds after `mark`; rounded once, as a whole, so that 59.9996 s is a minute."""
    milliseconds = max(0, int(seconds * 1000 + 0.5))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"


def _spoken(transcript: Transcript) -> Iterator[SpokenSegment]:
    return (segment for segment in transcript.segments if segment.text.strip())


def _times(segment: SpokenSegment, mark: str) -> str:
    return f"{timestamp(segment.start_s, mark)} --> {timestamp(max(segment.start_s, segment.end_s), mark)}"


def _srt_text(segment: SpokenSegment, by_channel: bool) -> str:
    # SubRip has no escape for its arrow.
    text = _one_line(segment.text).replace("-->", "->")
    return f"[{segment.channel + 1}] {text}" if by_channel else text


def _vtt_text(segment: SpokenSegment, by_channel: bool) -> str:
    text = html.escape(_one_line(segment.text), quote=False)
    return f"<v {segment.channel + 1}>{text}" if by_channel else text


def _one_line(text: str) -> str:
    # An empty line would end the cue.
    return " ".join(text.split())
