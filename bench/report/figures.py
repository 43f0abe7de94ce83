"""Figures as people read them."""


def number(value: float) -> str:
    """Three significant digits or whole numbers, with thousands set apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def span(low: float, high: float) -> str:
    """A range; empty if it is none."""
    return "" if low == high else f"{number(low)} - {number(high)}"


def times(value: float | None) -> str:
    """A ratio."""
    return "" if value is None else f"{number(value)}x"
