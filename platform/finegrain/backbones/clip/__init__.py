"""The frozen CLIPs: image towers and text towers in one space.

frozen_clip.py  FrozenClip, the face of all
openclip.py     open_clip's ViTs: by tag or from a file, with the value-value path beside the
                ordinary one (vv_attention.py), and windows (window_attention.py)
bundled.py      the CLIP that comes with the package, on EfficientNet-Lite1 (grounded.py: its
                image_heads.py and text_tower.py; word_pieces.py: CLIP's tokens)
"""
