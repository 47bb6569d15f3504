"""FineGrainedAD, a file an idea; the paper's equation numbers stand beside the code.

config.py        every switch and weight, one small config a stage
paper.py         the paper's values of all of them
units.py         a caption's units (image, foreground, components, background) as sentences
prompt_rows.py   prompts as token embeddings with open places for learnable vectors
prompts.py       PromptBank: handcrafted and learnable prompts -> features per unit
regions.py       which tokens of the shots belong to which unit (DPC-KNN)
losses.py        alignment of prompts with their regions (Eq. 2, 3)
query_former.py  the intrinsic representation of each unit
training.py      stochastic gradient descent on a few objectives
fit.py           the prompts of a category, learned from its K shots
memory.py        VAD: distance to the shots' tokens (Eq. 1)
scoring.py       PAD (Eq. 4-7) and its fusion with VAD (Eq. 8)

Symbols: B images, K shots, N patches, D joint width, E width of token embeddings, U units,
P prompts, T temperature.
"""
