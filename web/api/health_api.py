"""Whether the server is well, and its figures for monitoring."""

from fastapi import APIRouter

health = APIRouter()
