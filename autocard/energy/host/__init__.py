"""CPU, memory and the node: counters, shares, CodeCarbon's model."""
