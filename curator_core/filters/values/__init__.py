"""The one way in which filters of every domain look at values and change them."""

from curator_core.filters.values.fields import FieldError, Fields
from curator_core.filters.values.kinds import fields_of
from curator_core.filters.values.stepwise import FieldFilter

__all__ = ["FieldError", "FieldFilter", "Fields", "fields_of"]
