"""Templates without an end or beyond all memory: each ends in a message, and soon."""

from __future__ import annotations

import pytest

from autocard.card.fill.new_card import blank, check_template
from autocard.card.form import rendering
from autocard.errors import SettingsError

ENDLESS = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "text": "{{ 'a' * 10**9 }}",
    "list": "{{ [0] * 10**10 }}",
    "format": "{{ '%3000000000d' % 1 }}",
    "wordwrap": "{{ ('a' * 2000000)|wordwrap(1) }}",
    "join": "{{ 'a'.join(['b' * 10000] * 100000)|length }}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "power": "{{ 10 ** (10 ** 10) }}",
    "output": "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "brackets": "{{ " + "(" * 20_000 + " }}",
}


@pytest.mark.timeout(120)  # ten times its own limit
@pytest.mark.parametrize("name", ENDLESS)
def test_a_template_without_an_end_is_refused(tmp_path, name):
    form = tmp_path / "form.md.j2"
    form.write_text(ENDLESS[name])

    with pytest.raises(SettingsError, match=r"form\.md\.j2"):
        check_template(str(form))


def test_a_half_character_in_a_template_is_shown_as_a_mark(tmp_path):
    form = tmp_path / "form.md.j2"
    form.write_text("# {{ '\\ud800' }}\n")

    assert blank(str(form), {}) == "# \ufffd\n"


def test_a_template_is_rendered_as_before(tmp_path):
    form = tmp_path / "form.md.j2"
    form.write_text(
        "# {{ model_id }}\n\n{{ nothing }}{% if nothing %}x{% endif %} {{ nothing.deep }}\n"
    )

    assert (
        blank(str(form), {"model_id": "a"})
        == f"# a\n\n{rendering.PLACEHOLDER} {rendering.PLACEHOLDER}\n"
    )


def test_a_template_cannot_read_what_the_process_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_MINE", "QQsecret")
    form = tmp_path / "form.md.j2"
    form.write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")

    with pytest.raises(SettingsError, match="SecurityError"):
        blank(str(form), {})


def test_a_template_where_no_process_can_be_started_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering.sys, "executable", str(tmp_path / "nothing"))
    form = tmp_path / "form.md.j2"
    form.write_text("# {{ model_id }} of its own\n")

    with pytest.raises(SettingsError, match="no process can be started"):
        blank(str(form), {})
