"""Exports, streamed."""

from fastapi import APIRouter

exporting = APIRouter(tags=["exports"])
