"""The categories, a file each; PARTS holds them by name, sorted."""

from collections.abc import Mapping
from types import MappingProxyType

from finegrain.factory.part import Part
from finegrain.factory.parts.blister_pack import BLISTER_PACK
from finegrain.factory.parts.bolted_plate import BOLTED_PLATE
from finegrain.factory.parts.bottle_mouth import BOTTLE_MOUTH
from finegrain.factory.parts.cable_section import CABLE_SECTION
from finegrain.factory.parts.gasket import GASKET
from finegrain.factory.parts.gear import GEAR
from finegrain.factory.parts.pcb import PCB
from finegrain.factory.parts.woven_fabric import WOVEN_FABRIC

_ALL = (
    BLISTER_PACK,
    BOLTED_PLATE,
    BOTTLE_MOUTH,
    CABLE_SECTION,
    GASKET,
    GEAR,
    PCB,
    WOVEN_FABRIC,
)
PARTS: Mapping[str, Part] = MappingProxyType({part.name: part for part in _ALL})
