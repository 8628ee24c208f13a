"""HLS playlists as text (RFC 8216), made of what media.json says; pure functions.

Addresses in them are relative, so one signed address in front opens everything below it. Bit rates
are measured from the segments' real sizes, versions and target durations follow from the content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from services.media.manifest import AudioTrack, Media, Piece, Rendition, Segment, Subtitles

MULTIVARIANT = "master.m3u8"
MEDIA_PLAYLIST = "index.m3u8"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_SUBTITLES, _AUDIO = "subtitles", "audio"  # names of groups


def multivariant_playlist(media: Media) -> str:
    """Write the playlist of renditions, the lightest first.

    Players that begin with the first one listed show a picture soonest.
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_version(media)}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += map(_audio_line, media.audio)
    lines += map(_subtitles_line, media.subtitles)
    for rendition in sorted(media.renditions, key=lambda one: peak_bits_per_second(one.segments)):
        lines.append(_variant_line(rendition, media))
        lines.append(f"{rendition.name}/{MEDIA_PLAYLIST}")
    return _text(lines)


def media_playlist(rendition: Rendition | AudioTrack) -> str:
    """Write the playlist of the segments of one rendition or track."""
    lines = list(_header(rendition.segments, protocol_version(rendition.segments, rendition.init)))
    if rendition.init is not None:
        lines.append(f"#EXT-X-MAP:{_attributes(_map(rendition.init))}")
    return _text([*lines, *_entries(rendition.segments), "#EXT-X-ENDLIST"])


def subtitles_playlist(subtitles: Subtitles) -> str:
    """Write the playlist of one language's subtitles."""
    head = _header(subtitles.segments, protocol_version(subtitles.segments))
    return _text([*head, *_entries(subtitles.segments), "#EXT-X-ENDLIST"])


def subtitles_path(subtitles: Subtitles) -> str:
    """Path of one language's playlist, relative to the multivariant playlist."""
    return f"subtitles/{subtitles.language}.m3u8"


def audio_peak_bits_per_second(media: Media) -> int:
    """Peak of the heaviest separate track of sound, which plays beside a rendition; 0 for none."""
    return max((peak_bits_per_second(one.segments) for one in media.audio), default=0)


def peak_bits_per_second(segments: Sequence[Segment]) -> int:
    """Measure the peak segment bit rate.

    The heaviest of the runs of segments that last 0.5 to 1.5 target durations; of a title too short
    for any such run, its mean.

    Source: RFC 8216, section 4.1.
    """
    target = target_seconds(segments)
    peak = 0.0
    for first in range(len(segments)):
        seconds, size_bytes = 0.0, 0
        for segment in segments[first:]:
            seconds += segment.duration_seconds
            size_bytes += segment.size_bytes
            if seconds > 1.5 * target:
                break
            if seconds >= 0.5 * target:
                peak = max(peak, size_bytes * 8 / seconds)
    return math.ceil(peak) or average_bits_per_second(segments)


def average_bits_per_second(segments: Sequence[Segment]) -> int:
    """Measure the mean bit rate of all segments."""
    seconds = math.fsum(segment.duration_seconds for segment in segments)
    return math.ceil(sum(segment.size_bytes for segment in segments) * 8 / seconds)


def target_seconds(segments: Sequence[Segment]) -> int:
    """Compute the target duration: the longest segment, rounded to whole seconds.

    Source: RFC 8216, section 4.3.3.1.
    """
    longest = max(segment.duration_seconds for segment in segments)
    return max(1, math.floor(longest + 0.5))


def protocol_version(segments: Sequence[Segment], init: Piece | None = None) -> int:
    """Lowest protocol version that has every tag used (RFC 8216, section 7)."""
    if init is not None:
        return 6  # EXT-X-MAP
    if any(segment.offset_bytes is not None for segment in segments):
        return 4  # EXT-X-BYTERANGE
    return 3  # fractions of seconds


