"""The embedded data set: industrial parts, good and defective, drawn from nothing but a seed.

frame.py     where things lie: frames, areas of pixels
shapes.py    signed distances to shapes, and bevels
textures.py  noise, brushed and turned metal, printed artwork
canvas.py    the surface that is painted: colour, height, gloss, owners, defect mask
light.py     a lamp, shadows, reflections, and the camera
ground.py    what parts lie on
flaws.py     damage that can befall any surface
part.py      Part, Flaw, Rendering, and the facts of a caption
parts/       the categories, a file each
render.py    (category, split, defect, index, seed) -> Rendering
write.py     the MVTec-AD layout on disk
sheet.py     a contact sheet
"""

from finegrain.factory.part import Part, Rendering
from finegrain.factory.parts import PARTS as CATEGORIES
from finegrain.factory.render import SIDE, render
from finegrain.factory.sheet import contact_sheet
from finegrain.factory.write import FACTORIES, VERSION, write_factory

__all__ = [
    "CATEGORIES",
    "FACTORIES",
    "SIDE",
    "VERSION",
    "Part",
    "Rendering",
    "contact_sheet",
    "render",
    "write_factory",
]
