"""Photos to search by, kept for an hour."""

from fastapi import APIRouter

uploading = APIRouter(tags=["uploads"])
