"""Subtitles: read from files and films, written as WebVTT."""
