"""Lists in AVSpeech's form of which three rows in ten go wrong, the command that prepares them, and what it left."""

from __future__ import annotations

import json
from pathlib import Path

from data.personas.footage.server import Fault, VideoServer

NETWORKS = ("--face-extraction-model", "hog", "--face-encoder", "personas")
QUICK = (
    *("--socket-timeout", 2, "--download-retries", 1, "--max-backoff", 1),
    *("--face-size", 64, "--fps", 1),
)

FAULTS = {
    "forbidden": (Fault("status", 403), "blocked"),
    "missing": (Fault("status", 404), "gone"),
    "removed": (Fault("status", 410), "gone"),
    "impatient": (Fault("status", 429, retry_after="1"), "blocked"),
    "broken": (Fault("status", 500), "network"),
    "reset": (Fault("reset", share=0.02), "network"),
    "stalled": (Fault("stall", share=0.02), "network"),
    "half": (Fault("half", share=0.02), "network"),
    "mute": (Fault("silence"), "network"),
    "cut": (Fault("cut"), "truncated"),
    "page": (Fault("html"), "not-a-video"),
    "rubbish": (Fault("rubbish"), "not-a-video"),
}
"""What the server does, and the reason that the row fails for."""

PICTURES = ("no-audio", "silent", "no-speech", "still-face", "dark-face")
"""Videos of which no clip can be made; each is the reason too."""


def prepare(out: Path, csv: Path, server: VideoServer, *more: object) -> list[object]:
    """The arguments of a script that prepares a list from a server."""
    command = ["prepare_avspeech", "--csv", csv, "--out", out, "--url-template", server.url_template]
    return [*command, *NETWORKS, *QUICK, *more]


def write_list(
    folder: Path, server: VideoServer, videos: dict[str, Path], num_rows: int
) -> tuple[Path, dict[int, str]]:
    """A CSV of which three rows in ten go wrong, each in its way; and the reason of each of these."""
    wrong = [*FAULTS, *PICTURES, "bad", "slash", "backwards", "repeated"]
    lines, reasons = [], {}
    for row in range(num_rows):
        video_id = f"-v{row:04d}"  # a leading dash is allowed, and must never become an option
        line = f"{video_id},0.25,2.25,0.5,0.5"
        server.files[video_id] = videos[f"persona-{row % 4}"]
        if row % 10 in (3, 6, 9):
            kind = wrong[(row // 10 * 3 + row % 10 // 3 - 1) % len(wrong)]
            reasons[row] = kind
            if kind in FAULTS:
                server.faults[video_id], reasons[row] = FAULTS[kind]
            elif kind in videos:
                server.files[video_id] = videos[kind]
            else:
                reasons[row] = "duplicate-row" if kind == "repeated" else "bad-row"
                line = {
                    "bad": f"{video_id},nan,2.25,0.5,0.5",
                    "slash": f"../{video_id},0.25,2.25,0.5,0.5",
                    "backwards": f"{video_id},2.25,0.25,0.5,0.5",
                    "repeated": "-v0000,0.25,2.25,0.5,0.5",
                }[kind]
        lines.append(line + "\r\n")
    csv = folder / "list.csv"
    csv.write_text("".join(lines), newline="")
    return csv, reasons


def outcomes_of(out: Path) -> dict[int, dict[str, object]]:
    """What became of each row, by row."""
    lines = [json.loads(line) for path in sorted(out.glob("rows-*.jsonl")) for line in path.read_text().splitlines()]
    assert len({line["row"] for line in lines}) == len(lines)
    return {line["row"]: line for line in lines}


def failures_of(out: Path) -> dict[int, object]:
    """The reason of each row that failed."""
    return {row: outcome["reason"] for row, outcome in outcomes_of(out).items() if outcome["state"] == "failed"}
