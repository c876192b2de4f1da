import pytest

from gateway.api.subtitles import srt, timestamp, vtt


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "00:00:00,000"),
        (0.0004, "00:00:00,000"),
        (0.0005, "00:00:00,001"),
        (1.2344, "00:00:01,234"),
        (59.9994, "00:00:59,999"),
        (59.9996, "00:01:00,000"),
        (3599.9996, "01:00:00,000"),
        (3600.0, "01:00:00,000"),
        (359999.9999, "100:00:00,000"),
        (-0.2, "00:00:00,000"),
    ],
)
def test_timestamp_near_borders_is_rounded_as_a_whole(seconds, expected):
    assert timestamp(seconds, ",") == expected


def test_srt_cues_are_numbered_without_gaps_where_a_segment_is_empty(samples):
    transcript = samples.transcript(
        samples.segment(0, "one", 0, 1), samples.segment(1, " ", 1, 2), samples.segment(2, "two", 2, 3)
    )
    assert srt(transcript, by_channel=False) == (
        "1\n00:00:00,000 --> 00:00:01,000\none\n\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n\n"
    )


def test_srt_text_that_looks_like_an_arrow_or_a_blank_line_cannot_end_its_cue(samples):
    transcript = samples.transcript(samples.segment(0, "a --> b\n\nc", 0, 1))
    assert srt(transcript, by_channel=False) == "1\n00:00:00,000 --> 00:00:01,000\na -> b c\n\n"


def test_vtt_marks_and_arrows_are_escaped(samples):
    transcript = samples.transcript(samples.segment(0, "a --> <b> & c", 0, 3600))
    assert vtt(transcript, by_channel=False) == (
        "WEBVTT\n\n00:00:00.000 --> 01:00:00.000\na --&gt; &lt;b&gt; &amp; c\n\n"
    )


def test_subtitles_by_channel_name_the_channel_from_one(samples):
    assert "\n[2] good morning\n" in srt(samples.call, by_channel=True)
    assert "\n<v 1>你好\n" in vtt(samples.call, by_channel=True)


def test_subtitles_of_nothing_are_empty(samples):
    assert srt(samples.transcript(), by_channel=False) == ""
    assert vtt(samples.transcript(), by_channel=False) == "WEBVTT\n\n"
