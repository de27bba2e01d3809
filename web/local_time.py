"""Dates of photos as the API has them."""

from datetime import datetime
from typing import Annotated

from pydantic import WithJsonSchema

LOCAL = "where the photo was taken, without a zone: cameras know none"
LocalTime = Annotated[
    datetime, WithJsonSchema({"type": "string", "description": LOCAL, "examples": ["2018-06-19T23:23:43"]})
]
