"""The page of one photo, and its fragments."""

from fastapi import APIRouter

photo_pages = APIRouter()
