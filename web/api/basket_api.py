"""The basket by program."""

from fastapi import APIRouter

picking = APIRouter(tags=["baskets"])
