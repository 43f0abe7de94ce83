"""The browsable page of the API: static files of our own, which load nothing from elsewhere."""

from importlib.resources import files
from typing import Final

FILES: Final = (
    ("", "page.html", "text/html"),
    ("/page.css", "page.css", "text/css"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
    ("/page.js", "page.js", "text/javascript"),
)


def page_files() -> list[tuple[str, bytes, str]]:
    """(path below /docs, content, media type) of each."""
    return [(path, (files(__name__) / name).read_bytes(), media_type) for path, name, media_type in FILES]
