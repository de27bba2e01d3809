"""Adding photos, what became of them, and how the library is."""

from fastapi import APIRouter

library_pages = APIRouter()
