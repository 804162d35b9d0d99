"""Find what could be wrong in C++ code: small mechanical changes, from Clang's syntax tree."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clang.cindex import CompilationDatabase, Cursor, CursorKind, Index

OPERATORS = {  # what each is taken for
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
    "==": ["!="],
    "!=": ["=="],
    "&&": ["||"],
    "||": ["&&"],
    "+": ["-"],
    "-": ["+"],
    "*": ["+"],
    "/": ["*"],
    "%": ["/"],
    "<<": [">>"],
    ">>": ["<<"],
    "&": ["|"],
    "|": ["&"],
    "+=": ["-="],
    "-=": ["+="],
    "&=": ["|="],
    "|=": ["&="],
}
FUNCTIONS = {
    "std::max": "std::min",
    "std::min": "std::max",
    "std::isinf": "std::isnan",
    "std::isnan": "std::isinf",
    "Isa::max": "Isa::min",
    "Isa::min": "Isa::max",
    "Isa::add": "Isa::sub",
    "Isa::sub": "Isa::add",
}
CALL = re.compile(r"([\w:]+)(<[\w: ]+>)?\(")
# A literal that a template is given, with its neighbours; there are spaces around operators.
ARGUMENT = re.compile(r"[\w)]<|.*>$")
LITERALS = {CursorKind.INTEGER_LITERAL, CursorKind.CXX_BOOL_LITERAL_EXPR}
BODIES = {
    CursorKind.FUNCTION_DECL,
    CursorKind.FUNCTION_TEMPLATE,
    CursorKind.CXX_METHOD,
    CursorKind.CONSTRUCTOR,
    CursorKind.DESTRUCTOR,
    CursorKind.CONVERSION_FUNCTION,
}
CONDITIONS = {CursorKind.IF_STMT, CursorKind.WHILE_STMT, CursorKind.CONDITIONAL_OPERATOR}
BINARY = {CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR}
DECLARATIONS = {CursorKind.VAR_DECL, CursorKind.DECL_STMT}
STATEMENTS = {CursorKind.COMPOUND_STMT, CursorKind.IF_STMT, CursorKind.FOR_STMT}


@dataclass(frozen=True, order=True)
class Change:
    """An expression, bytes `start` to `end` of a file, and another one of its type.

    `new` is empty where a call is left out whose result nobody uses.
    """

    file: str
    start: int
    end: int
    new: str


def changes(build: Path, root: Path, files: str) -> list[Change]:
    """Return the changes of the code below `root` that matches `files`, a regular expression."""
    found: set[Change] = set()
    headers = subprocess.check_output(["clang++-14", "-print-resource-dir"], text=True).strip()
    for command in CompilationDatabase.fromDirectory(str(build)).getAllCompileCommands():
        if not Path(command.filename).is_relative_to(root / "tests"):
            options = [*list(command.arguments)[1:-4], "-resource-dir", headers]
            unit = Index.create().parse(command.filename, options)
            wrong = [d for d in unit.diagnostics if d.severity > 2]
            if wrong:
                raise SystemExit(f"{command.filename}: {wrong[0]}")
            found.update(_Finder(root, files).walk(unit.cursor))
    return sorted(found)


class _Finder:
    def __init__(self, root: Path, files: str) -> None:
        self._root = root
        self._files = re.compile(files)
        self._texts: dict[str, bytes] = {}

    def walk(self, cursor: Cursor, body: bool = False) -> Iterator[Change]:
        """Walk down to bodies of functions in our files, and through them."""
        for child in cursor.get_children():
            if child.location.file is None or not self._is_ours(child.location.file.name):
                continue
            if child.kind == CursorKind.STATIC_ASSERT or self._is_constant(child, cursor):
                continue
            if body:
                yield from self._here(child, cursor)
            yield from self.walk(child, body or child.kind in BODIES)

    def _is_ours(self, file: str) -> bool:
        path = Path(file)
        return path.is_relative_to(self._root) and bool(
            self._files.search(str(path.relative_to(self._root)))
        )

    def _text(self, cursor: Cursor, start: int | None = None, end: int | None = None) -> str:
        file = cursor.location.file.name
        text = self._texts.setdefault(file, Path(file).read_bytes())
        start = cursor.extent.start.offset if start is None else start
        return text[start : cursor.extent.end.offset if end is None else end].decode(
            errors="replace"
        )

    def _is_constant(self, cursor: Cursor, parent: Cursor) -> bool:
        """Tell whether the compiler evaluates it, where a change could not be woken."""
        text, start = self._text(cursor), cursor.extent.start.offset
        if parent.kind == CursorKind.CASE_STMT:
            return bool(cursor == next(parent.get_children()))
        if parent.kind == CursorKind.IF_STMT and self._text(parent).startswith("if constexpr"):
            return bool(cursor == next(parent.get_children()))
        end = cursor.extent.end.offset
        before, around = (
            self._text(cursor, start - 2, start),
            self._text(cursor, start - 2, end + 1),
        )
        if cursor.kind in LITERALS and ARGUMENT.match(around):
            return True
        if parent.kind in DECLARATIONS and before.endswith("["):
            return True
        if cursor.kind in DECLARATIONS:
            return "constexpr" in text.split("=")[0]
        return text.startswith("__builtin_unreachable")

    def _change(self, cursor: Cursor, new: str) -> Change:
        file = str(Path(cursor.location.file.name).relative_to(self._root))
        return Change(file, cursor.extent.start.offset, cursor.extent.end.offset, new)

    def _here(self, cursor: Cursor, parent: Cursor) -> Iterator[Change]:
        """Yield the changes of one expression."""
        text, children = self._text(cursor), list(cursor.get_children())
        if cursor.kind in BINARY and len(children) == 2:
            left, right = children
            between = self._text(cursor, left.extent.end.offset, right.extent.start.offset)
            for other in OPERATORS.get(between.strip(), []):
                new = f"{self._text(left)} {other} {self._text(right)}"
                yield self._change(cursor, new)
        elif cursor.kind == CursorKind.UNARY_OPERATOR and text[:1] in ("!", "-"):
            yield self._change(cursor, text[1:] if text[0] == "-" else f"!!({text[1:]})")
        elif cursor.kind == CursorKind.INTEGER_LITERAL:
            yield self._change(cursor, f"{text} + 1")
        elif cursor.kind == CursorKind.FLOATING_LITERAL:
            yield self._change(cursor, "1.0" if set(text) <= set("0.fF") else f"2 * {text}")
        elif cursor.kind == CursorKind.CXX_BOOL_LITERAL_EXPR:
            yield self._change(cursor, "false" if text == "true" else "true")
        elif cursor.kind == CursorKind.CALL_EXPR and (call := CALL.match(text)):
            yield from self._call(cursor, parent, children, call)
        if cursor.kind in CONDITIONS and children and not text.startswith("if constexpr"):
            condition = children[0]
            if condition.kind.is_expression() and condition.kind not in BINARY:
                yield self._change(condition, f"!({self._text(condition)})")

    def _call(
        self, cursor: Cursor, parent: Cursor, children: list[Cursor], call: re.Match[str]
    ) -> Iterator[Change]:
        name, text = call[1], self._text(cursor)
        if name in FUNCTIONS:
            yield self._change(cursor, FUNCTIONS[name] + text[call.end(1) :])
        elif name == "std::nextafter" and len(children) == 3:
            yield self._change(cursor, self._text(children[1]))
        if parent.kind in STATEMENTS:
            yield self._change(cursor, "")
