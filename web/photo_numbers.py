"""The numbers of photos as they are asked for."""

from typing import Annotated

from pydantic import Field

LAST_ID = 2**63 - 1
PhotoNumber = Annotated[int, Field(ge=1, le=LAST_ID, description="the photo's number, as searches give it")]
