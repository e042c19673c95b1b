"""Statistics of fields, over all items."""

from curator_core.filters.statistics.field_statistics import FieldStatistics, HasStatistics
from curator_core.filters.statistics.fields import numeric_fields
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.filters.statistics.split import split_of

__all__ = ["FieldStatistics", "HasStatistics", "StatisticsFilter", "numeric_fields", "split_of"]
