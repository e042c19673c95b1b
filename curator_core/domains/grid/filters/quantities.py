"""Names of the quantities of weather: those of ECMWF, of the CF conventions, and of WeatherBench.

References
----------
ECMWF parameter database (short names, and the names of ecCodes in NetCDF); CF standard name table; variables of the
ERA5 stores of WeatherBench 2.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Level = Literal["pressure", "single"]
"""Whether values are on levels of pressure, or on one level."""


class Quantity(NamedTuple):
    """One quantity and its names."""

    level: Level
    ecmwf: str
    """Short name."""
    netcdf: str
    """Name that ecCodes gives it in NetCDF, as in files of the Climate Data Store."""
    weatherbench: str
    standard_names: tuple[str, ...] = ()
    """Those of CF, the first of which is given to it."""
    height: float | None = None
    """Above the ground, in m."""

    @property
    def standard_name(self) -> str:
        """The one that it is given; empty where CF has none."""
        return self.standard_names[0] if self.standard_names else ""

    @property
    def units(self) -> tuple[str, ...]:
        """Units that its values can have, without those that are the same in other words."""
        if self.standard_name.startswith("integral_wrt_time_of_"):
            return ("J m-2",)
        return next((units for units, names in _UNITS.items() if self.ecmwf in names), ())


_UNITS: Final = {
    ("K", "degC", "C", "celsius", "kelvin"): ("t", "2t", "2d", "sst", "skt", "stl1", "stl2", "stl3", "stl4"),
    ("m s-1",): ("u", "v", "10u", "10v", "10si", "100u", "100v"),
    ("Pa", "hPa", "mbar", "millibar", "millibars"): ("msl", "sp"),
    ("kg kg-1", "g kg-1", "1"): ("q", "o3", "clwc", "ciwc"),
    ("1", "%", "m3 m-3"): ("r", "cc", "lsm", "ci", "tcc", "swvl1", "swvl2", "swvl3", "swvl4"),
    ("m", "mm"): ("sd", "tp", "cp", "lsp", "sf", "e", "ro", "blh", "sdor"),
    ("m2 s-2",): ("z",),
    ("Pa s-1",): ("w",),
    ("s-1",): ("vo", "d"),
    ("kg m-2",): ("tcw", "tcwv"),
    ("J kg-1",): ("cape",),
    ("1", "Numeric"): ("slor",),
}
"""Units by the short names of the quantities."""
_PRESSURE: Final = (
    ("z", "z", "geopotential", "geopotential"),
    ("t", "t", "temperature", "air_temperature"),
    ("u", "u", "u_component_of_wind", "eastward_wind"),
    ("v", "v", "v_component_of_wind", "northward_wind"),
    ("w", "w", "vertical_velocity", "lagrangian_tendency_of_air_pressure"),
    ("q", "q", "specific_humidity", "specific_humidity"),
    ("r", "r", "relative_humidity", "relative_humidity"),
    ("vo", "vo", "vorticity", "atmosphere_upward_relative_vorticity", "atmosphere_relative_vorticity"),
    ("d", "d", "divergence", "divergence_of_wind"),
    ("o3", "o3", "ozone_mass_mixing_ratio", "mass_fraction_of_ozone_in_air"),
    ("clwc", "clwc", "specific_cloud_liquid_water_content", "mass_fraction_of_cloud_liquid_water_in_air"),
    ("ciwc", "ciwc", "specific_cloud_ice_water_content", "mass_fraction_of_cloud_ice_in_air"),
    ("cc", "cc", "fraction_of_cloud_cover", "cloud_area_fraction_in_atmosphere_layer"),
)
_SINGLE: Final = (
    ("2t", "t2m", "2m_temperature", "air_temperature"),
    ("2d", "d2m", "2m_dewpoint_temperature", "dew_point_temperature"),
    ("10u", "u10", "10m_u_component_of_wind", "eastward_wind"),
    ("10v", "v10", "10m_v_component_of_wind", "northward_wind"),
    ("10si", "si10", "10m_wind_speed", "wind_speed"),
    ("100u", "u100", "100m_u_component_of_wind", "eastward_wind"),
    ("100v", "v100", "100m_v_component_of_wind", "northward_wind"),
    ("msl", "msl", "mean_sea_level_pressure", "air_pressure_at_mean_sea_level", "air_pressure_at_sea_level"),
    ("sp", "sp", "surface_pressure", "surface_air_pressure"),
    ("z", "z", "geopotential_at_surface", "surface_geopotential", "geopotential"),
    ("lsm", "lsm", "land_sea_mask", "land_area_fraction", "land_binary_mask"),
    ("sst", "sst", "sea_surface_temperature", "sea_surface_temperature"),
    ("skt", "skt", "skin_temperature", "surface_temperature"),
    ("ci", "siconc", "sea_ice_cover", "sea_ice_area_fraction"),
    ("sd", "sd", "snow_depth", "lwe_thickness_of_surface_snow_amount"),
    ("tcc", "tcc", "total_cloud_cover", "cloud_area_fraction"),
    ("tcw", "tcw", "total_column_water", "atmosphere_mass_content_of_water"),
    (
        "tcwv",
        "tcwv",
        "total_column_water_vapour",
        "atmosphere_mass_content_of_water_vapor",
        "lwe_thickness_of_atmosphere_mass_content_of_water_vapor",
    ),
    ("tp", "tp", "total_precipitation", "lwe_thickness_of_precipitation_amount"),
    ("cp", "cp", "convective_precipitation", "lwe_thickness_of_convective_precipitation_amount"),
    ("lsp", "lsp", "large_scale_precipitation", "lwe_thickness_of_stratiform_precipitation_amount"),
    ("sf", "sf", "snowfall", "lwe_thickness_of_snowfall_amount"),
    ("e", "e", "evaporation", "lwe_thickness_of_water_evaporation_amount"),
    ("ro", "ro", "runoff", "lwe_thickness_of_runoff_amount", "runoff_amount"),
    ("blh", "blh", "boundary_layer_height", "atmosphere_boundary_layer_thickness"),
    (
        "cape",
        "cape",
        "convective_available_potential_energy",
        "atmosphere_convective_available_potential_energy",
        "atmosphere_convective_available_potential_energy_wrt_surface",
    ),
    (
        "tisr",
        "tisr",
        "toa_incident_solar_radiation",
        "integral_wrt_time_of_toa_incoming_shortwave_flux",
        "toa_incoming_shortwave_flux",
    ),
    (
        "ssrd",
        "ssrd",
        "surface_solar_radiation_downwards",
        "integral_wrt_time_of_surface_downwelling_shortwave_flux_in_air",
        "surface_downwelling_shortwave_flux_in_air",
    ),
    (
        "strd",
        "strd",
        "surface_thermal_radiation_downwards",
        "integral_wrt_time_of_surface_downwelling_longwave_flux_in_air",
        "surface_downwelling_longwave_flux_in_air",
    ),
    (
        "ssr",
        "ssr",
        "surface_net_solar_radiation",
        "integral_wrt_time_of_surface_net_downward_shortwave_flux",
        "surface_net_downward_shortwave_flux",
    ),
    (
        "str",
        "str",
        "surface_net_thermal_radiation",
        "integral_wrt_time_of_surface_net_downward_longwave_flux",
        "surface_net_upward_longwave_flux",
    ),
    (
        "sshf",
        "sshf",
        "surface_sensible_heat_flux",
        "integral_wrt_time_of_surface_downward_sensible_heat_flux",
        "surface_upward_sensible_heat_flux",
    ),
    (
        "slhf",
        "slhf",
        "surface_latent_heat_flux",
        "integral_wrt_time_of_surface_downward_latent_heat_flux",
        "surface_upward_latent_heat_flux",
    ),
    ("swvl1", "swvl1", "volumetric_soil_water_layer_1", "volume_fraction_of_condensed_water_in_soil"),
    ("swvl2", "swvl2", "volumetric_soil_water_layer_2", "volume_fraction_of_condensed_water_in_soil"),
    ("swvl3", "swvl3", "volumetric_soil_water_layer_3", "volume_fraction_of_condensed_water_in_soil"),
    ("swvl4", "swvl4", "volumetric_soil_water_layer_4", "volume_fraction_of_condensed_water_in_soil"),
    ("stl1", "stl1", "soil_temperature_level_1", "soil_temperature", "surface_temperature"),
    ("stl2", "stl2", "soil_temperature_level_2", "soil_temperature"),
    ("stl3", "stl3", "soil_temperature_level_3", "soil_temperature"),
    ("stl4", "stl4", "soil_temperature_level_4", "soil_temperature"),
    ("sdor", "sdor", "standard_deviation_of_orography"),
    ("slor", "slor", "slope_of_sub_gridscale_orography"),
)
_HEIGHTS: Final = {"2t": 2.0, "2d": 2.0, "10u": 10.0, "10v": 10.0, "10si": 10.0, "100u": 100.0, "100v": 100.0}
"""Above the ground, in m."""

QUANTITIES: Final[tuple[Quantity, ...]] = (
    *(Quantity("pressure", *row[:3], row[3:]) for row in _PRESSURE),
    *(Quantity("single", *row[:3], row[3:], _HEIGHTS.get(row[0])) for row in _SINGLE),
)
"""All that have names here."""
