"""The web terminal on the node: the same relay, guard and recording as for SSH clients, with a stream as the screen."""
