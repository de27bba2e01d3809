"""Jobs: started, watched, cancelled."""

from fastapi import APIRouter

working = APIRouter(tags=["jobs"])
