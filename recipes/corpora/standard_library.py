"""The running Python's own standard library as a corpus: its docstrings, and its source files.

The sources are read with `ast` and `tokenize`: nothing is imported, nothing is downloaded.
"""

import ast
import dataclasses
import inspect
import pathlib
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator

from recipes.runs.failures import UserError

_FAMILIES = {
    "network": """asynchat asyncore cgi cgitb email ftplib http imaplib ipaddress mailbox mailcap
        netrc nntplib nturl2path poplib smtpd smtplib socket socketserver ssl telnetlib urllib
        webbrowser wsgiref xmlrpc""",
    "files": """_compression _pyio bz2 compression dbm filecmp fileinput fnmatch genericpath glob
        gzip io linecache lzma ntpath os pathlib pickle posixpath shelve shutil sqlite3 stat tarfile
        tempfile zipapp zipfile zipimport""",
    "numbers": """_pydatetime _pydecimal _pylong _strptime bisect calendar colorsys datetime decimal
        fractions heapq numbers random secrets statistics zoneinfo""",
    "markup": """_markupbase base64 binascii codecs configparser csv encodings html json plistlib
        quopri re string stringprep textwrap tomllib uu xml""",
    "concurrency": """_threading_local asyncio concurrent contextvars multiprocessing queue sched
        selectors signal subprocess threading""",
    "development": """ast bdb cProfile code codeop compileall dis distutils doctest ensurepip
        importlib inspect lib2to3 logging modulefinder optparse argparse pdb pickletools pkgutil
        profile pstats py_compile pyclbr pydoc runpy symtable tabnanny timeit token tokenize trace
        traceback tracemalloc typing unittest venv warnings""",
    "graphics": "curses idlelib tkinter turtle turtledemo",
}
FAMILY_OF_MODULE = {
    module: family for family, modules in _FAMILIES.items() for module in modules.split()
}

_STANDARD_LIBRARY = pathlib.Path(sysconfig.get_path("stdlib"))
# Tables of characters, a tenth of all words, many of them nearly alike: data, not text.
_TABLES = "encodings"
_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"}


@dataclasses.dataclass(frozen=True)
class Docstring:
    """One documented module, class or function of the standard library."""

    module: str
    """Dotted module name, for example `email.message`."""
    name: str
    """Name of the object; dotted inside a class, empty for the module itself."""
    kind: str
    """`module`, `class` or `function`."""
    text: str
    """The docstring without its indentation."""
    parameters: tuple[str, ...] = ()
    """Names of a function's parameters, or of those of a class's constructor, without `self`."""

    @property
    def first_paragraph(self) -> str:
        """The text up to the first empty line, on one line."""
        return " ".join(self.text.split("\n\n")[0].split())

    @property
    def family(self) -> str | None:
        """Family of the top-level module, or `None` if it belongs to none."""
        return FAMILY_OF_MODULE.get(self.module.split(".")[0])


def walk_docstrings(folder: pathlib.Path | None = None) -> Iterator[Docstring]:
    """Yields every docstring below a folder of Python sources, always in the same order.

    Args:
        folder: The folder; by default the standard library of the running Python.

    Raises:
        UserError: If the folder holds no Python source with a docstring.
    """
    found = False
    for path, parts in _source_files(folder):
        try:
            with warnings.catch_warnings():
                # Old escapes such as "\d" warn while they are parsed.
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # a source for another Python, kept as data
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for docstring in _docstrings_of(tree, module, ()):
            found = True
            yield docstring
    if not found:
        raise _no_sources(folder)


def source_texts(folder: pathlib.Path | None = None) -> dict[str, str]:
    """The source files below a folder, code and comments and docstrings as they stand.

    Args:
        folder: As in `walk_docstrings`.

    Returns:
        The text of each file that is neither empty nor a table of characters, by its path in the
        folder, such as `email/message.py`.

    Raises:
        UserError: If the folder holds no Python source.
    """
    texts = {}
    for path, parts in _source_files(folder):
        if parts[0] == _TABLES:
            continue
        try:
            with tokenize.open(path) as file:  # finds the encoding that the file declares
                text = file.read()
        except (SyntaxError, ValueError, OSError):
            continue  # a source for another Python, kept as data
        if text.strip():
            texts["/".join(parts) + ".py"] = text
    if not texts:
        raise _no_sources(folder)
    return texts


def _source_files(
    folder: pathlib.Path | None,
) -> Iterator[tuple[pathlib.Path, tuple[str, ...]]]:
    """Every source file with its path in the folder, without the ending, in the same order."""
    folder = folder or _STANDARD_LIBRARY
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not _SKIPPED_FOLDERS.intersection(parts):
            yield path, parts


def _no_sources(folder: pathlib.Path | None) -> UserError:
    return UserError(
        f"this Python has no sources of its standard library in {folder or _STANDARD_LIBRARY}; "
        "give your own texts with --train FILE --test FILE"
    )


def _docstrings_of(node: ast.AST, module: str, enclosing: tuple[str, ...]) -> Iterator[Docstring]:
    text = None
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
        enclosing = enclosing if isinstance(node, ast.Module) else (*enclosing, node.name)
        text = ast.get_docstring(node)
    if text and text.strip():
        parameters = _parameters_of(node)
        yield Docstring(module, ".".join(enclosing), kind, inspect.cleandoc(text), parameters)
    for child in ast.iter_child_nodes(node):
        yield from _docstrings_of(child, module, enclosing)


def _parameters_of(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.ClassDef):
        constructors = (
            child
            for child in node.body
            if isinstance(child, ast.FunctionDef) and child.name == "__init__"
        )
        node = next(constructors, node)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ()
    given = node.args
    extra = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *extra)]
    return tuple(name for name in names if name not in {"self", "cls"})


def name_and_docstring_pairs(
    minimum_words: int = 3, folder: pathlib.Path | None = None
) -> list[tuple[str, str]]:
    """What the public functions and classes of the standard library are called, and what they do.

    Args:
        minimum_words: Shorter paragraphs say too little and are left out.
        folder: As in `walk_docstrings`.

    Returns:
        For each a question, the words of its name and of its parameters, and the answer, the first
        paragraph of its docstring. Each paragraph comes once.
    """
    question_of_answer: dict[str, str] = {}
    for docstring in walk_docstrings(folder):
        name = docstring.name.split(".")[-1]
        answer = docstring.first_paragraph
        is_public = docstring.kind != "module" and not name.startswith("_")
        if is_public and len(answer.split()) >= minimum_words:
            words = (_words_of(each) for each in (name, *docstring.parameters))
            question_of_answer.setdefault(answer, " ".join(filter(None, words)))
    return [(question, answer) for answer, question in question_of_answer.items()]


def _words_of(name: str) -> str:
    """`HTTPServer` and `http_server` are both "http server"."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return " ".join(part.lower() for part in parts)


def family_texts(minimum_words: int = 4) -> tuple[list[str], list[str]]:
    """The first paragraphs of the standard library's docstrings and their module families.

    Args:
        minimum_words: Shorter paragraphs say too little and are left out.

    Returns:
        The texts, each once, and for each the family its module belongs to.
    """
    family_of_text: dict[str, str] = {}
    for docstring in walk_docstrings():
        paragraph = docstring.first_paragraph
        if docstring.family and len(paragraph.split()) >= minimum_words:
            family_of_text.setdefault(paragraph, docstring.family)
    return list(family_of_text), list(family_of_text.values())
