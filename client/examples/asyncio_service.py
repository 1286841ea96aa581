"""Answer many callers at once from one event loop, as a web service would.

python client/examples/asyncio_service.py [PICTURE ...] [--url HOST:PORT] [--model NAME]
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from sightline import AsyncClient
from sightline.errors import ImageError

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURES = sorted((CHECKOUT / "export/sightline_export/demo/pictures").glob("*.jpg"))


async def handle(client: AsyncClient, picture: Path) -> str:
    """What one caller gets; the server puts pictures of different callers into one batch."""
    try:
        detections = await client.detect(picture)
    except ImageError as error:
        return f"{picture}: {error}"
    return f"{picture}: {', '.join(f'{name} {score:.2f}' for _, score, _, name in detections) or 'nothing'}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*", type=Path, default=PICTURES)
    parser.add_argument("--url", default="localhost:8001")
    parser.add_argument("--model", default="demo")
    arguments = parser.parse_args()
    async with AsyncClient(arguments.url, model=arguments.model) as client:
        for answer in await asyncio.gather(*(handle(client, picture) for picture in arguments.pictures)):
            print(answer)


if __name__ == "__main__":
    asyncio.run(main())
