"""The changes that are made to the code: mutmut's, less those that say nothing about tests, and a few that it lacks.

mutmut tries each argument as None, each string in capitals, and the texts of error messages: nearly all of the first
fail at once and the last are no behavior. It neither deletes a call made for its effect, nor empties a loop, nor turns
a condition round, nor looks into decorated functions; a training loop is made of just these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m
from mutmut.mutation import file_mutation, mutators, trampoline

# Decorators under which a function can be replaced by another one: they stay on the outside.
_TRANSPARENT = ("property", "staticmethod", "once_differentiable", "compiled", "inlined", "contextmanager", "no_grad")
# Arguments that are texts for people.
_TEXTS = ("help", "description", "epilog", "metavar", "prog")


def install() -> None:
    """Put the operators into mutmut, for this process and its children."""
    replaced = {mutators.operator_arg_removal, mutators.operator_string, mutators.operator_dict_arguments}
    kept = [(kind, operator) for kind, operator in mutators.mutation_operators if operator not in replaced]
    file_mutation.mutation_operators = [
        *kept,
        (cst.BaseString, changed_string),
        (cst.Call, missing_argument),
        (cst.Expr, missing_call),
        (cst.If, opposite_condition),
        (cst.CompIf, opposite_condition),
        (cst.For, empty_loop),
    ]
    file_mutation.MutationVisitor._skip_node_and_children = _skips(
        file_mutation.MutationVisitor._skip_node_and_children
    )
    trampoline.wrap_in_trampoline = _wraps_with_defaults(trampoline.wrap_in_trampoline)
    file_mutation.function_trampoline_arrangement = _arrangement(file_mutation.function_trampoline_arrangement)


def changed_string(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Yield the string with other letters around it."""
    yield from list(mutators.operator_string(node))[:1]


def missing_argument(node: cst.Call) -> Iterable[cst.Call]:
    """Yield the call without one of its arguments, so that its default counts, or the next one takes its place."""
    for index, argument in enumerate(node.args):
        named = argument.keyword is not None
        if (named or len(node.args) > 1) and not (named and argument.keyword.value in _TEXTS):
            yield node.with_changes(args=[*node.args[:index], *node.args[index + 1 :]])


def missing_call(node: cst.Expr) -> Iterable[cst.BaseSmallStatement]:
    """Yield nothing in the place of a call that is made for its effect."""
    if isinstance(node.value, cst.Call):
        yield cst.Pass()


def opposite_condition(node: cst.If | cst.CompIf) -> Iterable[cst.CSTNode]:
    """Yield the opposite of a condition that no other operator turns round."""
    turned_elsewhere = m.UnaryOperation(operator=m.Not()) | m.Comparison(
        comparisons=[m.ComparisonTarget(m.Equal() | m.NotEqual() | m.Is() | m.IsNot() | m.In() | m.NotIn())]
    )
    if not m.matches(node.test, turned_elsewhere):
        bracketed = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), bracketed))


def empty_loop(node: cst.For) -> Iterable[cst.For]:
    """Yield the loop over nothing."""
    yield node.with_changes(iter=cst.Tuple([]))


def _decorator_name(decorator: cst.Decorator) -> str:
    expression = decorator.decorator.func if isinstance(decorator.decorator, cst.Call) else decorator.decorator
    name = expression.attr if isinstance(expression, cst.Attribute) else expression
    return name.value if isinstance(name, cst.Name) else ""


def _is_transparent(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.FunctionDef)
        and len(node.decorators) > 0
        and all(_decorator_name(decorator) in _TRANSPARENT for decorator in node.decorators)
    )


def _is_protocol(node: cst.CSTNode) -> bool:
    """Tell whether it is a Protocol: copies of its methods would be asked of all that are checked against it."""
    return isinstance(node, cst.ClassDef) and any(m.matches(base.value, m.Name("Protocol")) for base in node.bases)


def _skips(mutmuts: Any) -> Any:
    def skip(visitor: Any, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Raise) or _is_protocol(node):
            return True
        if isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value in _TEXTS:
            return True
        return not _is_transparent(node) and bool(mutmuts(visitor, node))

    return skip


def _arrangement(mutmuts: Any) -> Any:
    def arrange(function: cst.FunctionDef, mutants: Sequence[Any], class_name: str | None) -> Any:
        if not _is_transparent(function):
            return mutmuts(function, mutants, class_name)
        # The copies are plain functions; the one that chooses among them wears the decorators.
        bare = function.with_changes(decorators=[])
        declaration, (chooser, *copies), assignments, names = mutmuts(bare, mutants, class_name)
        chooser = chooser.with_changes(decorators=[*function.decorators, *chooser.decorators])
        return declaration, [chooser, *copies], assignments, names

    return arrange


def _wraps_with_defaults(mutmuts: Any) -> Any:
    """Let the function that chooses among mutants show the defaults of the original, as the readers' command asks."""

    def wrap(*arguments: Any, **options: Any) -> Any:
        def decorate(function: Any) -> Any:
            chooser = mutmuts(*arguments, **options)(function)
            chooser.__kwdefaults__ = getattr(function, "__kwdefaults__", None)
            return chooser

        return decorate

    return wrap
