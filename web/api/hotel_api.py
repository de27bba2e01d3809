"""Hotels and their amenities by program."""

from fastapi import APIRouter

lodging = APIRouter(tags=["hotels"])
