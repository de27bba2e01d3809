"""Hotels and their amenities, and the page of one hotel."""

from fastapi import APIRouter

hotels_pages = APIRouter()
