"""Tables that a person can read."""

from typing import Any

Rows = list[dict[str, Any]]


def print_table(rows: Rows, digits: dict[str, int] | None = None) -> None:
    """Print rows under their field names, numbers to the right with 3 decimals or as many as ``digits`` says."""
    columns = list(rows[0])
    cells = [[_cell(row[column], (digits or {}).get(column, 3)) for column in columns] for row in rows]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    numeric = [any(isinstance(row[c], (int, float)) and not isinstance(row[c], bool) for row in rows) for c in columns]
    for line in [columns, *cells]:
        padded = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        print("  ".join(padded).rstrip())


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "ok" if value else "FAIL"
    if isinstance(value, float):
        return f"{value:.1e}" if digits == 3 and 0 < abs(value) < 1e-3 else f"{value:.{digits}f}"
    return str(value)
