"""pandas' values as data and back, as `stdlib` does it for the standard library: frames, series, indexes, arrays, moments.

Each is read as columns of plain data and rebuilt by pandas' own constructors from checked parts: kinds of columns come from
closed tables, cells of mixed columns are plain values of exact types, and nothing is pickled. What is no such data (groups,
sparse columns, subclasses) does not cross. What the candidate changes in a frame that it was given stays at its end.
numpy's arrays of moments, durations and mixed cells cross here as well. Standard library only; pandas where it is loaded.
"""

import datetime
import decimal
import fractions
import re
import sys
import uuid
from collections.abc import Callable
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside.stdlib import array_body, zone_back, zone_parts

Take = Callable[[Any], Any]  # encodes, or decodes, one part
LIBRARIES = ("numpy", "pandas")
NAMES = ("pandas", "cells")
_MOST = 2_000_000  # rows
_PLAIN_KINDS, _TIME_KINDS = "biufc", "mM"
_NULLABLE = re.compile(r"U?Int(8|16|32|64)|Float(32|64)|boolean|str|string")
_FREQUENCY = re.compile(r"[-+A-Za-z0-9]{1,40}")
_CELLS: tuple[type, ...] = (
    *(str, int, float, bool, type(None), bytes, complex, list, tuple, dict, set, frozenset, decimal.Decimal),
    *(fractions.Fraction, datetime.date, datetime.datetime, datetime.time, datetime.timedelta, uuid.UUID),
)


def _loaded(name: str) -> Any:
    found = sys.modules.get(name)
    if found is None:
        raise CodecError(f"a value of {name}, which the other end does not use")
    return found


def names() -> frozenset[str]:
    """Return the attributes of pandas' values, where it is loaded: no object of the candidate's answers under them."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not hasattr(pandas, "DataFrame"):
        return frozenset()
    kinds = (pandas.DataFrame, pandas.Series, pandas.Index, pandas.Timestamp, pandas.Timedelta)
    return frozenset(name for kind in kinds for name in dir(kind) if not name.startswith("_"))


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise CodecError("not a number")
    return value


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    if type(value) is not str or not pattern.fullmatch(value):
        raise CodecError("not a name of pandas'")
    return value


# -- out -------------------------------------------------------------------------------------------------------------------


def encode(value: Any, take: Take) -> list[Any] | None:
    """Return one of pandas' values, or of numpy's that `stdlib` does not know, as [name, parts..]; None for what is none."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.dtype):
        return ["cells", "dtype", value.str]
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic) and type(value).__module__ == "numpy":
        return _cells(value, take) if value.dtype.kind in "OmM" else None
    return _pandas(pandas, value, take) if pandas is not None and hasattr(pandas, "DataFrame") else None


def _cells(value: Any, take: Take) -> list[Any]:
    """Return an array or scalar of moments, durations or mixed cells."""
    numpy = _loaded("numpy")
    shape = list(value.shape) if isinstance(value, numpy.ndarray) else None
    return ["cells", shape, _column(numpy.asarray(value).ravel(), take)]


def _pandas(pandas: Any, value: Any, take: Take) -> list[Any] | None:
    if value is pandas.NaT or value is pandas.NA:
        return ["pandas", "NaT" if value is pandas.NaT else "NA"]
    kind = type(value)
    if kind is pandas.DataFrame:
        columns = [_column(value.iloc[:, place].array, take) for place in range(value.shape[1])]
        return ["pandas", "frame", _index(value.index, take), _index(value.columns, take), columns]
    if kind is pandas.Series:
        return ["pandas", "series", _column(value.array, take), _index(value.index, take), take(value.name)]
    if kind in (pandas.Timestamp, pandas.Timedelta):
        zone = zone_parts(value.tzinfo, take) if kind is pandas.Timestamp else None
        if zone is None and getattr(value, "tzinfo", None) is not None:
            raise CodecError("a time zone that is no zone of the standard library's")
        return ["pandas", kind.__name__, int(value.asm8.astype("int64")), value.unit, zone]
    if kind is pandas.Period:
        return ["pandas", "Period", str(value), value.freqstr]
    if kind is pandas.Interval:
        return ["pandas", "Interval", take(value.left), take(value.right), value.closed]
    if isinstance(value, pandas.Index):
        return ["pandas", "index", _index(value, take)]
    if isinstance(value, pandas.api.extensions.ExtensionArray):
        return ["pandas", "column", _column(value, take)]
    if isinstance(value, pandas.api.extensions.ExtensionDtype):
        return ["pandas", "dtype", _text(str(value), _NULLABLE)]
    return None


