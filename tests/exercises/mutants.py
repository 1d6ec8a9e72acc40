"""Wrong answers by the hundred, made from a right one by rule: what is done to an answer, and how it is told."""

from itertools import combinations

import numpy as np

GOLDEN = 0.6180339887498949  # a constant that no argument is


def changed_part(result, i, change):
    """Return a result with one of its arrays changed; a dictionary's parts are counted in the order of its keys."""
    if isinstance(result, dict):
        keys = sorted(result)
        return {key: change(result[key]) if j == i else result[key] for j, key in enumerate(keys)}
    if isinstance(result, (tuple, list)):
        if isinstance(result[-1], dict):  # a loss and its gradients
            return (change(result[0]), result[1]) if i == 0 else (result[0], changed_part(result[1], i - 1, change))
        return tuple(change(part) if j == i else part for j, part in enumerate(result))
    return change(result)


def n_parts(result):
    if isinstance(result, dict):
        return len(result)
    if isinstance(result, (tuple, list)):
        return len(result) - 1 + n_parts(result[-1]) if isinstance(result[-1], dict) else len(result)
    return 1


def every_part(result, change):
    for i in range(n_parts(result)):
        result = changed_part(result, i, change)
    return result


def after(change):
    """Do something to the result, which may depend on the arguments."""
    return lambda answer: lambda *arguments: change(answer(*arguments), arguments)


def before(change):
    """Do something to the arguments."""
    return lambda answer: lambda *arguments: answer(*change(arguments))


def with_argument(i, change):
    return before(lambda arguments: (*arguments[:i], change(arguments[i]), *arguments[i + 1 :]))


def mutations(arguments, result):
    """Yield by name what may be done to an answer, as functions from an answer to another one."""
    yield from of_result(arguments, result)
    for i, argument in enumerate(arguments):
        for name, mutation in of_argument(argument):
            yield f"argument {i} {name}", with_argument(i, mutation)
    for i, j in combinations(range(len(arguments)), 2):
        a, b = arguments[i], arguments[j]
        alike = isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape
        if alike or (isinstance(a, float) and isinstance(b, float)):
            yield f"arguments {i} and {j} exchanged", before(lambda given, i=i, j=j: exchanged(given, i, j))


def exchanged(arguments, i, j):
    arguments = list(arguments)
    arguments[i], arguments[j] = arguments[j], arguments[i]
    return tuple(arguments)


def of_result(arguments, result):
    for factor in (-1.0, 2.0, 0.5, 0.0, GOLDEN):
        yield f"times {factor:.3g}", after(lambda r, _, c=factor: every_part(r, lambda p: np.asarray(p) * c))
    for i, argument in enumerate(arguments):
        for axis, n in enumerate(np.shape(argument) if isinstance(argument, np.ndarray) else ()):
            for power, words in ((-1, "divided by"), (1, "times")):

                def scaled(r, given, i=i, axis=axis, power=power):
                    return every_part(r, lambda p: np.asarray(p) * float(given[i].shape[axis]) ** power)

                yield f"{words} axis {axis} of argument {i}", after(scaled)

            def right_for_one_size(r, given, i=i, axis=axis, n=n):
                return every_part(r, lambda p: np.asarray(p) * given[i].shape[axis] / n)

            yield f"axis {axis} of argument {i} taken to be {n}", after(right_for_one_size)
    for i in range(n_parts(result)):
        for name, change in of_array(result, i):
            yield f"part {i} {name}", after(lambda r, _, i=i, change=change: changed_part(r, i, change))


def of_array(result, i):
    shapes = []
    changed_part(result, i, lambda part: shapes.append(np.shape(part)) or part)
    yield "with its sign turned", lambda p: -np.asarray(p)
    yield "doubled", lambda p: 2 * np.asarray(p)
    yield "plus 0.1", lambda p: np.asarray(p) + 0.1
    yield "absolute", np.abs
    if shapes[0]:
        yield "transposed", lambda p: np.asarray(p).T
        yield "reversed", lambda p: np.asarray(p)[::-1]
        yield "rolled", lambda p: np.roll(p, 1, axis=0)
        yield "sorted", lambda p: np.sort(p, axis=0)
        yield "averaged", lambda p: np.full(np.shape(p), np.mean(p))
        yield "with its first entry zero", first_zero
        yield "with the last row for all", lambda p: np.broadcast_to(np.asarray(p)[-1], np.shape(p)).copy()


def first_zero(part):
    part = np.array(part, float)
    part.flat[0] = 0
    return part


def of_argument(argument):
    """Yield what may be done to one argument: ignored, constant, permuted, of another sign or size."""
    if callable(argument):
        yield (
            "replaced by a sine",
            lambda f: lambda a: np.sin(a) if np.ndim(f(a)) else float(np.sin(np.asarray(a)).sum()),
        )
        yield "with its sign turned", lambda f: lambda a: -f(a)
        yield "of minus its argument", lambda f: lambda a: f(-a)
        return
    if isinstance(argument, dict):
        yield "halved", lambda w: {name: a / 2 for name, a in w.items()}
        yield "with its sign turned", lambda w: {name: -a for name, a in w.items()}
        for name in argument:
            yield f"without {name}", lambda w, name=name: w | {name: 0 * w[name]}
        return
    if isinstance(argument, int):
        yield "one more", lambda n: n + 1
        yield "always 2", lambda n: 2  # noqa: ARG005
        yield "one less", lambda n: max(n - 1, 1)
        return
    yield "with its sign turned", lambda a: -a
    yield "doubled", lambda a: 2 * a
    yield "ignored", lambda a: 0 * a + GOLDEN
    yield "plus 0.1", lambda a: a + 0.1
    if not isinstance(argument, np.ndarray):
        return
    yield "absolute", np.abs
    yield "clipped", lambda a: np.clip(a, -1, 1)
    yield "averaged", lambda a: np.full_like(a, a.mean())
    for axis in range(argument.ndim):
        yield f"reversed along axis {axis}", lambda a, axis=axis: np.flip(a, axis).copy()
        yield f"rolled along axis {axis}", lambda a, axis=axis: np.roll(a, 1, axis)
        yield (
            f"first of axis {axis} for all",
            lambda a, axis=axis: np.broadcast_to(np.take(a, [0], axis), a.shape).copy(),
        )
        yield (
            f"averaged over axis {axis}",
            lambda a, axis=axis: np.broadcast_to(a.mean(axis, keepdims=True), a.shape).copy(),
        )
        yield f"without the last of axis {axis}", lambda a, axis=axis: zero_last(a, axis)
    if argument.ndim == 2 and argument.shape[0] == argument.shape[1]:
        yield "transposed", lambda a: a.T.copy()


def zero_last(a, axis):
    a = np.moveaxis(a.copy(), axis, 0)
    a[-1] = 0
    return np.moveaxis(a, 0, axis)
