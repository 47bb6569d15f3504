"""The closed lists that scenes are drawn from, and the words that captions may say instead.

Each key is the value that facts carry; its tuple holds the phrases for it, the key's own first.
They cover the MFSC lists of the published captions where a scene can show the value.
"""

COLORS: dict[str, tuple[int, int, int]] = {  # RGB under neutral light
    "black": (28, 28, 30),
    "white": (238, 238, 234),
    "grey": (128, 128, 130),
    "silver": (192, 196, 202),  # drawn with a metallic sheen
    "red": (204, 32, 34),
    "orange": (240, 132, 24),
    "yellow": (240, 216, 40),
    "green": (38, 150, 60),
    "cyan": (50, 196, 208),
    "blue": (34, 74, 200),
    "purple": (126, 44, 158),
    "pink": (240, 140, 180),
    "brown": (116, 70, 34),
    "beige": (220, 198, 160),
}
COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black", "black", "pure black", "jet black"),
    "white": ("white", "white", "pure white", "whitish"),
    "grey": ("grey", "gray", "greyish"),
    "silver": ("silver", "metallic silver", "metallic grey", "metallic", "steel"),
    "red": ("red", "red", "reddish", "crimson"),
    "orange": ("orange", "orange", "light orange", "amber"),
    "yellow": ("yellow", "yellow", "yellowish", "golden"),
    "green": ("green", "green", "greenish"),
    "cyan": ("cyan", "turquoise", "teal"),
    "blue": ("blue", "blue", "bluish"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "pinkish", "rose"),
    "brown": ("brown", "brown", "various browns", "brownish"),
    "beige": ("beige", "beige", "light beige", "cream", "tan"),
}
SHADED_COLORS = ("grey", "green", "blue", "brown", "purple")  # may be light or dark

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circular": ("circular", "round", "circle", "disc", "rounded"),
    "oval": ("oval", "elliptical", "ellipse"),
    "square": ("square", "square-shaped"),
    "rectangular": ("rectangular", "elongated", "rectangle", "bar", "straight"),
    "triangular": ("triangular", "triangle"),
    "diamond-shaped": ("diamond-shaped", "diamond", "rhombic"),
    "hexagonal": ("hexagonal", "hexagon"),
    "star-shaped": ("star-shaped", "star", "radial spokes"),
    "cross-shaped": ("cross-shaped", "cross", "four protrusions"),
    "crescent": ("crescent", "crescent-shaped"),
    "semi-circular": ("semi-circular", "half circle", "semicircular"),
    "kidney-shaped": ("kidney-shaped", "bean-shaped"),
    "spherical": ("spherical", "sphere", "ball"),
    "cylindrical": ("cylindrical", "cylinder", "tube"),
}
NOUN_SHAPES = {
    "circle", "disc", "ellipse", "rectangle", "bar", "triangle", "diamond", "hexagon", "star",
    "cross", "half circle", "sphere", "ball", "cylinder", "tube",
}  # fmt: skip

TEXTURE_WORDS: dict[str, tuple[str, ...]] = {
    "smooth": ("smooth", "plain", "flat", "even"),
    "rough": ("rough", "coarse", "textured"),
    "granular": ("granular", "speckled", "grainy"),
    "striped": ("striped", "threaded", "ribbed", "grooved"),
    "dotted": ("dotted", "studded"),
    "checkered": ("checkered", "chequered"),
    "crinkled": ("crinkled", "wrinkled", "creased"),
    "bristled": ("bristled", "fuzzy", "hairy"),
}

LOCATION_WORDS: dict[str, tuple[str, ...]] = {
    "center": ("center", "centre", "middle"),
    "left": ("left", "left side", "left center"),
    "right": ("right", "right side", "right center"),
    "top": ("top", "top center", "upper part"),
    "bottom": ("bottom", "bottom center", "lower part"),
    "top left": ("top left", "upper left", "top left corner"),
    "top right": ("top right", "upper right", "top right corner"),
    "bottom left": ("bottom left", "lower left", "bottom left corner"),
    "bottom right": ("bottom right", "lower right", "bottom right corner"),
    "corners": ("corners", "four corners"),
    "both sides": ("both sides", "left and right sides"),
    "scattered": ("scattered", "throughout", "evenly distributed"),
    "entire image": ("entire image", "throughout"),
}
CELLS = tuple(LOCATION_WORDS)[:9]  # the nine single places

NUMBER_WORDS: dict[str, tuple[str, ...]] = {
    "1": ("one", "1", "a single", "a"),
    "2": ("two", "2"),
    "3": ("three", "3"),
    "4": ("four", "4"),
    "5": ("five", "5"),
    "multiple": ("multiple", "many", "several"),
}

MATERIAL_WORDS: dict[str, tuple[str, ...]] = {  # what a background, or a whole image, is made of
    "plain": ("plain", "smooth", "clean"),
    "textured": ("textured", "rough", "mottled"),
    "wooden": ("wooden", "wood", "wood grain"),
    "stone": ("stone", "concrete", "tile"),
    "metal": ("metal", "brushed metal"),
    "leather": ("leather", "leathery"),
    "speckled": ("speckled", "granular", "terrazzo"),
}

DEFECT_WORDS: dict[str, tuple[str, ...]] = {
    "scratch": ("scratch", "small scratches", "scratches", "scrape", "score mark"),
    "crack": ("crack", "cracks", "fracture", "split"),
    "cut": ("cut", "slit", "gash", "tear"),
    "hole": ("hole", "poke", "pinhole", "puncture", "pit"),
    "stain": ("stain", "color stain", "colour spot", "spot", "color spot", "oil stain"),
    "chip": ("chip", "small chip around edge", "chipped edge", "corner missing", "notch"),
    "breakage": ("breakage", "large breakage", "broken part", "missing part", "missing piece"),
    "dent": ("dent", "squeezed compression", "bump", "impact mark"),
    "bend": ("bend", "bent shape", "deformation", "misshape"),
    "contamination": ("contamination", "foreign particles", "dirt", "debris", "dust"),
    "discoloration": ("discoloration", "burnt", "discolor", "fading", "rust"),
    "residue": ("residue", "glue", "liquid", "leak", "melt", "bubble"),
    "fibre": ("fibre", "thread residue", "thread", "hair"),
}
GEOMETRIC_DEFECTS = ("chip", "breakage", "bend")  # they change a component's outline

NOUNS = ("part", "object", "component", "item", "piece", "product", "element", "workpiece")
"""Subjects of a caption; other nouns mean nothing to the model and must degrade gently."""