def _column(array: Any, take: Take) -> list[Any]:
    """Return a column as [kind, parts..]."""
    numpy, pandas = _loaded("numpy"), sys.modules.get("pandas")
    if pandas is not None and type(array) is pandas.arrays.NumpyExtensionArray:  # of texts, there are subclasses
        array = array.to_numpy()
    dtype = array.dtype
    if isinstance(dtype, numpy.dtype):
        plain = numpy.asarray(array)
        if dtype.kind in _PLAIN_KINDS:
            return ["plain", dtype.str, array_body(plain)]
        if dtype.kind in _TIME_KINDS:
            return ["time", dtype.str, plain.astype("int64").tolist(), None]
        if dtype.kind == "O":
            return ["mixed", take(tuple(plain.tolist()))]
    elif pandas is not None and isinstance(dtype, pandas.CategoricalDtype):
        return ["category", array.codes.tolist(), _index(dtype.categories, take), bool(dtype.ordered)]
    elif pandas is not None and isinstance(dtype, pandas.DatetimeTZDtype):
        values = array.tz_convert("UTC").tz_localize(None).to_numpy()
        return ["time", values.dtype.str, values.astype("int64").tolist(), zone_parts(dtype.tz, take) or _no_zone()]
    elif pandas is not None and isinstance(dtype, pandas.PeriodDtype):
        return ["period", str(dtype)[7:-1], [None if item is pandas.NaT else str(item) for item in array]]
    elif pandas is not None and isinstance(dtype, pandas.IntervalDtype):
        return ["interval", _column(array.left.array, take), _column(array.right.array, take), dtype.closed]
    elif _NULLABLE.fullmatch(str(dtype)):
        return ["nullable", str(dtype), [None if pandas.isna(item) else _item(item) for item in array]]  # type: ignore[union-attr]
    raise CodecError(f"a column of {str(dtype)[:50]}")


def _no_zone() -> Any:
    raise CodecError("a time zone that is no zone of the standard library's")


def _item(item: Any) -> Any:
    return item.item() if hasattr(item, "item") else item


def _index(index: Any, take: Take) -> list[Any]:
    pandas = _loaded("pandas")
    if type(index).__module__.partition(".")[0] != "pandas":
        raise CodecError("an index of a class of its own")
    if isinstance(index, pandas.MultiIndex):
        levels = [_index(level, take) for level in index.levels]
        return ["levels", levels, [list(map(int, codes)) for codes in index.codes], take(tuple(index.names))]
    if isinstance(index, pandas.RangeIndex):
        return ["range", index.start, index.stop, index.step, take(index.name)]
    return ["values", _column(index.array, take), getattr(index, "freqstr", None), take(index.name)]


# -- back ------------------------------------------------------------------------------------------------------------------


def decode(body: list[Any], take: Take) -> Any:
    """Return the value of [name, parts..]; whatever is wrong with it is a CodecError."""
    try:
        if body[0] == "cells":
            return _cells_back(body[1], body[2], take)
        return _BACK[body[1]](_loaded("pandas"), body[2:], take)
    except CodecError:
        raise
    except Exception as error:  # pandas has exceptions of many kinds
        raise CodecError(f"not one of pandas' values: {type(error).__name__}: {error}") from None


def _cells_back(shape: Any, column: Any, take: Take) -> Any:
    numpy = _loaded("numpy")
    if shape == "dtype":
        return numpy.dtype(_text(column, re.compile(r"[<>|=]?[biufcOUSmM]\d{0,4}(\[\d{0,3}[a-zA-Zμ]{1,2}\])?")))
    flat = numpy.asarray(_column_back(column, take))
    return flat[0] if shape is None else flat.reshape(tuple(map(_whole, shape)))


def _plain_back(parts: list[Any], take: Take) -> Any:
    numpy, (name, items) = _loaded("numpy"), parts
    dtype = numpy.dtype(_text(name, re.compile(r"[<>|=]?[biufc]\d{1,2}")))
    return numpy.array([complex(*pair) for pair in items] if dtype.kind == "c" else items, dtype=dtype)


def _time_column_back(parts: list[Any], take: Take) -> Any:
    numpy, (name, items, zone) = _loaded("numpy"), parts
    values = numpy.array(items, dtype="int64").view(_text(name, re.compile(r"[<>=]?[mM]8(\[\d{0,3}[a-zA-Zμ]{1,2}\])?")))
    if zone is None:
        return values
    return _loaded("pandas").DatetimeIndex(values).tz_localize("UTC").tz_convert(zone_back(zone, take)).array


def _mixed_back(parts: list[Any], take: Take) -> Any:
    numpy, cells = _loaded("numpy"), take(parts[0])
    made = numpy.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        made[place] = _checked(cell)
    return made


def _checked(cell: Any) -> Any:
    """Return a plain value, or refuse it: operators of pandas' call those of the cells."""
    kind = type(cell)
    if kind in _CELLS or kind.__module__ in ("numpy", "numpy.dtypes") or kind.__module__.partition(".")[0] == "pandas":
        return cell
    raise CodecError(f"a cell of type {kind.__name__}")


