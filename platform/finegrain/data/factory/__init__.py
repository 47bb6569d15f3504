"""The embedded data set: industrial parts, good and defective, drawn from nothing but a seed.

frame.py     where things lie: frames, areas of pixels
shapes.py    signed distances to shapes, and bevels
textures.py  noise, brushed and turned metal, printed artwork
canvas.py    the surface that is painted: colour, height, gloss, owners, defect mask
light.py     a lamp, shadows, reflections, and the camera
ground.py    what parts lie on
flaws.py     damage that can befall any surface
part.py      Part, Flaw, Scene, and the facts of a caption
parts/       the categories, a file each
render.py    (category, split, defect, index, seed) -> Scene
write.py     the MVTec-AD layout on disk
sheet.py     a contact sheet
"""

from finegrain.data.factory.part import Part, Scene
from finegrain.data.factory.parts import PARTS as CATEGORIES
from finegrain.data.factory.render import SIDE, render
from finegrain.data.factory.sheet import contact_sheet
from finegrain.data.factory.write import VERSION, write_factory

__all__ = [
    "CATEGORIES",
    "SIDE",
    "VERSION",
    "Part",
    "Scene",
    "contact_sheet",
    "render",
    "write_factory",
]
