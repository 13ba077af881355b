"""A call of each helper, for messages: the same calls as in the manual.

Rule 1: a call is what stands in a tag; a block has a helper in brackets.
"""

from __future__ import annotations

HELPER_EXAMPLES: dict[str, str] = {
    "replace": 'replace model "/" "--"',
    "trim": "trim padded",
    "trim_start": "trim_start padded",
    "trim_end": "trim_end padded",
    "to_lower_case": "to_lower_case title",
    "to_upper_case": "to_upper_case model",
    "to_snake_case": 'to_snake_case "fooBar"',
    "to_screaming_snake_case": 'to_screaming_snake_case "Foo bar"',
    "to_kebab_case": 'to_kebab_case "FooBar"',
    "to_camel_case": 'to_camel_case "foo_bar"',
    "to_pascal_case": 'to_pascal_case "foo-bar"',
    "to_train_case": 'to_train_case "FOO_BAR"',
    "to_sentence_case": 'to_sentence_case "HTTPServer"',
    "to_title_case": 'to_title_case "foo_bar2"',
    "to_singular": 'to_singular "mice"',
    "to_plural": 'to_plural "query"',
    "first_non_empty": "first_non_empty empty model",
    "quote": "quote title",
    "unquote": "unquote \"'a b'\"",
    "file_name": "file_name out",
    "parent": "parent out",
    "extension": "extension out",
    "eq": 'eq gpu "0"',
    "ne": 'ne model "gpt"',
    "and": "and gpu empty",
    "or": "or gpu empty",
    "not": "not empty",
    "len": "len model",
    "env_var": 'env_var "EXPERIMENT"',
    "str_to_json": "str_to_json config",
    "json_query": 'json_query "layers[1]" (str_to_json config)',
    "json_str_query": 'json_str_query "tags.a" config',
}
"""The calls by the names of the helpers."""


def example_words(helper: str) -> str:
    """Give the next step for a wrong call of a helper, as a sentence without its full stop."""
    return f"Write it as in {{{{ {HELPER_EXAMPLES[helper]} }}}}"
