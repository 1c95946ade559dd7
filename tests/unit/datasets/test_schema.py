from __future__ import annotations

import pandas as pd
import pytest
from pandera.pandas import Check, Column, DataFrameSchema

from sailplane.datasets import fields
from sailplane.datasets.schema import fingerprint
from sailplane.errors import ConfigurationError


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (float, "number"),
        ("float32", "number"),
        (int, "integer"),
        ("Int64", "integer"),
        ("uint8", "integer"),
        (str, "string"),
        (pd.StringDtype(), "string"),
        (bool, "boolean"),
        ("boolean", "boolean"),
        (pd.DatetimeTZDtype("us", "UTC"), "timestamp"),
        ("datetime64[ns]", "timestamp"),
    ],
)
def test_each_type_has_its_kind(dtype, kind):
    (field,) = fields(DataFrameSchema({"x": Column(dtype, nullable=True)}))
    assert (field.name, field.kind, field.nullable) == ("x", kind, True)


def test_the_columns_keep_their_order():
    schema = DataFrameSchema({name: Column(float) for name in "zax"})
    assert [field.name for field in fields(schema)] == ["z", "a", "x"]


@pytest.mark.parametrize("column", [Column(), Column(object), Column("timedelta64[ns]"), Column(float, regex=True)])
def test_a_column_without_a_kind_is_named(column):
    with pytest.raises(ConfigurationError, match="read the schema's column 'x'"):
        fields(DataFrameSchema({"x": column}))


def test_the_fingerprint_follows_types_and_checks():
    variants = [
        DataFrameSchema({"x": Column(float)}),
        DataFrameSchema({"x": Column(int)}),
        DataFrameSchema({"x": Column(float, nullable=True)}),
        DataFrameSchema({"x": Column(float, Check.greater_than(0))}),
        DataFrameSchema({"x": Column(float, Check.greater_than(1))}),
        DataFrameSchema({"x": Column(float)}, checks=Check(lambda frame: frame["x"] > 0, name="positive")),
    ]
    assert len({fingerprint(schema) for schema in variants}) == len(variants)
    assert fingerprint(variants[3]) == fingerprint(DataFrameSchema({"x": Column(float, Check.greater_than(0))}))
