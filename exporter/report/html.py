"""The report as one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.model.visible import visible
from exporter.report.sections import lead, sections
from exporter.wire.report import ReportBody


def to_html(body: ReportBody) -> str:
    """A whole page. Everything in it is text: the template escapes by itself."""
    environment = Environment(
        loader=PackageLoader("exporter.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    template = environment.get_template("report.html")
    return template.render(body=body, lead=tuple(lead(body)), sections=sections(body))
