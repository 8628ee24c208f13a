"""ffmpeg's filters of a film: progressive, at a constant rate, in SDR; sound to the end.

HDR is mapped once, at the size of the largest rendition; then the picture is split and scaled.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.media.ladder import Step
from services.media.video_source import Deinterlacing, DynamicRange, VideoSource

_DEINTERLACING = {  # one picture a frame: films were shot so, and their rate stays
    Deinterlacing.FLAGGED: "bwdif=mode=send_frame:deint=interlaced",
    Deinterlacing.ALL_TOP_FIRST: "bwdif=mode=send_frame:parity=tff:deint=all",
    Deinterlacing.ALL_BOTTOM_FIRST: "bwdif=mode=send_frame:parity=bff:deint=all",
}
_TRANSFERS = {  # zscale's names
    DynamicRange.WIDE: "bt709",  # BT.2020 has the same curve
    DynamicRange.PQ: "smpte2084",
    DynamicRange.HLG: "arib-std-b67",
}
_WHITE_NITS = 203  # of SDR's white in HDR (ITU-R BT.2408)
REQUIRED_FOR_HDR = ("zscale", "tonemap", "sidedata")


def picture_filters(source: VideoSource, steps: Sequence[Step]) -> str:
    """Build the filter graph from the source's picture to [v0], [v1] ... of each step."""
    chain = [_DEINTERLACING[source.deinterlacing], f"fps={source.frame_rate}:start_time=0"]
    if source.dynamic_range is not DynamicRange.SDR:
        chain += _to_sdr(source.dynamic_range, steps[0])
    names = "".join(f"[s{number}]" for number in range(len(steps)))
    graph = [f"[{source.video}]{','.join(chain)},split={len(steps)}{names}"]
    graph += [
        f"[s{number}]scale={step.width}:{step.height}:out_range=tv,"
        f"setsar=1,format=yuv420p[v{number}]"
        for number, step in enumerate(steps)
    ]
    return ";".join(graph)


def sound_filters(source: VideoSource) -> str:
    """Build the filters of a sound track: from 0 to the picture's end, silent where it is not."""
    end = f"{source.duration_seconds:.6f}"
    return f"aresample=async=1:first_pts=0,apad=whole_dur={end},atrim=end={end}"


def _to_sdr(dynamic_range: DynamicRange, largest: Step) -> list[str]:
    """Map light and colours to BT.709; what told players of HDR goes as well."""
    transfer = _TRANSFERS[dynamic_range]
    size = f"scale={largest.width}:{largest.height},format=yuv420p10le"
    source = f"tin={transfer}:min=bt2020nc:pin=bt2020"
    sdr = "zscale=p=bt709:t=bt709:m=bt709:r=tv"
    if dynamic_range is DynamicRange.WIDE:
        return [size, f"{sdr}:{source}", "format=yuv420p"]
    linear = f"zscale=t=linear:npl={_WHITE_NITS}:{source},format=gbrpf32le"
    tone_map = "zscale=p=bt709,tonemap=mobius"
    return [size, linear, tone_map, f"{sdr},format=yuv420p", "sidedata=mode=delete"]
