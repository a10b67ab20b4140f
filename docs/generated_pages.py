"""Writes the pages that are made from the package: one for each loss, one for each module.

For `docs/conf.py`. They stand in `docs/generated`, which git ignores. Whatever is wrong (an example
that prints something else, a name without a page) is a warning, and the build takes warnings as
errors.
"""

import doctest
import importlib
import inspect
import pathlib
import re

import numpy as np
from sphinx.util import logging

DOCS = pathlib.Path(__file__).parent
GENERATED = DOCS / "generated"
MODULES = {
    "keras_ce": "Checks, diagnosis, diagrams",
    "keras_ce.losses": "Losses",
    "keras_ce.layers": "Layers",
    "keras_ce.metrics": "Metrics",
    "keras_ce.information": "Information measures",
    "keras_ce.plots": "Plots",
    "recipes.text_classifier": "TextClassifier",
    "recipes.answer_ranker": "AnswerRanker",
    "recipes.string_reader": "StringReader",
    "recipes.next_word": "NextWord",
}
TASKS = ("TextClassifier", "AnswerRanker", "StringReader", "NextWord")
SECTION = re.compile(r"[A-Z]\w*( \w+)?:$|\.\. |:\w")  # of napoleon, or what it made of one
logger = logging.getLogger(__name__)


def public_objects(module):
    """The classes and functions that a module exports, by name."""
    exported = importlib.import_module(module)
    found = {name: getattr(exported, name) for name in exported.__all__}
    return {name: each for name, each in found.items() if callable(each)}


def write(app):
    """Writes all generated pages."""
    from examples.draw_losses import pictures

    (GENERATED / "losses").mkdir(parents=True, exist_ok=True)
    drawn = pictures()
    for name in loss_classes():
        write_if_changed(GENERATED / "losses" / f"{name}.md", loss_page(name, drawn[name]))
    for module, title in MODULES.items():
        run_examples(module)
        write_if_changed(GENERATED / f"{module}.md", module_page(module, title))


def write_if_changed(path, text):
    """Sphinx reads again what is newer than its last build."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def loss_classes():
    """The names of the losses that are classes, in alphabetical order."""
    objects = public_objects("keras_ce.losses")
    return sorted(name for name, each in objects.items() if isinstance(each, type))


def snake_case(name):
    """The name of the function beside a class."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def loss_page(name, drawn):
    """The page of a loss: picture, numbers, docstring, formulas, neighbours."""
    from matplotlib import pyplot

    from keras_ce import plots

    loss, y_true, curves, _ = drawn
    figure = plots.loss_and_gradient(loss, y_true, **curves)
    figure.savefig(GENERATED / "losses" / f"{name}.svg", metadata={"Date": None})
    numbers = table_of(figure)
    pyplot.close(figure)
    return f"""# {name}

![{name}: the loss of one position and its gradient]({name}.svg)

{numbers}

These are the numbers of `{call_of(loss)}` with the label `{y_true}`, computed when this page was
built.

```{{eval-rst}}
.. currentmodule:: keras_ce.losses

.. autoclass:: keras_ce.losses.{name}

.. autofunction:: keras_ce.losses.{snake_case(name)}
```

## Formula and gradient

This derivation is part of [the gradients of the losses](../../gradients.md), where the formulas
(1) to (4) stand.

{gradient_of(name)}

## Neighbours

{neighbours_of(name)}
"""


def call_of(loss):
    """How a loss was made, as Python writes it: what differs from the defaults."""
    config = loss.get_config()
    parameters = inspect.signature(type(loss).__init__).parameters
    given = [
        f"{key}={config[key]!r}"
        for key, parameter in parameters.items()
        if key in config and config[key] != parameter.default and key not in ("name", "dtype")
    ]
    return f"{type(loss).__name__}({', '.join(given)})"


def table_of(figure):
    """Five points of the two curves of a figure, as a table."""
    curves = [(axes.get_ylabel(), axes.lines[0]) for axes in figure.axes]
    x = np.asarray(curves[0][1].get_xdata(), float)
    at = np.linspace(0, len(x) - 1, 5).round().astype(int)
    rows = [[figure.axes[0].get_xlabel(), *(f"{x[i]:g}" for i in at)]]
    rows += [
        [label, *(f"{np.asarray(line.get_ydata(), float)[i]:.4g}" for i in at)]
        for label, line in curves
    ]
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def gradient_of(name):
    """The section of the page of gradients about a loss, without its pictures."""
    page = (DOCS / "gradients.md").read_text(encoding="utf-8")
    _, section = page.split(f"\n## {name}\n", 1)
    section = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0]
    section = re.sub(r"^!\[.*\n", "", section, flags=re.MULTILINE)
    return re.sub(r"^###? ", "### ", section, flags=re.MULTILINE).strip()


