"""Numbers as text: three significant digits, shares in per cent, a dash for a missing value."""

DASH = "–"
NBSP = "\N{NO-BREAK SPACE}"


def digits(value: float | None) -> str:
    """Three significant digits, thousands separated: 0.00620, 182, 51,234."""
    if not value:
        return DASH if value is None else "0"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def percent(value: float | None) -> str:
    """A share: 24.2 %, and 131 % without the decimal."""
    return DASH if value is None else f"{100 * value:.{1 if value < 1 else 0}f}{NBSP}%"


def factor(value: float | None) -> str:
    """A ratio: 0.975 ×, 1.31 ×."""
    return DASH if value is None else f"{value:.{3 if value < 0.9995 else 2}f}{NBSP}×"


def count(value: float | None) -> str:
    """A whole number, thousands separated; a mean over seeds keeps one decimal."""
    return DASH if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def size(value: float | None) -> str:
    """A number of parameters: 812 k, 1.23 M."""
    if value is None or value < 1000:
        return count(value)
    return f"{value / 1e3:.0f}{NBSP}k" if value < 999_500 else f"{value / 1e6:.2f}{NBSP}M"


def decibels(value: float | None) -> str:
    """7.42 dB."""
    return DASH if value is None else f"{value:.2f}{NBSP}dB"


def hertz(value: float | None) -> str:
    """A frequency: 250 Hz, 1.5 kHz."""
    if value is None:
        return DASH
    return f"{value / 1000:.3g}{NBSP}kHz" if value >= 1000 else f"{value:.0f}{NBSP}Hz"


def interval(low: float | None, high: float | None) -> str:
    """0.0054–0.0070, or -3.2 to 1.5; empty if there is no interval."""
    if low is None or high is None or low == high:
        return ""
    return f"{digits(low)}{' to ' if low < 0 else '–'}{digits(high)}"


def duration(seconds: float | None) -> str:
    """Two units at most: 48 s, 12 min 5 s, 3 h 20 min."""
    if seconds is None:
        return DASH
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded}{NBSP}s"
    divisor, units = (60, ("min", "s")) if rounded < 3600 else (3600, ("h", "min"))
    large, small = rounded // divisor, rounded % divisor // (divisor // 60)
    return f"{large}{NBSP}{units[0]}" + (f" {small}{NBSP}{units[1]}" if small else "")


def hours(seconds: float) -> str:
    """One unit with a decimal: 2.5 h, 12.0 min, 7.5 s."""
    if seconds < 60:
        return f"{seconds:.1f}{NBSP}s"
    return f"{seconds / 3600:,.1f}{NBSP}h" if seconds >= 3600 else f"{seconds / 60:.1f}{NBSP}min"


def plural(n: int, noun: str) -> str:
    """1 window, 12 windows."""
    return f"{n:,} {noun}{'s' if n != 1 else ''}"
