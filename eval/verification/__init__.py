"""Cross-modal verification and matching: is this the voice of this face, and which of these faces has this voice?"""
