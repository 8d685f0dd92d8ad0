"""How numbers are written: three significant digits, shares in per cent, and a dash for what there is not."""

NONE = "–"
SPACE = "\N{NO-BREAK SPACE}"


def digits(value: float | None) -> str:
    """Three significant digits, thousands separated: 0.00620, 182, 51,234."""
    if not value:
        return NONE if value is None else "0"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def percent(value: float | None) -> str:
    """A share: 24.2 %, and 131 % without the decimal."""
    return NONE if value is None else f"{100 * value:.{1 if value < 1 else 0}f}{SPACE}%"


def times(value: float | None) -> str:
    """A factor: 0.975 ×, 1.31 ×."""
    return NONE if value is None else f"{value:.{3 if value < 0.9995 else 2}f}{SPACE}×"


def count(value: float | None) -> str:
    """A whole number, thousands separated; one decimal where it is a mean over seeds."""
    return NONE if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def size(value: float | None) -> str:
    """A number of parameters: 812 k, 1.23 M."""
    if value is None or value < 1000:
        return count(value)
    return f"{value / 1e3:.0f}{SPACE}k" if value < 999_500 else f"{value / 1e6:.2f}{SPACE}M"


def decibels(value: float | None) -> str:
    """A level or a distance: 7.42 dB."""
    return NONE if value is None else f"{value:.2f}{SPACE}dB"


def hertz(value: float | None) -> str:
    """A frequency: 250 Hz, 1.5 kHz."""
    if value is None:
        return NONE
    return f"{value / 1000:.3g}{SPACE}kHz" if value >= 1000 else f"{value:.0f}{SPACE}Hz"


def span(low: float | None, high: float | None) -> str:
    """An interval, 0.0054–0.0070, or an empty text where there is none."""
    return "" if low is None or high is None or low == high else f"{digits(low)}–{digits(high)}"


def clock(seconds: float | None) -> str:
    """A duration: 48 s, 12 min 5 s, 3 h 20 min."""
    if seconds is None:
        return NONE
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    big, small, names = (
        (whole // 60, whole % 60, ("min", "s")) if whole < 3600 else (whole // 3600, whole % 3600 // 60, ("h", "min"))
    )
    return f"{big}{SPACE}{names[0]}" + (f" {small}{SPACE}{names[1]}" if small else "")


def number_of(n: int, name: str) -> str:
    """1 window, 12 windows."""
    return f"{n:,} {name}{'s' if n != 1 else ''}"
