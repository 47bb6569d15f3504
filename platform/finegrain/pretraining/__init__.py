"""How the bundled model learns words: scenes, captions, losses, and what it is asked afterwards.

vocabulary.py  the closed lists          facts.py       what is true of a scene
drafting.py    what a scene will show    layout.py      where components stand
shapes.py, damage.py                     outlines, whole and faulty
surfaces.py, defects.py                  textures, materials, light; faults and their masks
scenes.py      a seed -> a Scene         cache.py       scenes as the frozen tower sees them
claims.py      what a sentence says      captions.py, states.py   sentences of parts, of condition
lessons.py     a batch of sentences and their truth
objectives.py  the losses                steps.py       one step     training.py  the loop
config.py      its settings
zeroshot.py    questions without shots   exam.py        all of them  card.py      the model card
"""
