"""MFSC, the multi-level fine-grained semantic caption: what a category looks like, in words.

schema.py      Caption and Component, which check themselves
vocabulary.py  the closed lists of attribute values, and the words that sentences use for them
templates.py   facts -> Caption, without any model
from_photos/   from good photos and the frozen CLIP, without a language model
llm.py         from a multimodal model (chat.py: its endpoint)
store.py       captions by data set and category: the bundled library, or files of one's own
"""

from finegrain.captions.schema import Caption, Component, Provenance
from finegrain.captions.store import CaptionStore, find_caption
from finegrain.captions.templates import caption_from_facts

__all__ = [
    "Caption",
    "CaptionStore",
    "Component",
    "Provenance",
    "caption_from_facts",
    "find_caption",
]
