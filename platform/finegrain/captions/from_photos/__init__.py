"""A caption from K good photos and the frozen CLIP, without a language model.

regions.py   which pixels show which component        lab.py      colours and their names
measures.py  number, place and direction from masks   answers.py  what the CLIP says, zero-shot
build.py     the caption of all that
"""

from finegrain.captions.from_photos.build import PhotoCaption, caption_from_photos

__all__ = ["PhotoCaption", "caption_from_photos"]
