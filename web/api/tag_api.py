"""Vocabularies, drafts, labels by program."""

from fastapi import APIRouter

tagging = APIRouter(tags=["tags"])
