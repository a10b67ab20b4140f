"""The graph that is drawn: boxes, arrows, and the calls of nested models around them."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What is known of an argument or a result.

    It has several shapes where one box stands for several calls. `name` is what an argument is
    called; "" where that says nothing, as of an only one.
    """

    shapes: tuple[tuple[int | None, ...], ...]
    dtype: str
    name: str = ""


@dataclasses.dataclass(eq=False)
class Block:
    """One call of a nested model, or layers that follow each other several times in a row."""

    model: Any  # None where it is no model
    arguments: list[Tensor]
    parent: Block | None
    results: list[Tensor] = dataclasses.field(default_factory=list)
    repeats: int = 1

    def path(self) -> list[Block]:
        """The blocks around and this one, the outermost first."""
        return [*(self.parent.path() if self.parent else []), self]


@dataclasses.dataclass(eq=False)
class Box:
    """One call of a layer, or an input."""

    layer: Any  # a layer, an operation or a model; None for an input
    block: Block | None
    arguments: list[Tensor]
    results: list[Tensor]
    index: int = 0  # of an input among those of its model
    constants: tuple[Any, ...] = ()  # what the call takes beside tensors

    @property
    def is_input(self) -> bool:
        """Whether nothing is called here."""
        return self.layer is None

    def path(self) -> list[Block]:
        """The blocks around it, the outermost first."""
        return self.block.path() if self.block else []


@dataclasses.dataclass(frozen=True)
class Arrow:
    """A result of one box is an argument of another."""

    source: Box
    target: Box
    argument: int
    is_mask: bool = False


@dataclasses.dataclass(eq=False)
class Graph:
    """All of it; the order is that of the calls."""

    model: Any
    boxes: list[Box] = dataclasses.field(default_factory=list)
    arrows: list[Arrow] = dataclasses.field(default_factory=list)
    # The box that each output of the model comes from, and the output's name.
    outputs: list[tuple[str, Box]] = dataclasses.field(default_factory=list)

    def boxes_in(self, block: Block | None) -> list[Box]:
        """The boxes directly in a block, or in none."""
        return [box for box in self.boxes if box.block is block]

    def blocks_in(self, block: Block | None) -> list[Block]:
        """The blocks directly in a block, or in none."""
        all_blocks = dict.fromkeys(each for box in self.boxes for each in box.path())
        return [each for each in all_blocks if each.parent is block]
