"""What a benchmark needs besides the code: weights, exports, photos. Made once, and kept in a working folder."""
