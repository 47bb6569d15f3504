"""The names of open_clip's models that are taken, known without importing open_clip."""

QUICK = "-quickgelu"  # open_clip's suffix: x·sigmoid(1.702x) in place of GELU, as OpenAI trained
MODELS = (
    *("ViT-B-32", "ViT-B-16", "ViT-B-16-plus", "ViT-B-16-plus-240"),
    *("ViT-L-14", "ViT-L-14-336", "ViT-H-14"),
    *(
        f"{name}{QUICK}"
        for name in ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14")
    ),
)
