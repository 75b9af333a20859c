"""The Jinja in which templates run: a sandbox, and what its sandbox leaves out.

A template is the user's own, but it may come from a colleague or an agency: it reaches no
attribute that begins with an underscore, no file and no other template, and no single
operation makes a huge string or number.  Time and memory as a whole are not bounded here;
who renders puts a limit around (Jinja's sandbox has none).
"""

import difflib
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import TracebackType
from typing import Any

import jinja2
import markupsafe
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailblast.errors import Refusal, UserError

MAX_SOURCE = 2_000_000  # characters of a template
MAX_OUTPUT = 10_000_000  # characters of one rendered part; Gmail clips at 102 kB
MAX_STRING = 1_000_000  # characters that one operation may make
MAX_BITS = 4096  # of a number that one operation may make
MAX_ARGUMENT = 10_000  # a width, a count or a precision given to a filter

# With a number in reach these make strings of any length; a mail needs none of them.
_UNSAFE_METHODS = frozenset(
    {"center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill"}
)
_COUNTING_FILTERS = ("batch", "center", "indent", "round", "slice", "truncate", "wordwrap")
_WIDTH = re.compile(r"%[^a-zA-Z%]*(?:\d{5}|\*)")


class TemplateError(UserError):
    """A template that cannot be used as it stands; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A template's text and its name for the user (`message.html`).

    `lines` gives, where the text was derived from another, for each line the line in the
    file it came from; empty where they are the same.
    """

    name: str
    text: str
    lines: tuple[int, ...] = ()

    def where(self, line: int) -> str:
        """`message.html:12`; a setting has one line, and its name alone says enough."""
        if self.name.startswith("["):
            return self.name
        if self.lines:
            line = self.lines[min(line, len(self.lines)) - 1]
        return f"{self.name}:{line}"


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """One operation, if its result stays small."""
        if not _bounded_operation(operator, left, right):
            raise SecurityError(f"the result of {operator} would be too large")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may use this attribute."""
        return attr not in _UNSAFE_METHODS and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No `str.format`: `is_safe_attribute` says no to it."""


def _bounded_operation(operator: str, left: Any, right: Any) -> bool:
    sizes = [len(value) for value in (left, right) if hasattr(value, "__len__")]
    if operator == "%":
        return not isinstance(left, str) or not _WIDTH.search(left)
    if operator == "**":
        return _bits(left) * (abs(right) if isinstance(right, int) else 1) <= MAX_BITS
    if operator == "+":
        return sum(sizes) <= MAX_OUTPUT
    if sizes and isinstance(left, int) | isinstance(right, int):
        times = left if isinstance(left, int) else right
        return sizes[0] * times <= MAX_STRING
    return _bits(left) + _bits(right) <= MAX_BITS


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 1


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        for value in (*arguments[1:], *named.values()):
            if isinstance(value, int) and abs(value) > MAX_ARGUMENT:
                raise SecurityError(f"a number above {MAX_ARGUMENT} is given to a filter")
        return function(*arguments, **named)

    return called


def environment(*, html: bool) -> jinja2.Environment:
    """A sandbox for HTML, where values are escaped, or for text, where they are not."""
    made = _Sandbox(
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        optimized=False,  # would work out 'a' * 10**9 while compiling
    )
    del made.globals["lipsum"]
    del made.filters["format"], made.filters["xmlattr"], made.filters["pprint"]
    for name in _COUNTING_FILTERS:
        made.filters[name] = _bounded(made.filters[name])
    return made


TEXT = environment(html=False)
HTML = environment(html=True)
GLOBALS: Mapping[str, Any] = TEXT.globals  # `range` and the like


@dataclass(frozen=True, slots=True)
class Compiled:
    """One template, ready to be rendered."""

    source: Source
    template: jinja2.Template | None  # None: there is no Jinja in it

    def render(self, values: dict[str, Any]) -> str | Refusal:
        """The template filled in with `values`, among which are `GLOBALS`.

        A Refusal when it is this row's values that do not fit (a division by zero, no
        number where one is needed); raises TemplateError when no row could.
        """
        if self.template is None:
            return self.source.text
        try:
            return self._joined(self.template, values)
        except jinja2.UndefinedError as error:
            unknown = _UNKNOWN.fullmatch(str(error))
            if unknown:
                raise self._error(error, _undefined(unknown[1], values)) from None
            return self._refusal(error)
        except (ArithmeticError, ValueError, LookupError) as error:
            return self._refusal(error)
        except (jinja2.TemplateError, TypeError, AttributeError, RecursionError) as error:
            raise self._error(error, str(error)) from None

    def _joined(self, template: jinja2.Template, values: dict[str, Any]) -> str:
        pieces: list[str] = []
        size = 0
        # Template.render would join them all before it could be stopped.
        context = template.new_context(values, shared=True)
        output = template.root_render_func(context)
        while some := list(islice(output, 200)):
            pieces.append("".join(some))
            size += len(pieces[-1])
            if size > MAX_OUTPUT:
                raise SecurityError(f"it makes more than {MAX_OUTPUT:,} characters")
        return "".join(pieces)

    def _where(self, error: Exception) -> str:
        line = 1
        trace: TracebackType | None = error.__traceback__
        while trace and self.template:
            if trace.tb_frame.f_code.co_filename == self.source.name:
                line = self.template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return self.source.where(line)

    def _refusal(self, error: Exception) -> Refusal:
        return Refusal(f"{self._where(error)}: {str(error).rstrip('.')[:200]}")

    def _error(self, error: Exception, what: str) -> TemplateError:
        return TemplateError(f"{self._where(error)}: {what[:2000].rstrip('.')}")


_UNKNOWN = re.compile(r"'(\w+)' is undefined")


def _undefined(name: str, values: Mapping[str, Any]) -> str:
    columns = [column for column in values if column not in GLOBALS]
    close = difflib.get_close_matches(name, columns, 1)
    hint = (
        f'; did you mean "{close[0]}"? The columns are: '
        if close
        else "; the columns are: "
    )
    return f"'{name}' is undefined{hint}{', '.join(columns)}"


def compile_source(source: Source, *, html: bool = False) -> Compiled:
    """Compile one template.  Raises TemplateError, which names the line."""
    if len(source.text) > MAX_SOURCE:
        raise TemplateError(f"{source.name} has more than {MAX_SOURCE:,} characters")
    if "{" not in source.text:
        return Compiled(source, None)
    made = HTML if html else TEXT
    try:
        code = made.compile(source.text, source.name, source.name)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{source.where(error.lineno)}: {error.message}") from None
    except (RecursionError, MemoryError):
        raise TemplateError(f"{source.name}: it is nested too deeply") from None
    # A plain dictionary: Jinja's own chain of them is gone through for every message.
    template = jinja2.Template.from_code(made, code, dict(made.globals))
    # The compiled code finds its `escape` here.  Names and links stand in a mail more than
    # once, and escaping them takes as long as all else in rendering.
    template.root_render_func.__globals__["escape"] = _escape
    return Compiled(source, template)


# By type too: equal to a str, a Markup is not to be escaped.
_escape = lru_cache(maxsize=64, typed=True)(markupsafe.escape)
