"""How the node program gets onto a customer's machine: what is in the bundle, and the script that sets it up."""