def _category_back(parts: list[Any], take: Take) -> Any:
    codes, categories = list(map(_whole, parts[0])), _index_back(parts[1], take)
    return _loaded("pandas").Categorical.from_codes(codes, categories, ordered=parts[2] is True)


def _period_back(parts: list[Any], take: Take) -> Any:
    frequency = _text(parts[0], _FREQUENCY)
    texts = [None if item is None else _text(item, re.compile(r"[-+:./ A-Za-z0-9]{1,50}")) for item in parts[1]]
    return _loaded("pandas").PeriodIndex(texts, freq=frequency).array


def _interval_back(parts: list[Any], take: Take) -> Any:
    left, right = (_column_back(body, take) for body in parts[:2])
    return _loaded("pandas").arrays.IntervalArray.from_arrays(left, right, closed=parts[2])


_COLUMNS: dict[str, Callable[[list[Any], Take], Any]] = {
    "plain": _plain_back,
    "time": _time_column_back,
    "mixed": _mixed_back,
    "category": _category_back,
    "period": _period_back,
    "interval": _interval_back,
    "nullable": lambda p, t: _loaded("pandas").array(list(map(_checked, p[1])), dtype=_text(p[0], _NULLABLE)),
}


def _column_back(body: Any, take: Take) -> Any:
    name, *parts = body
    made = _COLUMNS[name](parts, take)
    if len(made) > _MOST:
        raise CodecError("too many rows")
    return made


def _index_back(body: Any, take: Take) -> Any:
    pandas, (name, *parts) = _loaded("pandas"), body
    if name == "levels":
        levels, codes, names = parts
        held = [_index_back(level, take) for level in levels]
        return pandas.MultiIndex(levels=held, codes=codes, names=[_checked(one) for one in take(names)])
    title = _checked(take(parts[-1]))
    if name == "range":
        made = pandas.RangeIndex(*map(_whole, parts[:3]), name=title)
        if len(made) > _MOST:
            raise CodecError("too many rows")
        return made
    values = _column_back(parts[0], take)
    made = pandas.Index(values, dtype=values.dtype, name=title)
    if parts[1] is not None and hasattr(made, "freq") and not isinstance(made, pandas.PeriodIndex):
        made.freq = _text(parts[1], _FREQUENCY)
    return made


def _series(pandas: Any, values: Any, index: Any, title: Any) -> Any:
    return pandas.Series(values, index=index, dtype=values.dtype, name=title)


def _array(pandas: Any, values: Any) -> Any:
    return pandas.arrays.NumpyExtensionArray(values) if type(values).__module__ == "numpy" else values


def _frame_back(pandas: Any, parts: list[Any], take: Take) -> Any:
    index, columns = _index_back(parts[0], take), _index_back(parts[1], take)
    made = {place: _series(pandas, _column_back(body, take), index, None) for place, body in enumerate(parts[2])}
    frame = pandas.DataFrame(made) if made else pandas.DataFrame(index=index)
    frame.columns = columns
    return frame


def _moment_back(kind: str) -> Callable[[Any, list[Any], Take], Any]:
    def back(pandas: Any, parts: list[Any], take: Take) -> Any:
        number, unit, zone = parts
        numpy = _loaded("numpy")
        make = numpy.datetime64 if kind == "Timestamp" else numpy.timedelta64
        made = getattr(pandas, kind)(make(_whole(number), _text(unit, re.compile(r"s|ms|us|ns"))))
        return made if zone is None else made.tz_localize("UTC").tz_convert(zone_back(zone, take))

    return back


_BACK: dict[str, Callable[[Any, list[Any], Take], Any]] = {
    "NaT": lambda pd, p, t: pd.NaT,
    "NA": lambda pd, p, t: pd.NA,
    "frame": _frame_back,
    "series": lambda pd, p, t: _series(pd, _column_back(p[0], t), _index_back(p[1], t), _checked(t(p[2]))),
    "index": lambda pd, p, t: _index_back(p[0], t),
    "column": lambda pd, p, t: _array(pd, _column_back(p[0], t)),
    "dtype": lambda pd, p, t: pd.api.types.pandas_dtype(_text(p[0], _NULLABLE)),
    "Timestamp": _moment_back("Timestamp"),
    "Timedelta": _moment_back("Timedelta"),
    "Period": lambda pd, p, t: pd.Period(_text(p[0], re.compile(r"[-+:./ A-Za-z0-9]{1,50}")), freq=_text(p[1], _FREQUENCY)),
    "Interval": lambda pd, p, t: pd.Interval(_checked(t(p[0])), _checked(t(p[1])), closed=p[2]),
}
