"""The SSH front of a node: who comes in, where they may go, and everything that passes."""
