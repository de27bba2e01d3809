"""What HTML pages share: sentences with commands in them."""

import pytest

from embedding.html_pages import with_code


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("run `aliens tag` first", "Run <code>aliens tag</code> first"),
        ("<b> & `a <i>`: one ` is none", "&lt;b&gt; &amp; <code>a &lt;i&gt;</code>: one ` is none"),
        ("été \x1b[31m", r"Été \x1b[31m"),
        ("", ""),
    ],
)
def test_commands_in_sentences_are_code_and_all_else_is_escaped(said: str, shown: str) -> None:
    assert with_code(said) == shown
