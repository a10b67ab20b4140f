"""Writes the formulas of the pages as MathML, which browsers show without any script.

For `docs/conf.py`. A formula that does not become MathML is a warning, and the build takes warnings
as errors.
"""

import re
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

NUMBER = re.compile(r"\\tag\{(\w+)\}")
# Browsers set no space between the name of a function and an argument without brackets.
FUNCTION = re.compile(r"<mi>(?:log|ln|exp|tanh)</mi>(?=<m(?!o|row))")
# After a bracket, a comma or an equals sign, a minus is a sign and stands close to what follows.
SIGN = re.compile(r"(<mo[^>]*>&#x000(?:28|2C|3D|7C);</mo>)<mo>&#x02212;</mo>")
# Inside of \left( and \right), latex2mathml sets a limit beside its sum.
SUM = re.compile(r"<msub>(<mo>&#x02211;</mo>(?:<mi>\w</mi>|<mrow>.*?</mrow>))</msub>")
logger = logging.getLogger(__name__)


def mathml(latex, display, node):
    """The `math` element of a formula in LaTeX, for `display` "inline" or "block"."""
    try:
        if latex.count("{") != latex.count("}"):
            raise ValueError("its braces do not match")
        text = convert(latex, display=display)
        # An unknown command is left as it is; `&` outside of a table is not even XML.
        left = re.search(r"\\\w+", "".join(ElementTree.fromstring(text).itertext()))
        if left:
            raise ValueError(f"latex2mathml does not know {left[0]}")
    except Exception as error:  # latex2mathml's errors have no class in common.
        logger.warning("the formula %s: %s %s", latex, type(error).__name__, error, location=node)
        return ""
    text = text.replace("<mo>max</mo>", "<mi>max</mi>")  # no operator, which has space around it
    text = SUM.sub(r"<munder>\1</munder>", text)
    text = SIGN.sub(r'\1<mo form="prefix">&#x02212;</mo>', text)
    return FUNCTION.sub(r'\g<0><mspace width="0.17em"/>', text)


def write_inline(translator, node):
    """A formula in a sentence."""
    translator.body.append(mathml(node.astext(), "inline", node))
    raise nodes.SkipNode


def write_block(translator, node):
    r"""A formula on lines of its own, with the number that `\tag` gives it."""
    number = NUMBER.search(node.astext())
    formula = mathml(NUMBER.sub("", node.astext()).strip(), "block", node)
    beside = f'<span class="number">({number[1]})</span>' if number else ""
    translator.body.append(f'<div class="formula">{formula}{beside}</div>\n')
    raise nodes.SkipNode
