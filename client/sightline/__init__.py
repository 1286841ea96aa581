"""Sightline: JPEG bytes in, boxes in the original image's pixels out, through NVIDIA Triton."""
