"""Vocabularies, drafts of tags, thresholds, and labelling photo by photo."""

from fastapi import APIRouter

tags_pages = APIRouter()