def neighbours_of(name):
    """Links to the losses that the docstring names, and to those whose docstrings name this one."""
    objects = public_objects("keras_ce.losses")
    names = [each for each in loss_classes() if each != name]
    named = [each for each in names if f"`{each}" in objects[name].__doc__]
    naming = [each for each in names if each not in named and f"`{name}" in objects[each].__doc__]
    links = [line_about(each) for each in (*named, *naming)]
    return "\n".join([*links, "- [From the kind of label to the loss](../../choosing.md)"])


def line_about(name, folder=""):
    """A list item: the link to the page of a loss, and what its docstring says first."""
    first_line = public_objects("keras_ce.losses")[name].__doc__.strip().splitlines()[0]
    return f"- [{name}]({folder}{name}.md): {first_line}"


def module_page(module, title):
    """The page of a module. A loss that is a class has a page of its own, with its function."""
    names = public_objects(module)
    text = f"# {title}\n\n"
    if module == "keras_ce.losses":
        pages = "\n".join(f"losses/{name}" for name in loss_classes())
        text += f"```{{toctree}}\n:hidden:\n\n{pages}\n```\n\n"
        text += "\n".join(line_about(name, "losses/") for name in loss_classes()) + "\n\n"
        on_their_own = {*loss_classes(), *map(snake_case, loss_classes())}
        names = {name: each for name, each in names.items() if name not in on_their_own}
    directives = []
    for name, each in sorted(names.items(), key=lambda item: item[0] not in TASKS):
        directive = "autoclass" if isinstance(each, type) else "autofunction"
        directives.append(f".. {directive}:: {module}.{name}")
        if name in (*TASKS, "RankerModels", "NextWordModels", "Watch") and isinstance(each, type):
            directives[-1] += "\n   :members:"
        if name in TASKS:
            directives[-1] += "\n   :inherited-members: BaseEstimator"
    body = "\n\n".join(directives)
    return f"{text}```{{eval-rst}}\n.. currentmodule:: {module}\n\n{body}\n```\n"


def run_examples(module):
    """Runs the examples in the docstrings of a module, as doctest does."""
    import keras

    import keras_ce

    names = {**vars(keras_ce.layers), **vars(keras_ce.losses), **vars(keras_ce.metrics)}
    names |= {"keras": keras, "keras_ce": keras_ce, "np": np}
    for name, each in public_objects(module).items():
        if not module.startswith("keras_ce") or name == "plot_model":
            continue  # tests/test_public_api.py draws in a folder of its own
        example = doctest.DocTestParser().get_doctest(each.__doc__ or "", names, name, None, 0)
        report = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        if runner.run(example, out=report.append).failed:
            logger.warning("the example of %s.%s: %s", module, name, "".join(report))


def keep_formulas(app, what, name, documented, options, lines):
    """Google's docstrings as reStructuredText reads them: an indented formula is a block of text.

    The entries of "Shapes" become a list, and `|` is no mark of a substitution.
    """
    kept, section = [], ""
    for line in lines:
        is_indented = line.startswith("    ")
        if line and not is_indented:
            section = line if SECTION.match(line) else ""
        follows_text = any(kept) and not next(filter(None, reversed(kept))).startswith("    ")
        if is_indented and not section and not kept[-1].strip() and follows_text:
            kept += [".. code-block:: text", ""]
        if section == "Shapes:" and line.startswith("        "):
            kept[-1] += " " + line.strip()
            continue
        if section == "Shapes:" and kept[-1].startswith(("Shapes:", "    - ")):
            line = re.sub(r"^    (\w+):", r"    - `\1`:", line)
        kept.append(line if is_indented and not section else line.replace("|", r"\|"))
    lines[:] = kept


def show_the_constructor(app, what, name, documented, options, signature, returned):
    """A Keras layer has a `__new__` that takes anything: its constructor says what it takes."""
    import keras

    if not (isinstance(documented, type) and issubclass(documented, keras.Layer)):
        return None
    taken = inspect.signature(documented.__init__)
    plain = [each.replace(annotation=each.empty) for each in taken.parameters.values()][1:]
    return str(taken.replace(parameters=plain, return_annotation=taken.empty)), returned


def leave_out_of_others(app, what, name, member, skip, options):
    """What the tasks inherit from scikit-learn is documented by scikit-learn."""
    return str(getattr(member, "__module__", "")).startswith("sklearn") or None


def check_coverage(app, env):
    """Every public name has a docstring and an entry on the site."""
    entries = env.get_domain("py").objects
    for module in MODULES:
        for name, each in public_objects(module).items():
            if f"{module}.{name}" not in entries:
                logger.warning("%s.%s is public and has no entry on the site", module, name)
            if not (each.__doc__ or "").strip():
                logger.warning("%s.%s is public and has no docstring", module, name)


def lead_to_results(app, docname, source):
    """The tables of the benchmarks, which stand outside `docs`, are the page `results`."""
    source[0] = source[0].replace("](../benchmarks/RESULTS.md", "](results.md")
