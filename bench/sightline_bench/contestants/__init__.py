"""What takes turns: each a program in a process of its own, Sightline and what people use today alike."""
