"""condafleet: declare a fleet's deep-learning stack once; every node gets exactly that, and proves it."""
