"""What third parties need to test their own components and backends.

Subclass a contract class in your test suite, give it the object under test, and pytest runs every test of
the contract on it::

    from curator_core.testing import SourceContract


    class TestMySource(SourceContract):
        def make_source(self, tmp_path):
            write_sample_files(tmp_path)
            return MySource(tmp_path)

`dummies` holds tiny components to put around it, `faults` makes chosen items fail, hang or kill their process, and
`registered` makes names known for the time of a test. pytest itself is needed only to run the tests, not to import this
package.
"""

from curator_core.testing.backend_contract import BackendContract
from curator_core.testing.contracts import FilterContract, SinkContract, SourceContract
from curator_core.testing.dummies import DatasetSink, FileSource, JsonSink, NumbersSource, StatisticsFilter
from curator_core.testing.faults import FaultySource, invocations
from curator_core.testing.location_contract import LocationContract
from curator_core.testing.registration import registered

__all__ = [
    "BackendContract",
    "DatasetSink",
    "FaultySource",
    "FileSource",
    "FilterContract",
    "JsonSink",
    "LocationContract",
    "NumbersSource",
    "SinkContract",
    "SourceContract",
    "StatisticsFilter",
    "invocations",
    "registered",
]
