"""The vocabulary of Croissant for responsible AI."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_ONE = (
    "dataCollection",
    "dataCollectionMissingData",
    "dataCollectionRawData",
    "dataImputationProtocol",
    "dataManipulationProtocol",
    "dataAnnotationProtocol",
    "dataSocialImpact",
    "annotationsPerItem",
)
_MANY = (
    "dataCollectionType",
    "dataCollectionTimeframe",
    "dataPreprocessingProtocol",
    "dataAnnotationPlatform",
    "dataAnnotationAnalysis",
    "dataReleaseMaintenancePlan",
    "personalSensitiveInformation",
    "dataBiases",
    "dataLimitations",
    "dataUseCases",
    "annotatorDemographics",
    "machineAnnotationTools",
)

RAI_PROPERTIES: Final[Mapping[str, bool]] = MappingProxyType(
    {**dict.fromkeys(_ONE, False), **dict.fromkeys(_MANY, True)}
)
"""Properties of the Croissant RAI vocabulary 1.0, and whether they take several texts."""
