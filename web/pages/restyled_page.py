"""Restyled photos before and after, and the quiz."""

from fastapi import APIRouter

restyled_pages = APIRouter()
