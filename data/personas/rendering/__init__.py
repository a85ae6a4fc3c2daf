"""Renderer of persona faces: a height field per head with albedo, lighting and a camera, in batches of tensors.

Coordinates are *head units*: u to the right and v down in the picture, z towards the viewer; the eyes lie on v = 0,
the chin near v = 1, the crown near v = -.93. Shapes: B pictures, N canvas pixels a side; a number per
picture is [B, 1, 1], a colour (linear light) [B, 3, 1, 1], a map [B, N, N].
"""
