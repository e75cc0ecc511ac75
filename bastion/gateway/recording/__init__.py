"""What a session said and was told, kept as asciicast v2 in signed pieces."""