def _version(media: Media) -> int:
    """Who cannot play the playlists below learns it from the first one; tracks need 4."""
    below = (protocol_version(one.segments, one.init) for one in media.tracks)
    return max([*below, 4 if media.subtitles or media.audio else 3])


def _audio_line(track: AudioTrack) -> str:
    language = {"LANGUAGE": _quote(track.language)} if track.language else {}
    attributes = {
        "TYPE": "AUDIO",
        "GROUP-ID": _quote(_AUDIO),
        **language,
        "NAME": _quote(track.label),
        "DEFAULT": "YES" if track.is_default else "NO",
        "AUTOSELECT": "YES",
        "CHANNELS": _quote("2"),
        "URI": _quote(f"{track.name}/{MEDIA_PLAYLIST}"),
    }
    return f"#EXT-X-MEDIA:{_attributes(attributes)}"


def _subtitles_line(subtitles: Subtitles) -> str:
    attributes = {
        "TYPE": "SUBTITLES",
        "GROUP-ID": _quote(_SUBTITLES),
        "LANGUAGE": _quote(subtitles.language),
        "NAME": _quote(subtitles.name),
        "DEFAULT": "YES" if subtitles.is_default else "NO",
        "AUTOSELECT": "YES",
        "FORCED": "NO",
        "URI": _quote(subtitles_path(subtitles)),
    }
    return f"#EXT-X-MEDIA:{_attributes(attributes)}"


def _variant_line(rendition: Rendition, media: Media) -> str:
    """Its bit rates have room for the heaviest sound and subtitles, which play along."""
    attributes = {
        "BANDWIDTH": str(_sum_of_rates(peak_bits_per_second, rendition, media)),
        "AVERAGE-BANDWIDTH": str(_sum_of_rates(average_bits_per_second, rendition, media)),
        "CODECS": _quote(rendition.codecs),
        "RESOLUTION": f"{rendition.width}x{rendition.height}",
        "FRAME-RATE": f"{rendition.frame_rate:.3f}",
    }
    if media.audio:
        attributes["AUDIO"] = _quote(_AUDIO)
    if media.subtitles:
        attributes["SUBTITLES"] = _quote(_SUBTITLES)
    return f"#EXT-X-STREAM-INF:{_attributes(attributes)}"


def _sum_of_rates(
    measure: Callable[[Sequence[Segment]], int], rendition: Rendition, media: Media
) -> int:
    sound = max((measure(one.segments) for one in media.audio), default=0)
    text = max((measure(one.segments) for one in media.subtitles), default=0)
    return measure(rendition.segments) + sound + text


def _header(segments: Sequence[Segment], version: int) -> Iterator[str]:
    yield "#EXTM3U"
    yield f"#EXT-X-VERSION:{version}"
    yield f"#EXT-X-TARGETDURATION:{target_seconds(segments)}"
    yield "#EXT-X-MEDIA-SEQUENCE:0"
    yield "#EXT-X-PLAYLIST-TYPE:VOD"


def _entries(segments: Sequence[Segment]) -> Iterator[str]:
    for segment in segments:
        yield f"#EXTINF:{segment.duration_seconds:.5f},"
        if segment.offset_bytes is not None:
            yield f"#EXT-X-BYTERANGE:{segment.size_bytes}@{segment.offset_bytes}"
        yield segment.uri


def _map(init: Piece) -> dict[str, str]:
    attributes = {"URI": _quote(init.uri)}
    if init.offset_bytes is not None:
        attributes["BYTERANGE"] = _quote(f"{init.size_bytes}@{init.offset_bytes}")
    return attributes


def _attributes(values: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())


def _quote(text: str) -> str:
    """Quote a string; it cannot hold a quote or a line's end (RFC 8216, section 4.2).

    Both are replaced by characters that look the same.
    """
    plain = "".join(character if character.isprintable() else " " for character in text)
    return '"' + plain.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}") + '"'


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
