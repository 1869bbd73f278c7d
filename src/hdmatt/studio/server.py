"""The studio's server: addresses and answers. What they do is in opened.py and studio.py.

    app      the ASGI application of a studio, behind its guard
    serve    run it until Ctrl-C

Endpoints without `async` run in threads, so a stroke does not wait for a tile.
"""

import asyncio
import errno
import logging
import re
import socket
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from hdmatt.errors import HDMattError, InputError, OutputError
from hdmatt.pictures.box import Box
from hdmatt.studio.bodies import (
    BandBody,
    Client,
    ExportBody,
    PathBody,
    SaveBody,
    SettingsBody,
    StartBody,
    StrokeBody,
)
from hdmatt.studio.export import Export, file_in
from hdmatt.studio.opened import OpenedPicture, Stopped
from hdmatt.studio.security import Access, Guard
from hdmatt.studio.starts import band_rows, mask_rows
from hdmatt.studio.strokes import Stroke
from hdmatt.studio.studio import Studio

STATIC = Path(__file__).parent / "static"
_TYPES = {  # not from the system's tables, which may say text/plain
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/plain",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_FOR_EVER = "private, max-age=31536000, immutable"  # a tile's address has its version
_IN_BODY = "x-status-in-body"
_FILES = ("alpha", "foreground", "cutout", "composite", "psd", "layered", "trimap")
_HOW = (
    *("bit_depth", "clean", "plate", "quality", "alpha_mode", "matte_range"),
    *("invert", "trim", "palette", "despill", "matte_for"),
)


def app(studio: Studio, access: Access) -> Guard:
    """The application; it closes the studio when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        studio.close()

    inner = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    inner.include_router(_pages())
    inner.include_router(_pictures(studio), prefix="/api/pictures")
    inner.include_router(_painting(studio), prefix="/api/pictures/{number}")
    inner.include_router(_looking(studio), prefix="/api/pictures/{number}")
    inner.include_router(_files(studio), prefix="/api/pictures/{number}")
    inner.add_exception_handler(HDMattError, _said)
    inner.add_exception_handler(Stopped, _stopped)
    inner.add_exception_handler(RequestValidationError, _misunderstood)
    inner.add_exception_handler(StarletteHTTPException, _refused)
    return Guard(inner, access)


def serve(studio: Studio, access: Access, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(app(studio, access), log_level="warning", timeout_graceful_shutdown=1, server_header=False)
    logging.getLogger("uvicorn.error").addFilter(_is_no_end)
    _Server(config, studio).run(sockets=[listening])


def _is_no_end(record: logging.LogRecord) -> bool:
    """Whether a message is about more than that a request is dropped because the server ends."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, asyncio.CancelledError) or record.getMessage().startswith("Cancel "))


class _Server(uvicorn.Server):
    """Ends the streams of events before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for picture in self._studio.pictures():
            picture.events.close()
        await super().shutdown(sockets)


def _finder(studio: Studio) -> Callable[[str], OpenedPicture]:
    def found(number: str) -> OpenedPicture:
        picture = studio.find(number)
        if picture is None:
            raise HTTPException(404, "there is no such picture")
        return picture

    return found


def _pages() -> APIRouter:
    router = APIRouter()

    @router.get("/")
    def index() -> Response:
        return _static("index.html")

    @router.get("/static/{path:path}")
    def static(path: str) -> Response:
        return _static(path)

    @router.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    return router


def _static(path: str) -> Response:
    found = (STATIC / path).resolve()
    media_type = _TYPES.get(found.suffix)
    if media_type is None or not found.is_relative_to(STATIC.resolve()) or not found.is_file():
        raise HTTPException(404, "there is no such page")
    return FileResponse(found, media_type=media_type, headers={"cache-control": "no-cache"})


def _pictures(studio: Studio) -> APIRouter:
    router = APIRouter()
    picture_of = _finder(studio)

    @router.get("")
    def every() -> list[dict[str, Any]]:
        return studio.listed()

    @router.post("")
    def another(body: PathBody) -> dict[str, Any]:
        picture = studio.open(body.path)
        if picture is None:
            raise HTTPException(403, "this file may not be opened: it was not named, and does not lie below --root")
        return {"id": picture.id, "name": picture.path.name}

    @router.get("/{number}")
    def one(number: str) -> dict[str, Any]:
        return picture_of(number).facts()

    @router.get("/{number}/waiting")
    def waiting(number: str) -> dict[str, Any]:
        return picture_of(number).waiting()

    return router


def _painting(studio: Studio) -> APIRouter:
    router = APIRouter()
    found = Annotated[OpenedPicture, Depends(_finder(studio))]

    @router.post("/strokes")
    def stroke(picture: found, body: StrokeBody) -> dict[str, Any]:
        return picture.stroke(Stroke(body.kind, body.label, tuple(body.points), body.amount), body.client)

    @router.post("/undo")
    def undo(picture: found, body: Client | None = None) -> dict[str, Any]:
        return picture.undo(body.client if body else "")

    @router.post("/redo")
    def redo(picture: found, body: Client | None = None) -> dict[str, Any]:
        return picture.redo(body.client if body else "")

    @router.post("/start")
    def start(picture: found, body: StartBody) -> dict[str, Any]:
        mask = None if body.mask is None else _allowed(studio, body.mask)
        box = None if body.box is None else Box(*body.box)
        from_strokes = {"scribbles": body.scribbles, "painted": body.painted}
        made = partial(mask_rows, picture.session, box=box, mask=mask, alpha=body.alpha, **from_strokes)
        doubts: list[str] = []
        answer = picture.put("start", lambda tell: made(tell=tell, doubt=doubts.append), body.client)
        return {**answer, "doubt": doubts[0] if doubts else None}

    @router.post("/band")
    def band(picture: found, body: BandBody | None = None) -> dict[str, Any]:
        body = body or BandBody()
        made = partial(
            band_rows,
            picture.session,
            inside=body.inside,
            outside=body.outside,
            automatic=body.automatic,
            network=picture.choice.network,
            memory=picture.choice.options.memory,
        )
        return picture.put("band", lambda tell: made(tell=tell), body.client)

    @router.post("/cancel")
    def cancel(picture: found) -> dict[str, Any]:
        picture.cancel()
        return picture.state()

    return router


def _looking(studio: Studio) -> APIRouter:
    router = APIRouter()
    found = Annotated[OpenedPicture, Depends(_finder(studio))]

    @router.get("/tiles/{layer}/{level}/{row}/{column}")
    def tile(picture: found, layer: str, level: int, row: int, column: int, background: str = "checker") -> Response:
        made = picture.layers.tile(layer, (level, row, column), background)
        if made is None:
            raise HTTPException(404, "there is no such tile")
        cache = _FOR_EVER if made.final else "no-store"
        return Response(made.body, media_type=made.media_type, headers={"cache-control": cache})

    @router.get("/events")
    async def events(picture: found, request: Request, after: str = "") -> Response:
        last = request.headers.get("last-event-id", after)  # a browser that comes back sends the first
        stream = picture.events.stream(int(last) if re.fullmatch(r"\d{1,18}", last) else None)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @router.post("/run")
    def run(picture: found) -> dict[str, Any]:
        picture.ask()
        return picture.state()

    @router.put("/settings")
    def settings(picture: found, body: SettingsBody) -> dict[str, Any]:
        if body.near is not None:
            picture.near = body.near
        if body.automatic is not None:
            picture.set_automatic(body.automatic)
        if body.background is not None:
            picture.set_background(_allowed(studio, body.background) if body.background else None)
        return picture.facts()

    @router.post("/mark")
    def mark(picture: found) -> dict[str, Any]:
        return picture.mark()

    @router.get("/problems")
    def problems(picture: found) -> list[dict[str, Any]]:
        return picture.problems()

    @router.get("/label")
    def label(picture: found, y: int, x: int) -> dict[str, Any]:
        values = picture.label(y, x)
        if values is None:
            raise HTTPException(404, "there is no such pixel")
        return values

    return router


def _files(studio: Studio) -> APIRouter:
    router = APIRouter()
    found = Annotated[OpenedPicture, Depends(_finder(studio))]
    jobs = iter(range(1, 2**53))

    @router.post("/save")
    def save(picture: found, body: SaveBody) -> dict[str, Any]:
        path = file_in(picture.output, body.name)
        if path.exists() and not (body.overwrite or picture.is_own_trimap(path)):
            raise OutputError(f"{body.name} exists already", hint="Save again to replace it, or choose another name.")
        return {"file": picture.save(body.name)}

    @router.post("/export")
    def export(picture: found, body: ExportBody) -> dict[str, Any]:
        names = {name: getattr(body, name) for name in _FILES + _HOW}
        background = body.background
        if background and not _is_colour(background):
            background = str(_allowed(studio, background))
        made = Export.of(picture.session, picture.output, names, background=background)
        picture.export(made, body.client, overwrite=body.overwrite)
        return {"job": next(jobs)}

    return router


def _allowed(studio: Studio, path: str) -> Path:
    found = studio.allowed(path)
    if found is None:
        below = (
            "start with --root FOLDER to read files of a folder"
            if studio.root is None
            else "there is none below --root"
        )
        raise HTTPException(403, f"{path} may not be read: {below}")
    return found


def _is_colour(text: str) -> bool:
    from hdmatt.pictures.colours.colour import parse_colour

    try:
        parse_colour(text)
    except InputError:
        return False
    return True


def _said(request: Request, error: Exception) -> Response:
    """A mistake in what was sent, or no room on the disk."""
    assert isinstance(error, HDMattError)
    cause = error.__cause__
    full = isinstance(cause, sqlite3.Error) or (isinstance(cause, OSError) and cause.errno in _FULL)
    status = 507 if isinstance(error, OutputError) and full else 400 if isinstance(error, InputError) else 500
    return _no(request, error.message, error.hint, status)


def _stopped(request: Request, _: Exception) -> Response:
    return _no(request, "cancelled", "", 409)


def _misunderstood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _no(request, f"{where}: {first['msg']}", "See docs/studio.md.", 400)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return _no(request, str(error.detail), "", error.status_code)


def _no(request: Request, message: str, hint: str, status: int) -> Response:
    """A refusal. The page asks for its status in the body: browsers log every other status as a fault of the page."""
    answer = {"message": message, "hint": hint}
    if request.headers.get(_IN_BODY):
        return JSONResponse({"refused": status, **answer})
    return JSONResponse(answer, status)
