"""What pages of results share: the document and its style, plots as SVG, and figures for people."""
