"""Questions that are answered by running benchmarks; nothing but jobs stands on them.

variants.py   the paper's ablations as variants    ablations.py  run as benchmarks
curves.py     figure 7
controls.py   what would refute the paper's claims: other words, scattered regions, matching by lot
regions.py    region aggregation against the factory's true component masks
photo_captions.py  captions from photos against the factory's true facts and masks
defaults/     changes of the method's defaults, on three kinds of data
compare/      recorded benchmarks against one another
search/       hyperparameter searches
paper/        the paper's tables and figures
scale/        recorded benchmarks on many simulated workers
"""
