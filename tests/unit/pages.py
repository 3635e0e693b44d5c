"""The pages as a browser gets them, and looks at what is on them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
from fastapi import FastAPI

from exporter.metrics.exposition import Exposition, new_registry
from exporter.web import ReloadResult, WebStatus, build_web
from exporter.web.entry.access import Access
from tests.benchmarks.synthetic import START
from tests.doors import open_doors

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
_VOID = {"meta", "link", "input", "br", "img", "rect"}
_AS_IT_IS = {"style", "script"}


@dataclass
class Element:
    """One element: its tag, its attributes."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    """What is inside it, with a space between what its elements hold."""

    def __getitem__(self, name: str) -> str:
        return self.attributes.get(name) or ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(attrs) == len(element.attributes), f"an attribute of <{tag}> is there twice"
        for around in self.open:
            around.text += " "
        self.found.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()
        for around in self.open:
            around.text += " "

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


@dataclass
class Html:
    """A page. What is opened is closed, and no id is there twice."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        reader = _Reader()
        reader.feed(self.source)
        reader.close()
        assert not reader.open, f"not closed: {[one.tag for one in reader.open]}"
        self.elements = reader.found
        for one in self.elements:
            if one.tag not in _AS_IT_IS:
                one.text = squeezed(one.text)
        ids = [one["id"] for one in self.elements if one["id"]]
        assert len(ids) == len(set(ids)), ids

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            one
            for one in self.elements
            if one.tag == tag and all(one[name] == value for name, value in attributes.items())
        ]

    @property
    def words(self) -> str:
        """What there is to read, without style and script."""
        text = re.sub(r"(?s)<(style|script|head)\b.*?</\1>", " ", self.source)
        return squeezed(re.sub(r"<[^>]+>", " ", text))

    def rows(self) -> list[str]:
        """The words of each row of every table."""
        return [one.text for one in self.all("tr")]

    def row(self, start: str) -> str:
        (found,) = [row for row in self.rows() if row.startswith(start)]
        return found

    def links(self) -> list[str]:
        return [one["href"] for one in self.all("a")]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


class Pages:
    """The application over a status that a test may change. There is no ledger."""

    def __init__(self, status: WebStatus | None = None, access: Access | None = None) -> None:
        self.status = status or WebStatus(START, ready=True)
        doors = open_doors() | ({} if access is None else {"access": access})
        self.app: FastAPI = build_web(
            exposition=Exposition(registry=new_registry()),
            status=lambda: self.status,
            reload=self._reload,
            version="9.9.9",
            **doors,
        )

    async def _reload(self) -> ReloadResult:
        return ReloadResult()

    async def get(self, path: str = "/", **headers: str) -> httpx.Response:
        return await asked(self.app, "GET", path, None, **headers)

    async def page(self, path: str = "/", *, code: int = 200, **headers: str) -> Html:
        answer = await self.get(path, **headers)
        assert answer.status_code == code, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        return Html(answer.text)


async def asked(
    app: FastAPI,
    method: str,
    path: str,
    fields: dict[str, str] | None = None,
    *,
    base: str = "http://medic",
    peer: str = "10.0.0.1",
    **headers: str,
) -> httpx.Response:
    """Ask as a browser does, which sends forms as text and follows nothing by itself."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app, client=(peer, 1))
    more: dict[str, Any] = {} if fields is None else {"data": fields}
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        return await client.request(
            method, path, headers={"accept": "text/html"} | sent, follow_redirects=False, **more
        )
